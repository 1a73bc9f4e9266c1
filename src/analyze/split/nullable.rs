//! Sub-queries on the nullable side of an outer join: they become part of a stage, which the join then reads like a table.
//!
//! `t LEFT JOIN u ON u.t = t.id AND EXISTS (SELECT FROM v WHERE v.u = u.id)` is `t LEFT JOIN (SELECT * FROM u WHERE EXISTS (…)) u ON u.t = t.id`:
//! a condition on the nullable side alone may as well be inside that side.
//! Invariant: the query gives the same rows. Called by the splitter for each block, before its FROM clause is split.

use crate::analyze::query::conditions::{conditions, conjunction, mentions};
use crate::analyze::query::tree::is_plain;
use crate::analyze::query::{from, table_rows};
use crate::analyze::split::eligible::{can_be_stage, looks_up};
use crate::pg::tree::{JoinExpr, Node, Query, list, make, server, walk};
use pgrx::pg_sys;
use std::collections::BTreeSet;

/// Whether an outer join null-extends a plain sub-query of FROM that could not be followed there, having sub-queries itself.
pub fn hides_links(query: Query, index: usize, sub: Query) -> bool {
    let mut path = Vec::new();
    from::find(query.jointree().cast(), index, &mut path);
    is_plain(sub) && path.iter().any(from::is_nullable) && has_link(sub.cast()) && can_be_stage(sub)
}

fn has_link(node: Node) -> bool {
    walk::walk(node, &mut |n| list::is(n, pg_sys::NodeTag::T_SubLink))
}

/// Puts conditions of outer joins that have sub-queries, and are about a table on the nullable side alone, into a sub-query
/// of FROM in the place of this table.
pub fn push_conditions(query: Query) {
    let mut joins = Vec::new();
    for item in list::iter::<pg_sys::Node>(query.jointree().fromlist()) {
        outer_joins(item, &mut joins);
    }
    for join in joins {
        push(query, join);
    }
}

fn outer_joins(node: Node, out: &mut Vec<JoinExpr>) {
    if list::is(node, pg_sys::NodeTag::T_JoinExpr) {
        let join = node.cast::<pg_sys::JoinExpr>();
        outer_joins(join.larg(), out);
        outer_joins(join.rarg(), out);
        if matches!(join.jointype(), pg_sys::JoinType::JOIN_LEFT | pg_sys::JoinType::JOIN_RIGHT) {
            out.push(join);
        }
    }
}

fn push(query: Query, join: JoinExpr) {
    let side = if join.jointype() == pg_sys::JoinType::JOIN_LEFT { join.rarg() } else { join.larg() };
    if !list::is(side, pg_sys::NodeTag::T_RangeTblRef) || !has_link(join.quals()) {
        return;
    }
    let index = side.cast::<pg_sys::RangeTblRef>().rtindex();
    let alone = BTreeSet::from([index as usize]);
    let (down, stay): (Vec<_>, Vec<_>) =
        conditions(join.quals()).into_iter().partition(|c| has_link(*c) && mentions(*c) == alone && !looks_up(*c));
    if down.is_empty() {
        return;
    }
    let Some(sub) = table_rows::of(query, index as usize) else { return };
    let condition = conjunction(down);
    server::ChangeVarNodes(condition, index, 1, 0);
    sub.jointree().set_quals(condition);
    sub.set_hasSubLinks(true);
    if !can_be_stage(sub) {
        server::ChangeVarNodes(condition, 1, index, 0);
        return;
    }
    join.set_quals(if stay.is_empty() { make::boolean(true) } else { conjunction(stay) });
    table_rows::replace(server::rt_fetch(index as usize, query), sub);
}
