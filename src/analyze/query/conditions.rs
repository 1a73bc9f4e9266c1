//! Conditions as lists of terms that are all true, and which relations they are about.

use crate::pg::tree::{List, Node, Tree, list, server};
use std::collections::BTreeSet;

pub fn conditions(quals: Node) -> Vec<Node> {
    list::iter(server::make_ands_implicit(quals.cast())).collect()
}

pub fn conjunction(conditions: Vec<Node>) -> Node {
    let mut list: List = Tree::null();
    for c in conditions {
        list = list::lappend(list, c.cast());
    }
    if list.is_null() {
        return Tree::null();
    }
    server::make_ands_explicit(list)
}

/// Range table indexes of this level that a condition mentions, sub-queries inside it included.
pub fn mentions(condition: Node) -> BTreeSet<usize> {
    server::pull_varnos(condition)
}

/// Range table indexes for which a condition cannot be true when they are null-extended.
pub fn strict_in(condition: Node) -> BTreeSet<usize> {
    server::find_nonnullable_rels(condition)
}
