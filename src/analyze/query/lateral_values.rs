//! Values of LATERAL sub-queries with one row, where an outer join compares with them: each becomes the sub-query that it is.
//!
//! `p LEFT JOIN LATERAL (SELECT max(id) AS m FROM c WHERE c.parent = p.id) x ON true LEFT JOIN c ON c.id = x.m` is
//! `p LEFT JOIN c ON c.id = (SELECT max(id) FROM c WHERE c.parent = p.id)`, of which it is known what a change can concern (rules/outer_links.rs). A sub-query
//! with aggregates and nothing else has one row for each row around it, whatever is in its tables, so the item may stay as a row without columns that are looked at.
//!
//! Invariant: the same rows. Called by load.

use crate::analyze::query::from::{OnPath, find, is_nullable};
use crate::analyze::query::tree::outputs;
use crate::analyze::query::{levels, relations};
use crate::pg::fault::{self, Fault};
use crate::pg::tree::{List, Node, Query, RangeTblEntry, Tree, Var, list, make, server, walk};
use pgrx::pg_sys;

/// Changes the values in all blocks of a query, in place.
pub fn spell_out(query: Query) {
    let mut blocks: Vec<Query> = Vec::new();
    walk::walk(query.cast(), &mut |n| {
        if list::is(n, pg_sys::NodeTag::T_Query) {
            blocks.push(n.cast());
        }
        false
    });
    blocks.into_iter().rev().for_each(block);
}

fn block(query: Query) {
    for index in relations::in_from(query) {
        if has_one_value(query, index) && is_there(query, index) && is_compared(query, query.jointree().cast(), index) {
            replace(query, index);
        }
    }
}

/// Whether an item is a sub-query that gives one row of aggregates for each row around it.
fn has_one_value(query: Query, index: usize) -> bool {
    let rte = server::rt_fetch(index, query);
    if rte.rtekind() != pg_sys::RTEKind::RTE_SUBQUERY || !rte.lateral() {
        return false;
    }
    let sub = rte.subquery();
    let is_total = sub.hasAggs()
        && sub.groupClause().is_null()
        && sub.groupingSets().is_null()
        && sub.havingQual().is_null()
        && sub.distinctClause().is_null()
        && sub.setOperations().is_null()
        && sub.cteList().is_null()
        && sub.limitCount().is_null()
        && sub.limitOffset().is_null()
        && !sub.hasWindowFuncs()
        && !sub.hasTargetSRFs();
    // A column alone has one row by its own aggregate only.
    let is_aggregate = |expr: Node| server::contain_aggs_of_level(expr, 0);
    is_total
        && outputs(sub).into_iter().all(|t| is_aggregate(t.expr()))
        && levels::has_columns(sub.cast())
        && is_looked_at_by_column(query, index)
}

/// Whether nobody looks at an item as a row, or from a sub-query.
fn is_looked_at_by_column(query: Query, index: usize) -> bool {
    let mut by_column = true;
    walk::rewrite_deep(query.cast(), &mut |n, depth| {
        let var = n.cast::<pg_sys::Var>();
        let is_own =
            list::is(n, pg_sys::NodeTag::T_Var) && var.varno() as usize == index && var.varlevelsup() + 1 == depth;
        by_column &= !is_own || var.varattno() > 0 && var.varlevelsup() == 0;
        None
    });
    by_column
}

/// Whether each row of the FROM clause has a row of the item, no join above null-extends it but for one that always finds it, and what the item looks at is
/// in reach of all conditions of joins that look at it.
fn is_there(query: Query, index: usize) -> bool {
    let mut path = Vec::new();
    find(query.jointree().cast(), index, &mut path);
    let finds = |on: &OnPath| {
        let quals = on.join.quals();
        on.join.jointype() == pg_sys::JoinType::JOIN_LEFT && !on.in_left && (quals.is_null() || is_true(quals))
    };
    let Some(last) = path.last() else { return false };
    let mut beside = Vec::new();
    relations::collect(last.join.larg(), &mut beside);
    let looks_at =
        list::iter::<pg_sys::Var>(server::pull_vars_of_level(server::rt_fetch(index, query).subquery().cast(), 1));
    let above = path.len() - 1;
    path[..above].iter().all(|on| !is_nullable(on))
        && (!is_nullable(last) || finds(last))
        && looks_at.map(|var| var.varno() as usize).all(|of| beside.contains(&of))
}

fn is_true(node: Node) -> bool {
    list::is(node, pg_sys::NodeTag::T_Const) && {
        let constant = node.cast::<pg_sys::Const>();
        !constant.constisnull() && constant.consttype() == pg_sys::BOOLOID && constant.constvalue().value() & 0xff != 0
    }
}

/// Whether the condition of an outer join looks at an item, and its nullable side reads a table that the item reads, too: then what a change of the table concerns cannot be
/// told from the columns of the item.
fn is_compared(query: Query, node: Node, index: usize) -> bool {
    match node.tag() {
        pg_sys::NodeTag::T_FromExpr => {
            let items = node.cast::<pg_sys::FromExpr>().fromlist();
            list::iter::<pg_sys::Node>(items).any(|item| is_compared(query, item, index))
        }
        pg_sys::NodeTag::T_JoinExpr => {
            let join = node.cast::<pg_sys::JoinExpr>();
            let nullable = match join.jointype() {
                pg_sys::JoinType::JOIN_LEFT => vec![join.rarg()],
                pg_sys::JoinType::JOIN_RIGHT => vec![join.larg()],
                _ => Vec::new(),
            };
            let looks = server::pull_varnos(join.quals()).contains(&index);
            looks && nullable.into_iter().any(|side| reads_one_of(query, side, index))
                || is_compared(query, join.larg(), index)
                || is_compared(query, join.rarg(), index)
        }
        _ => false,
    }
}

/// Whether a side of a join reads a table that an item reads.
fn reads_one_of(query: Query, side: Node, index: usize) -> bool {
    let read = relations::of(server::rt_fetch(index, query).subquery());
    let mut items = Vec::new();
    relations::collect(side, &mut items);
    items.into_iter().any(|item| {
        let rte = server::rt_fetch(item, query);
        match rte.rtekind() {
            pg_sys::RTEKind::RTE_RELATION => read.contains_key(&rte.relid().to_u32()),
            pg_sys::RTEKind::RTE_SUBQUERY => relations::of(rte.subquery()).keys().any(|relid| read.contains_key(relid)),
            _ => false,
        }
    })
}

fn replace(query: Query, index: usize) {
    let rte = server::rt_fetch(index, query);
    let sub = rte.subquery();
    let nothing = make::make::<pg_sys::Query>();
    nothing.set_commandType(pg_sys::CmdType::CMD_SELECT);
    nothing.set_canSetTag(true);
    nothing.set_jointree(make::make::<pg_sys::FromExpr>());
    let mut targets: List = Tree::null();
    for tle in outputs(sub) {
        let expr = tle.expr();
        let of = (server::exprType(expr), server::exprTypmod(expr), server::exprCollation(expr));
        let entry = make::target(make::null(of).cast(), tle.resno() as usize, tle.resname(), false);
        targets = list::lappend(targets, entry.cast());
    }
    nothing.set_targetList(targets);
    rte.set_subquery(nothing);
    rte.set_lateral(false);
    let changed = walk::rewrite_deep(query.cast(), &mut |n, depth| {
        let var = n.cast::<pg_sys::Var>();
        let is_own =
            list::is(n, pg_sys::NodeTag::T_Var) && var.varno() as usize == index && var.varlevelsup() + 1 == depth;
        is_own.then(|| value(sub, var))
    });
    let changed: Query = changed.cast();
    // Columns of joins have no names of their own, and stay columns.
    let joins = list::iter::<pg_sys::RangeTblEntry>(query.rtable()).zip(list::iter(changed.rtable()));
    for (before, after) in joins {
        let after: RangeTblEntry = after;
        after.set_joinaliasvars(before.joinaliasvars());
    }
    query.become_like(changed);
    query.set_hasSubLinks(true);
}

/// The sub-query for one of its columns, as it is seen from where the column stands.
fn value(sub: Query, column: Var) -> Node {
    if fault::on(Fault::ForgetValue) {
        return make::null((column.vartype(), column.vartypmod(), column.varcollid()));
    }
    let one = sub.copy();
    one.set_sortClause(Tree::null());
    let of_column = outputs(one).into_iter().find(|t| t.resno() == column.varattno());
    if let Some(tle) = of_column {
        tle.set_resno(1);
        tle.set_ressortgroupref(0);
        one.set_targetList(list::lappend(Tree::null(), tle.cast()));
    }
    let link = make::make::<pg_sys::SubLink>();
    link.set_subLinkType(pg_sys::SubLinkType::EXPR_SUBLINK);
    link.set_subselect(one.cast());
    link.set_location(-1);
    server::IncrementVarSublevelsUp(link.cast(), column.varlevelsup() as i32, 0);
    link.cast()
}
