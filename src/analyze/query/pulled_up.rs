//! Views and sub-queries of FROM with a sub-query in the condition of an outer join: they become part of the query around them.
//!
//! `SELECT v.id FROM (SELECT p.id, c.x FROM p LEFT JOIN c ON c.id = (SELECT …)) v JOIN d …` is `SELECT p.id FROM p LEFT JOIN c ON c.id = (SELECT …) JOIN d …`.
//! What such a condition says depends on where changes are looked for, which only the block knows that is asked for its keys (rules/outer_links.rs). The planner does the
//! same (optimizer/prep/prepjointree.c, pull_up_simple_subquery); here no outer join may null-extend the item.
//!
//! Invariant: the same rows. Called by load.

use crate::analyze::query::conditions::{conditions, conjunction};
use crate::analyze::query::from::{find, is_nullable};
use crate::analyze::query::tree::{is_plain, outputs};
use crate::analyze::query::{joins, relations};
use crate::pg::fault::{self, Fault};
use crate::pg::tree::{JoinExpr, List, Node, Query, RangeTblEntry, Tree, Var, list, make, server, walk};
use pgrx::pg_sys;

/// Changes all blocks of a query, in place.
pub fn pull_up(query: Query) {
    let mut blocks: Vec<Query> = Vec::new();
    walk::walk(query.cast(), &mut |n| {
        if list::is(n, pg_sys::NodeTag::T_Query) {
            blocks.push(n.cast());
        }
        false
    });
    blocks.into_iter().rev().filter(|block| block.setOperations().is_null()).for_each(block);
}

fn block(query: Query) {
    while let Some(index) = relations::in_from(query).into_iter().find(|index| can_be_taken(query, *index)) {
        take_over(query, index);
        in_order(query);
    }
}

fn can_be_taken(query: Query, index: usize) -> bool {
    let mut path = Vec::new();
    find(query.jointree().cast(), index, &mut path);
    let rte = server::rt_fetch(index, query);
    let fits = path.is_empty() || is_subquery(rte) && list::len(rte.subquery().jointree().fromlist()) == 1;
    fits && can_be_part(rte) && !path.iter().any(is_nullable) && !is_row(query, index)
}

/// Joins behind what they join: the server's text of a query counts their columns in this order (ruleutils.c, set_deparse_for_query).
fn in_order(query: Query) {
    let mut joins = Vec::new();
    joins::collect(query.jointree().cast(), &mut joins);
    let joins: Vec<usize> = joins.into_iter().map(|join| join.rtindex() as usize).collect();
    let all = list::len(query.rtable());
    let others = (1..=all).filter(|index| !joins.contains(index));
    let order: Vec<usize> = others.chain(joins.iter().copied()).collect();
    server::OffsetVarNodes(query.cast(), all as i32, 0);
    let mut entries: List = Tree::null();
    for (number, index) in (1i32..).zip(&order) {
        server::ChangeVarNodes(query.cast(), (all + index) as i32, number, 0);
        entries = list::lappend(entries, server::rt_fetch(*index, query).cast());
    }
    query.set_rtable(entries);
}

fn is_subquery(rte: RangeTblEntry) -> bool {
    rte.rtekind() == pg_sys::RTEKind::RTE_SUBQUERY
}

fn can_be_part(rte: RangeTblEntry) -> bool {
    is_subquery(rte)
        && !rte.lateral()
        && !rte.security_barrier()
        && is_plain(rte.subquery())
        && !rte.subquery().hasTargetSRFs()
        && has_link(rte.subquery().jointree().cast())
}

/// Whether the condition of an outer join has a sub-query.
fn has_link(node: Node) -> bool {
    match node.tag() {
        pg_sys::NodeTag::T_FromExpr => {
            let items = node.cast::<pg_sys::FromExpr>().fromlist();
            list::iter::<pg_sys::Node>(items).any(has_link)
        }
        pg_sys::NodeTag::T_JoinExpr => {
            let join = node.cast::<pg_sys::JoinExpr>();
            join.jointype() != pg_sys::JoinType::JOIN_INNER && !walk::links_in(join.quals()).is_empty()
                || has_link(join.larg())
                || has_link(join.rarg())
        }
        _ => false,
    }
}

/// Whether the query looks at the row of an item as a whole.
fn is_row(query: Query, index: usize) -> bool {
    let mut found = false;
    each(query, index, &mut |var| {
        found |= var.varattno() <= 0;
        None
    });
    found
}

/// Rewrites the Vars of an item of FROM, in the block and in all queries in it.
fn each(query: Query, index: usize, replace: &mut dyn FnMut(Var) -> Option<Node>) -> Query {
    let changed = walk::rewrite_deep(query.cast(), &mut |n, depth| {
        let var = n.cast::<pg_sys::Var>();
        let is_own =
            list::is(n, pg_sys::NodeTag::T_Var) && var.varno() as usize == index && var.varlevelsup() + 1 == depth;
        if is_own { replace(var) } else { None }
    });
    changed.cast()
}

fn take_over(query: Query, index: usize) {
    let inner = server::rt_fetch(index, query).subquery().copy();
    // Relations get the numbers behind those that are there, the first one that of the item.
    let (own, others) = (list::len(query.rtable()), list::len(inner.rtable()));
    server::OffsetVarNodes(inner.cast(), own as i32, 0);
    server::IncrementVarSublevelsUp(inner.cast(), -1, 1);
    server::ChangeVarNodes(inner.cast(), own as i32 + 1, index as i32, 0);
    for number in 2..=others as i32 {
        server::ChangeVarNodes(inner.cast(), own as i32 + number, own as i32 + number - 1, 0);
    }
    let shown = outputs(inner);
    let changed = each(query, index, &mut |var| {
        let expr = shown.iter().find(|t| t.resno() == var.varattno())?.expr().copy();
        server::IncrementVarSublevelsUp(expr.cast(), var.varlevelsup() as i32, 0);
        Some(expr.cast())
    });
    for (before, after) in list::iter::<pg_sys::RangeTblEntry>(query.rtable()).zip(list::iter(changed.rtable())) {
        let after: RangeTblEntry = after;
        after.set_joinaliasvars(before.joinaliasvars());
    }
    query.become_like(changed);
    joins::forget_columns(query, index);
    let mut all: List = query.rtable();
    for (number, rte) in list::iter::<pg_sys::RangeTblEntry>(inner.rtable()).enumerate() {
        keep_rights(query, rte);
        match number {
            0 => list::set(all, index - 1, rte),
            _ => all = list::lappend(all, rte.cast()),
        }
    }
    query.set_rtable(all);
    #[cfg(not(feature = "pg15"))]
    {
        let mut rights = query.rteperminfos();
        for info in list::iter::<pg_sys::Node>(inner.rteperminfos()) {
            rights = list::lappend(rights, info);
        }
        query.set_rteperminfos(rights);
    }
    query.set_hasSubLinks(true);
    let from = query.jointree();
    let mut items: List = Tree::null();
    for item in list::iter::<pg_sys::Node>(from.fromlist()) {
        if is_item(item, index) {
            for own in list::iter::<pg_sys::Node>(inner.jointree().fromlist()) {
                items = list::lappend(items, own);
            }
        } else {
            put(item, index, list::first(inner.jointree().fromlist()));
            items = list::lappend(items, item);
        }
    }
    from.set_fromlist(items);
    let mut quals = conditions(from.quals());
    quals.extend(conditions(inner.jointree().quals()));
    if fault::on(Fault::LosePulledUp) {
        quals.push(make::boolean(false));
    }
    from.set_quals(conjunction(quals));
    joins::count_columns(query);
}

/// The entry's rights are those that are added behind the query's own.
fn keep_rights(query: Query, rte: RangeTblEntry) {
    #[cfg(not(feature = "pg15"))]
    if rte.perminfoindex() > 0 {
        rte.set_perminfoindex(rte.perminfoindex() + list::len(query.rteperminfos()) as u32);
    }
    #[cfg(feature = "pg15")]
    let _ = (query, rte);
}

fn is_item(node: Node, index: usize) -> bool {
    list::is(node, pg_sys::NodeTag::T_RangeTblRef) && node.cast::<pg_sys::RangeTblRef>().rtindex() as usize == index
}

/// Puts what the item reads in its place in a join.
fn put(node: Node, index: usize, inner: Node) {
    if !list::is(node, pg_sys::NodeTag::T_JoinExpr) {
        return;
    }
    let join: JoinExpr = node.cast();
    if is_item(join.larg(), index) {
        join.set_larg(inner);
    } else if is_item(join.rarg(), index) {
        join.set_rarg(inner);
    } else {
        put(join.larg(), index, inner);
        put(join.rarg(), index, inner);
    }
}
