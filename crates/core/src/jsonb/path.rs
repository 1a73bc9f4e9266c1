//! Changes at a path of keys and numbers, as the functions `tviews.jsonb_…` make them.
//!
//! `set` is the server's `jsonb_set`. Source: utils/adt/jsonfuncs.c, setPath, setPathObject, setPathArray. The others change an array at a path, whose
//! elements are told apart by the value that they have under a key; what is not there is left alone.

use super::container::{Container, Kind, Type, Value};
use super::encode::{Node, encode};
use std::cmp::Ordering;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    Document(super::Failure),
    /// A path in a scalar.
    Scalar,
    /// The value at the path is no array.
    NoArray,
    /// An element of the path, from 1, is NULL.
    Null(usize),
    /// An element of the path, from 1, is no number, and meets an array.
    NoInteger(usize),
    /// The element to insert has no value under the key.
    NoKey,
    /// More steps than the stack has room for.
    TooDeep,
}

impl From<super::Failure> for Failure {
    fn from(of: super::Failure) -> Failure {
        Failure::Document(of)
    }
}

pub type Result<T> = std::result::Result<T, Failure>;

/// So many steps are gone at most.
const DEEP: usize = 1000;

/// Steps as they are given: keys, and numbers of elements, as text.
pub type Path<'a> = &'a [Option<&'a [u8]>];

/// Compares values as jsonb does.
pub type Compare<'c> = &'c mut dyn FnMut(Value, Value) -> Ordering;

/// The children of a container that is to be changed.
fn children<'a>(of: &Container<'a>) -> Node<'a> {
    if of.kind == Kind::Object {
        Node::Object((0..of.len).map(|at| (of.key(at), Node::Stored(of.value(at)))).collect())
    } else {
        Node::Array(of.values().map(Node::Stored).collect())
    }
}

fn step<'a>(path: Path<'a>, level: usize) -> Result<&'a [u8]> {
    if level >= DEEP { Err(Failure::TooDeep) } else { path[level].ok_or(Failure::Null(level + 1)) }
}

/// A number as the server's `strtoint` reads it.
fn integer(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    text.parse::<i32>().ok().map(i64::from)
}

/// A number of an element, from the end when it is negative.
fn place(step: &[u8], len: usize) -> Option<i64> {
    integer(step).map(|place| if place < 0 { place + len as i64 } else { place })
}

/// The document with a value at a path; None when nothing changes. `create`: also where there is none yet, when all before the last step is there.
pub fn set<'a>(document: &'a [u8], path: Path<'a>, value: Value<'a>, create: bool) -> Result<Option<Vec<u8>>> {
    let whole = Container::new(document)?;
    if whole.kind == Kind::Scalar {
        return Err(Failure::Scalar);
    }
    if path.is_empty() || whole.len == 0 && !create {
        return Ok(None);
    }
    let changed = set_in(Value { kind: Type::Container, bytes: document }, path, 0, value, create)?;
    written(document, value, changed)
}

fn written(document: &[u8], value: Value, changed: Option<Node>) -> Result<Option<Vec<u8>>> {
    changed.map(|node| Ok(encode(&node, document.len() + value.bytes.len() + 64)?)).transpose()
}

/// None: the value stays as it is.
fn set_in<'a>(of: Value<'a>, path: Path<'a>, level: usize, value: Value<'a>, create: bool) -> Result<Option<Node<'a>>> {
    let step = step(path, level)?;
    let Some(container) = of.container()? else { return Ok(None) };
    let is_last = level + 1 == path.len();
    let inner = |at: usize| match is_last {
        true => Ok(Some(Node::Stored(value))),
        false => set_in(container.value(at), path, level + 1, value, create),
    };
    let mut all = children(&container);
    match &mut all {
        Node::Object(pairs) => match container.find(step) {
            Ok(at) => match inner(at)? {
                Some(new) => pairs[at].1 = new,
                None => return Ok(None),
            },
            Err(at) if is_last && create => pairs.insert(at, (step, Node::Stored(value))),
            Err(_) => return Ok(None),
        },
        Node::Array(elements) => {
            let len = elements.len();
            let place = place(step, len).ok_or(Failure::NoInteger(level + 1))?;
            if (0..len as i64).contains(&place) {
                match inner(place as usize)? {
                    Some(new) => elements[place as usize] = new,
                    None => return Ok(None),
                }
            } else if is_last && create {
                elements.insert(if place < 0 { 0 } else { len }, Node::Stored(value));
            } else {
                return Ok(None);
            }
        }
        Node::Stored(_) => return Ok(None),
    }
    Ok(Some(all))
}

/// The document, the array at a path having been changed by `change`, which returns whether it did anything; None when nothing changes.
fn array_at<'a>(
    of: Value<'a>,
    path: Path<'a>,
    level: usize,
    change: &mut dyn FnMut(&Container<'a>, &mut Vec<Node<'a>>) -> Result<bool>,
) -> Result<Option<Node<'a>>> {
    let container = of.container()?;
    if level == path.len() {
        let Some(container) = container else { return Err(Failure::NoArray) };
        let Node::Array(mut elements) = children(&container) else { return Err(Failure::NoArray) };
        return Ok(change(&container, &mut elements)?.then_some(Node::Array(elements)));
    }
    let step = step(path, level)?;
    let Some(container) = container else { return Ok(None) };
    let at = if container.kind == Kind::Object {
        container.find(step).ok()
    } else {
        place(step, container.len).and_then(|at| usize::try_from(at).ok()).filter(|at| *at < container.len)
    };
    let Some(at) = at else { return Ok(None) };
    let Some(new) = array_at(container.value(at), path, level + 1, change)? else { return Ok(None) };
    let mut all = children(&container);
    match &mut all {
        Node::Object(pairs) => pairs[at].1 = new,
        Node::Array(elements) => elements[at] = new,
        Node::Stored(_) => {}
    }
    Ok(Some(all))
}

/// The value of an element under a key.
fn under<'a>(element: Value<'a>, key: &[u8]) -> Result<Option<Value<'a>>> {
    Ok(element.container()?.and_then(|of| of.get(key)))
}

/// Puts an element at the end of an array; with a key behind the last element whose value under the key does not come after its own,
/// the array being in this order.
pub fn insert<'a>(
    document: &'a [u8],
    path: Path<'a>,
    element: Value<'a>,
    order: Option<(&[u8], bool)>,
    compare: Compare,
) -> Result<Option<Vec<u8>>> {
    let own = match order {
        Some((key, _)) => Some(under(element, key)?.ok_or(Failure::NoKey)?),
        None => None,
    };
    let changed = array_at(Value::of_document(document)?, path, 0, &mut |array, elements| {
        let (mut low, mut high) = (0, array.len);
        if let (Some((key, descending)), Some(own)) = (order, own) {
            while low < high {
                let middle = low + (high - low) / 2;
                // Elements without a value come last.
                let found = match under(array.value(middle), key)? {
                    None => Ordering::Greater,
                    Some(of) if descending => compare(of, own).reverse(),
                    Some(of) => compare(of, own),
                };
                if found == Ordering::Greater { high = middle } else { low = middle + 1 }
            }
        } else {
            low = high;
        }
        elements.insert(low, Node::Stored(element));
        Ok(true)
    })?;
    written(document, element, changed)
}

/// Puts an element in the place of each element of an array that has a value under a key; without a new one, removes them.
pub fn replace<'a>(
    document: &'a [u8],
    path: Path<'a>,
    key: &[u8],
    wanted: Value,
    element: Option<Value<'a>>,
    compare: Compare,
) -> Result<Option<Vec<u8>>> {
    let changed = array_at(Value::of_document(document)?, path, 0, &mut |array, elements| {
        let mut found = Vec::new();
        for (at, of) in array.values().enumerate() {
            if under(of, key)?.is_some_and(|of| compare(of, wanted) == Ordering::Equal) {
                found.push(at);
            }
        }
        for at in found.iter().rev() {
            match element {
                Some(new) => elements[*at] = Node::Stored(new),
                None => drop(elements.remove(*at)),
            }
        }
        Ok(!found.is_empty())
    })?;
    written(document, element.unwrap_or(Value::NULL), changed)
}
