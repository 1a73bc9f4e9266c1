//! Parts of a document, and putting parts that were computed in the place of those that are stored.
//!
//! Let a document be a function of its leaves, and let a change concern some leaves only. `Part` says where these are. A *patch* is the document
//! without the other leaves; `put` takes from the stored document what the patch does not have. So `put(stored, patch) = computed`
//! as long as the leaves that the patch leaves out are stored as they would be computed.
//!
//! Arrays that aggregates make: the patch has, instead of each element, a *mark*, in the order of the aggregate over the rows before and after the change.
//! Null: an element that did not change; false: one that has gone; an array
//! of one element: an element that has come. A row that changed has gone and come.

use super::container::{Kind, Type, Value};
use super::encode::{Node, encode};
use super::{Failure, Result};

/// Which part of a document is computed anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// An object with the same keys as before, of which only the values of these keys can differ.
    Object(Vec<(Vec<u8>, Part)>),
    /// An array, of which the patch has marks.
    Elements,
}

/// The stored document with the part that the patch has. `Unexpected`: the stored document is not one that the patch is about.
pub fn put(stored: &[u8], patch: &[u8], part: &Part) -> Result<Vec<u8>> {
    let merged = merge(Value::of_document(stored)?, Value::of_document(patch)?, part)?;
    encode(&merged, stored.len() + patch.len())
}

fn merge<'a>(stored: Value<'a>, patch: Value<'a>, part: &Part) -> Result<Node<'a>> {
    match part {
        Part::Whole => Ok(Node::Stored(patch)),
        Part::Object(parts) => {
            let (Some(stored), Some(patch)) = (stored.container()?, patch.container()?) else {
                return Err(Failure::Unexpected);
            };
            if stored.kind != Kind::Object || patch.kind != Kind::Object {
                return Err(Failure::Unexpected);
            }
            let mut pairs: Vec<(&[u8], Node)> =
                (0..stored.len).map(|at| (stored.key(at), Node::Stored(stored.value(at)))).collect();
            for (key, part) in parts {
                let at = stored.find(key).map_err(|_| Failure::Unexpected)?;
                pairs[at].1 = merge(stored.value(at), patch.get(key).ok_or(Failure::Unexpected)?, part)?;
            }
            Ok(Node::Object(pairs))
        }
        Part::Elements => elements(stored, patch),
    }
}

/// The array that marks make of the stored one.
fn elements<'a>(stored: Value<'a>, marks: Value<'a>) -> Result<Node<'a>> {
    let array = |of: Value<'a>| match of.container()? {
        Some(of) if of.kind == Kind::Array => Ok(of),
        _ => Err(Failure::Unexpected),
    };
    let (stored, marks) = (array(stored)?, array(marks)?);
    let mut left = stored.values();
    let mut elements = Vec::with_capacity(marks.len);
    for mark in marks.values() {
        match mark.kind {
            Type::Null => elements.push(Node::Stored(left.next().ok_or(Failure::Unexpected)?)),
            Type::False => drop(left.next().ok_or(Failure::Unexpected)?),
            Type::Container => match array(mark)? {
                of if of.len == 1 => elements.push(Node::Stored(of.value(0))),
                _ => return Err(Failure::Unexpected),
            },
            _ => return Err(Failure::Unexpected),
        }
    }
    // An aggregate over no rows is no array.
    if left.next().is_some() || elements.is_empty() {
        return Err(Failure::Unexpected);
    }
    Ok(Node::Array(elements))
}
