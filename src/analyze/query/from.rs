//! The joins on the way from the top of a FROM clause to one of its items.

use crate::pg::tree::{JoinExpr, Node, list};
use pgrx::pg_sys;
use tviews_core::null_extension::{Kind, keeping};

/// A join on the way from the top of a FROM clause to an item.
pub struct OnPath {
    pub join: JoinExpr,
    pub in_left: bool,
}

/// The joins from the top to range table index `index`, outermost first.
pub fn find(node: Node, index: usize, out: &mut Vec<OnPath>) -> bool {
    if list::is(node, pg_sys::NodeTag::T_FromExpr) {
        let from = node.cast::<pg_sys::FromExpr>();
        return list::iter::<pg_sys::Node>(from.fromlist()).any(|item| find(item, index, out));
    }
    if list::is(node, pg_sys::NodeTag::T_JoinExpr) {
        let join = node.cast::<pg_sys::JoinExpr>();
        for (side, in_left) in [(join.larg(), true), (join.rarg(), false)] {
            out.push(OnPath { join, in_left });
            if find(side, index, out) {
                return true;
            }
            out.pop();
        }
        return false;
    }
    list::is(node, pg_sys::NodeTag::T_RangeTblRef) && node.cast::<pg_sys::RangeTblRef>().rtindex() as usize == index
}

/// Whether the join can null-extend the item.
pub fn is_nullable(on: &OnPath) -> bool {
    keeping(kind(on.join), on.in_left).is_some()
}

/// How a join is written: other kinds are made by the planner only.
pub fn kind(join: JoinExpr) -> Kind {
    use pg_sys::JoinType::*;
    match join.jointype() {
        JOIN_LEFT => Kind::Left,
        JOIN_RIGHT => Kind::Right,
        JOIN_FULL => Kind::Full,
        _ => Kind::Inner,
    }
}

/// The join keeps only rows in which one of its sides is there.
pub fn keep(join: JoinExpr, in_left: bool) {
    use pg_sys::JoinType::*;
    if let Some(kept) = keeping(kind(join), in_left) {
        join.set_jointype(match kept {
            Kind::Inner => JOIN_INNER,
            Kind::Left => JOIN_LEFT,
            Kind::Right => JOIN_RIGHT,
            Kind::Full => JOIN_FULL,
        });
    }
}
