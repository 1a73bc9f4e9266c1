//! Writing documents.
//!
//! Invariant: the bytes are those of the server's `convertToJsonb`. Source: jsonb_util.c, convertJsonbArray, convertJsonbObject, convertJsonbScalar.

use super::container::{Container, HAS_OFFSET, Kind, MOST, STRIDE, Type, Value, aligned};
use super::{Failure, Result};

/// A document to be written; what is as it is stored already is copied.
#[derive(Debug, Clone)]
pub enum Node<'a> {
    Stored(Value<'a>),
    /// Pairs in the order of `container::compare`, each key once.
    Object(Vec<(&'a [u8], Node<'a>)>),
    Array(Vec<Node<'a>>),
}

/// The document, without the varlena header.
pub fn encode(of: &Node, size: usize) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(size);
    match of {
        Node::Stored(Value { kind: Type::Container, bytes }) => out.extend_from_slice(bytes),
        Node::Stored(scalar) => {
            container(&mut out, Kind::Scalar, 1, std::iter::once(Child::Node(&Node::Stored(*scalar))))?;
        }
        Node::Object(_) | Node::Array(_) => {
            node(&mut out, of)?;
        }
    }
    Ok(out)
}

enum Child<'a, 'b> {
    Key(&'a [u8]),
    Node(&'b Node<'a>),
}

/// Appends a value, and returns its type and its length with the padding before it.
fn node(out: &mut Vec<u8>, of: &Node) -> Result<(Type, usize)> {
    let start = out.len();
    let kind = match of {
        Node::Stored(value) => {
            if value.kind.is_aligned() {
                out.resize(aligned(start), 0);
            }
            out.extend_from_slice(value.bytes);
            value.kind
        }
        Node::Object(pairs) => {
            let keys = pairs.iter().map(|(key, _)| Child::Key(key));
            container(out, Kind::Object, pairs.len(), keys.chain(pairs.iter().map(|(_, of)| Child::Node(of))))?;
            Type::Container
        }
        Node::Array(elements) => {
            container(out, Kind::Array, elements.len(), elements.iter().map(Child::Node))?;
            Type::Container
        }
    };
    Ok((kind, out.len() - start))
}

fn container<'a: 'b, 'b>(
    out: &mut Vec<u8>,
    kind: Kind,
    len: usize,
    children: impl Iterator<Item = Child<'a, 'b>>,
) -> Result<()> {
    let base = out.len();
    out.resize(aligned(base), 0);
    if len > MOST {
        return Err(Failure::TooLong);
    }
    out.extend_from_slice(&Container::header(kind, len).to_ne_bytes());
    let mut entry = out.len();
    out.resize(entry + 4 * if kind == Kind::Object { 2 * len } else { len }, 0);
    let mut total = 0;
    for (number, child) in children.enumerate() {
        let (of, length) = match child {
            Child::Node(of) => node(out, of)?,
            Child::Key(key) => {
                out.extend_from_slice(key);
                (Type::String, key.len())
            }
        };
        total += length;
        if total > MOST {
            return Err(Failure::TooLong);
        }
        let field = if number % STRIDE == 0 { total as u32 | HAS_OFFSET } else { length as u32 };
        out[entry..entry + 4].copy_from_slice(&(of.bits() | field).to_ne_bytes());
        entry += 4;
    }
    if out.len() - base > MOST { Err(Failure::TooLong) } else { Ok(()) }
}
