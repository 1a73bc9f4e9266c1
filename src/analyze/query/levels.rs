//! Columns and aggregates that a query or an expression takes from the queries around it.
//!
//! Levels are counted from the tree that is looked at: level 0 is, inside of a query, its own columns; inside of an
//! expression, the columns of its block. Invariant: a tree that takes nothing from outside means the same anywhere.
//! Called wherever trees are moved from one level to another.

use crate::pg::tree::{Node, server, walk};
use pgrx::pg_sys;

/// Whether a tree has columns, or aggregates over columns, of a block around it, however far up.
pub fn looks_up(tree: Node) -> bool {
    has_columns(tree) || has_aggregates(tree)
}

/// Whether a tree has columns of a block around it.
pub fn has_columns(tree: Node) -> bool {
    (1..=highest(tree)).any(|level| server::contain_vars_of_level(tree, level))
}

/// Whether a tree has aggregates, or GROUPING(), that belong to a block around it.
pub fn has_aggregates(tree: Node) -> bool {
    (1..=highest(tree)).any(|level| server::contain_aggs_of_level(tree, level))
}

/// Whether an expression has aggregates, GROUPING() or windows, of its own block or of a block around it: it is computed from groups,
/// and cannot be computed from single rows.
pub fn is_computed(expr: Node) -> bool {
    !expr.is_null()
        && (server::contain_windowfuncs(expr)
            || (0..=highest(expr)).any(|level| server::contain_aggs_of_level(expr, level)))
}

/// The highest level of a node: no node is of a block further up.
fn highest(tree: Node) -> i32 {
    let mut highest = 0;
    walk::walk(tree, &mut |n| {
        let level = match n.tag() {
            pg_sys::NodeTag::T_Var => n.cast::<pg_sys::Var>().varlevelsup(),
            pg_sys::NodeTag::T_Aggref => n.cast::<pg_sys::Aggref>().agglevelsup(),
            pg_sys::NodeTag::T_GroupingFunc => n.cast::<pg_sys::GroupingFunc>().agglevelsup(),
            _ => 0,
        };
        highest = highest.max(level);
        false
    });
    highest as i32
}
