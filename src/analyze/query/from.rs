//! The joins on the way from the top of a FROM clause to one of its items.

use crate::pg::list;
use pgrx::pg_sys;
use tviews_core::null_extension::{Kind, keeping};

/// A join on the way from the top of a FROM clause to an item.
pub struct OnPath {
    pub join: *mut pg_sys::JoinExpr,
    pub in_left: bool,
}

/// The joins from the top to range table index `index`, outermost first.
pub unsafe fn find(node: *mut pg_sys::Node, index: usize, out: &mut Vec<OnPath>) -> bool {
    // SAFETY: `node` is a live node of a tree of the server.
    unsafe {
        if list::is(node, pg_sys::NodeTag::T_FromExpr) {
            let from = node.cast::<pg_sys::FromExpr>();
            return list::iter::<pg_sys::Node>((*from).fromlist).any(|item| find(item, index, out));
        }
        if list::is(node, pg_sys::NodeTag::T_JoinExpr) {
            let join = node.cast::<pg_sys::JoinExpr>();
            for (side, in_left) in [((*join).larg, true), ((*join).rarg, false)] {
                out.push(OnPath { join, in_left });
                if find(side, index, out) {
                    return true;
                }
                out.pop();
            }
            return false;
        }
        list::is(node, pg_sys::NodeTag::T_RangeTblRef)
            && (*node.cast::<pg_sys::RangeTblRef>()).rtindex as usize == index
    }
}

/// Whether the join can null-extend the item.
pub unsafe fn is_nullable(on: &OnPath) -> bool {
    // SAFETY: `on` belongs to a query that is alive.
    unsafe { keeping(kind(on.join), on.in_left).is_some() }
}

/// How a join is written: other kinds are made by the planner only.
pub unsafe fn kind(join: *mut pg_sys::JoinExpr) -> Kind {
    // SAFETY: `join` is a live node of a tree of the server.
    unsafe {
        use pg_sys::JoinType::*;
        match (*join).jointype {
            JOIN_LEFT => Kind::Left,
            JOIN_RIGHT => Kind::Right,
            JOIN_FULL => Kind::Full,
            _ => Kind::Inner,
        }
    }
}

/// The join keeps only rows in which one of its sides is there.
pub unsafe fn keep(join: *mut pg_sys::JoinExpr, in_left: bool) {
    // SAFETY: `join` is a live node of a tree of the server.
    unsafe {
        use pg_sys::JoinType::*;
        if let Some(kept) = keeping(kind(join), in_left) {
            (*join).jointype = match kept {
                Kind::Inner => JOIN_INNER,
                Kind::Left => JOIN_LEFT,
                Kind::Right => JOIN_RIGHT,
                Kind::Full => JOIN_FULL,
            };
        }
    }
}
