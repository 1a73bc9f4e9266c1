//! What a query or an expression takes from the queries around it.
//!
//! Levels are counted from the tree that is looked at: inside of a query, its own columns are level 0; inside of an
//! expression, those of the block it belongs to. Invariant: a tree that takes nothing from outside means the same anywhere.
//! Called wherever trees are moved from one level to another.

use crate::pg::walk;
use pgrx::pg_sys;

/// Whether a tree has columns, or aggregates over columns, of a block around it, however far up.
///
/// # Safety
/// `tree` is null or a valid query or expression.
pub unsafe fn looks_up(tree: *mut pg_sys::Node) -> bool {
    // SAFETY: the nodes are live ones of a tree of the server, as the caller promises.
    unsafe { has_columns(tree) || has_aggregates(tree) }
}

/// Whether a tree has columns of a block around it.
///
/// # Safety
/// As for `looks_up`.
pub unsafe fn has_columns(tree: *mut pg_sys::Node) -> bool {
    // SAFETY: the nodes are live ones of a tree of the server, as the caller promises.
    unsafe { (1..=highest(tree)).any(|level| pg_sys::contain_vars_of_level(tree, level)) }
}

/// Whether a tree has aggregates, or GROUPING(), that belong to a block around it.
///
/// # Safety
/// As for `looks_up`.
pub unsafe fn has_aggregates(tree: *mut pg_sys::Node) -> bool {
    // SAFETY: the nodes are live ones of a tree of the server, as the caller promises.
    unsafe { (1..=highest(tree)).any(|level| pg_sys::contain_aggs_of_level(tree, level)) }
}

/// Whether an expression has aggregates, GROUPING() or windows, of its own block or of one around it: it is computed from groups,
/// and cannot be where rows are.
///
/// # Safety
/// As for `looks_up`.
pub unsafe fn is_computed(expr: *mut pg_sys::Node) -> bool {
    // SAFETY: the nodes are live ones of a tree of the server, as the caller promises.
    unsafe {
        !expr.is_null()
            && (pg_sys::contain_windowfuncs(expr)
                || (0..=highest(expr)).any(|level| pg_sys::contain_aggs_of_level(expr, level)))
    }
}

/// No node is of a block further up than this.
unsafe fn highest(tree: *mut pg_sys::Node) -> i32 {
    // SAFETY: the nodes are live ones of a tree of the server.
    unsafe {
        let mut highest = 0;
        walk::walk(tree, &mut |n| {
            let level = match (*n).type_ {
                pg_sys::NodeTag::T_Var => (*n.cast::<pg_sys::Var>()).varlevelsup,
                pg_sys::NodeTag::T_Aggref => (*n.cast::<pg_sys::Aggref>()).agglevelsup,
                pg_sys::NodeTag::T_GroupingFunc => (*n.cast::<pg_sys::GroupingFunc>()).agglevelsup,
                _ => 0,
            };
            highest = highest.max(level);
            false
        });
        highest as i32
    }
}
