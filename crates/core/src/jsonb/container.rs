//! Reading documents.
//!
//! Invariant: bytes of any content are read without a panic; what is not a document is `Malformed`.

use super::{Failure, Result};

const LENGTH: u32 = 0x0FFF_FFFF;
const TYPE: u32 = 0x7000_0000;
pub(super) const HAS_OFFSET: u32 = 0x8000_0000;
/// The longest container, and the longest data of its children.
pub(super) const MOST: usize = LENGTH as usize;
/// Each so many entries, one has an offset.
pub(super) const STRIDE: usize = 32;
const SCALAR: u32 = 0x1000_0000;
const OBJECT: u32 = 0x2000_0000;
const ARRAY: u32 = 0x4000_0000;

/// What an entry says of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    String,
    Numeric,
    False,
    True,
    Null,
    Container,
}

impl Type {
    pub(super) fn bits(self) -> u32 {
        match self {
            Type::String => 0,
            Type::Numeric => 0x1000_0000,
            Type::False => 0x2000_0000,
            Type::True => 0x3000_0000,
            Type::Null => 0x4000_0000,
            Type::Container => 0x5000_0000,
        }
    }

    fn of(entry: u32) -> Result<Type> {
        let all = [Type::String, Type::Numeric, Type::False, Type::True, Type::Null, Type::Container];
        all.into_iter().find(|t| t.bits() == entry & TYPE).ok_or(Failure::Malformed)
    }

    /// Whether values begin at a multiple of four.
    pub(super) fn is_aligned(self) -> bool {
        matches!(self, Type::Numeric | Type::Container)
    }
}

/// A value as it is stored, without the padding before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a> {
    pub kind: Type,
    pub bytes: &'a [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Object,
    Array,
    /// The array of one element that stands for a scalar document.
    Scalar,
}

/// A container, with the ends of its children.
#[derive(Debug, Clone)]
pub struct Container<'a> {
    pub kind: Kind,
    /// Pairs of an object, elements of an array.
    pub len: usize,
    bytes: &'a [u8],
    /// Type of each child, and where its data ends, from `data`. Keys of an object come first.
    children: Vec<(Type, usize)>,
    data: usize,
}

/// The word at a place.
pub(super) fn word(bytes: &[u8], at: usize) -> Result<u32> {
    let of = bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).ok_or(Failure::Malformed)?;
    Ok(u32::from_ne_bytes(of))
}

pub(super) fn aligned(at: usize) -> usize {
    at.next_multiple_of(4)
}

impl<'a> Container<'a> {
    /// `bytes` begin with the container's header.
    pub fn new(bytes: &'a [u8]) -> Result<Container<'a>> {
        let header = word(bytes, 0)?;
        let len = (header & LENGTH) as usize;
        let (kind, entries) = match header & !LENGTH {
            OBJECT => (Kind::Object, 2 * len),
            ARRAY => (Kind::Array, len),
            of if of == ARRAY | SCALAR && len == 1 => (Kind::Scalar, 1),
            _ => return Err(Failure::Malformed),
        };
        let data = 4 + 4 * entries;
        if data > bytes.len() {
            return Err(Failure::Malformed);
        }
        let (mut children, mut end) = (Vec::with_capacity(entries), 0);
        for entry in bytes[4..data].as_chunks::<4>().0.iter().map(|four| u32::from_ne_bytes(*four)) {
            let (start, field) = (end, (entry & LENGTH) as usize);
            end = if entry & HAS_OFFSET != 0 { field } else { start + field };
            if end < start || data + end > bytes.len() {
                return Err(Failure::Malformed);
            }
            children.push((Type::of(entry)?, end));
        }
        Ok(Container { kind, len, bytes, children, data })
    }

    /// The header of a container with these children.
    pub(super) fn header(kind: Kind, len: usize) -> u32 {
        len as u32
            | match kind {
                Kind::Object => OBJECT,
                Kind::Array => ARRAY,
                Kind::Scalar => ARRAY | SCALAR,
            }
    }

    /// Where the entries begin and end.
    pub(super) fn entries(&self) -> (usize, usize) {
        (4, self.data)
    }

    pub(super) fn count(&self) -> usize {
        self.children.len()
    }

    /// Where the data of a child begins and ends, padding included, from the container's beginning.
    pub(super) fn range(&self, child: usize) -> (usize, usize) {
        let start = if child == 0 { 0 } else { self.children[child - 1].1 };
        (self.data + start, self.data + self.children[child].1)
    }

    /// Where the data of a child begins behind its padding.
    pub(super) fn start(&self, child: usize) -> usize {
        let (start, end) = self.range(child);
        if self.children[child].0.is_aligned() { aligned(start).min(end) } else { start }
    }

    /// A child, numbered as the entries are.
    pub(super) fn child(&self, child: usize) -> Value<'a> {
        Value { kind: self.children[child].0, bytes: &self.bytes[self.start(child)..self.range(child).1] }
    }

    /// An element of an array, or the value of a pair, from 0.
    pub fn value(&self, at: usize) -> Value<'a> {
        self.child(if self.kind == Kind::Object { self.len + at } else { at })
    }

    pub fn key(&self, at: usize) -> &'a [u8] {
        self.child(at).bytes
    }

    pub fn values(&self) -> impl Iterator<Item = Value<'a>> {
        (0..self.len).map(|at| self.value(at))
    }

    /// The pair of a key; or where it would stand.
    pub fn find(&self, key: &[u8]) -> std::result::Result<usize, usize> {
        let (mut low, mut high) = (0, if self.kind == Kind::Object { self.len } else { 0 });
        while low < high {
            let middle = low + (high - low) / 2;
            match compare(self.key(middle), key) {
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Option<Value<'a>> {
        self.find(key).ok().map(|at| self.value(at))
    }
}

/// The order of keys: by length, then by bytes. Source: jsonb_util.c, lengthCompareJsonbString.
pub fn compare(a: &[u8], b: &[u8]) -> std::cmp::Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

impl<'a> Value<'a> {
    pub const NULL: Value<'static> = Value { kind: Type::Null, bytes: &[] };

    /// The value that a document is: a scalar without the array around it.
    pub fn of_document(bytes: &'a [u8]) -> Result<Value<'a>> {
        let whole = Container::new(bytes)?;
        Ok(if whole.kind == Kind::Scalar { whole.value(0) } else { Value { kind: Type::Container, bytes } })
    }

    /// The container that the value is; None for a scalar.
    pub fn container(self) -> Result<Option<Container<'a>>> {
        (self.kind == Type::Container).then(|| Container::new(self.bytes)).transpose()
    }
}
