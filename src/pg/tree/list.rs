//! The server's lists: of nodes, of integers, of OIDs. Null is the empty one.
//!
//! Invariant: an element is only taken from a list that has it, and only by the list's kind of elements. A loop over a list that is changed
//! meanwhile sees the changed list. Source: nodes/pg_list.h.

use super::{List, Node, Tree};
use crate::pg::error::{Error, or_raise};
use crate::pg::list as raw;
use pgrx::pg_sys::{self, NodeTag};

/// Nodes, each of which is taken for one of kind `T`, see `Tree::cast`.
pub fn iter<T>(list: List) -> impl Iterator<Item = Tree<T>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        (at < len(list)).then(|| {
            at += 1;
            nth(list, at - 1)
        })
    })
}

/// The `n`-th node, from 0; an internal error when there is none.
pub fn nth<T>(list: List, n: usize) -> Tree<T> {
    if n >= len(list) || list.tag() != NodeTag::T_List {
        or_raise(Err(Error::Internal(format!("a list of {} {:?} has no node {n}", len(list), list.tag()))))
    }
    // SAFETY: a list of more than `n` nodes, which are alive as it is.
    unsafe { Tree::new(raw::nth(list.raw(), n)) }
}

/// The first node, null when there is none.
pub fn first<T>(list: List) -> Tree<T> {
    iter(list).next().unwrap_or(Tree::null())
}

pub fn len(list: List) -> usize {
    // SAFETY: null or a live list, whatever it is of.
    unsafe { if is_list(list) { raw::len(list.raw()) } else { 0 } }
}

fn is_list(list: List) -> bool {
    matches!(list.tag(), NodeTag::T_List | NodeTag::T_IntList | NodeTag::T_OidList)
}

pub fn oids(list: List) -> Vec<pg_sys::Oid> {
    // SAFETY: a live list of OIDs.
    if list.tag() == NodeTag::T_OidList { unsafe { raw::oids(list.raw()) } } else { Vec::new() }
}

pub fn ints(list: List) -> Vec<i32> {
    // SAFETY: a live list of integers.
    if list.tag() == NodeTag::T_IntList { unsafe { raw::ints(list.raw()) } } else { Vec::new() }
}

/// The list with one more node, which may be another list.
pub fn lappend(list: List, node: Node) -> List {
    // SAFETY: null or a live list of nodes; it is made longer or moved by the server.
    unsafe {
        debug_assert!(list.is_null() || list.tag() == NodeTag::T_List);
        Tree::new(pg_sys::lappend(list.raw(), node.raw().cast()))
    }
}

pub fn of<T>(nodes: impl IntoIterator<Item = Tree<T>>) -> List {
    nodes.into_iter().fold(List::null(), |list, node| lappend(list, node.cast()))
}

pub fn of_ints(numbers: impl IntoIterator<Item = i32>) -> List {
    // SAFETY: a list of integers, or none yet.
    numbers.into_iter().fold(List::null(), |list, n| unsafe { Tree::new(pg_sys::lappend_int(list.raw(), n)) })
}

pub fn of_oids(oids: impl IntoIterator<Item = pg_sys::Oid>) -> List {
    // SAFETY: a list of OIDs, or none yet.
    oids.into_iter().fold(List::null(), |list, o| unsafe { Tree::new(pg_sys::lappend_oid(list.raw(), o)) })
}

/// Puts another node in the place of the `n`-th.
pub fn set<T>(list: List, n: usize, node: Tree<T>) {
    nth::<pg_sys::Node>(list, n);
    // SAFETY: a live list of more than `n` nodes.
    unsafe { (*(*list.raw()).elements.add(n)).ptr_value = node.raw().cast() }
}

/// Whether a node has this tag; false for null.
pub fn is<T>(node: Tree<T>, tag: NodeTag) -> bool {
    node.tag() == tag
}
