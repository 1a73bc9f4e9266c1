//! Set-returning functions of the select list, moved to FROM, where their rows can be followed.
//!
//! `SELECT id, unnest(a), generate_series(1, n) FROM t` is `SELECT id, f.c1, f.c2 FROM t, LATERAL ROWS FROM (unnest(a),
//! generate_series(1, n)) AS f (c1, c2)`: all functions run in step, shorter results are filled up with NULLs, and a row for which
//! no function returns a row gives none. Calls inside of others are an item in front of them. Source: executor/nodeProjectSet.c, and the documentation of SQL functions returning sets.
//! Invariant: the same rows; a call that is not understood stays where it is, and the query is `full`. Called by load.

use crate::pg::tree::{List, Node, Query, RangeTblEntry, Text, Tree, list, lsyscache, make, server, walk};
use pgrx::pg_sys;
use std::ffi::CString;

/// Rewrites the query and all queries in it.
pub fn move_to_from(query: Query) {
    walk::walk(query.cast(), &mut |n| {
        if list::is(n, pg_sys::NodeTag::T_Query) {
            rewrite(n.cast());
        }
        false
    });
}

/// Rewrites one block.
pub fn rewrite(query: Query) {
    // Behind groups and windows the functions see other rows than FROM has.
    let later =
        query.hasAggs() || query.hasWindowFuncs() || !query.groupClause().is_null() || !query.groupingSets().is_null();
    if !query.hasTargetSRFs() || later || !query.setOperations().is_null() {
        return;
    }
    let entries: Vec<_> = list::iter::<pg_sys::TargetEntry>(query.targetList()).collect();
    let mut exprs: Vec<Node> = entries.iter().map(|t| server::flatten_join_aliases(query, t.expr())).collect();
    let mut items = Vec::new();
    // Inner calls first: those that have no sets in their arguments run in step, and those around them for each of their rows (tlist.c,
    // split_pathtarget_at_srfs).
    loop {
        let index = list::len(query.rtable()) as i32 + 1 + items.len() as i32;
        let Some(calls) = innermost(&mut exprs, index) else { return };
        if calls.is_empty() {
            break;
        }
        items.push(item(&calls, index));
    }
    for (tle, expr) in entries.into_iter().zip(exprs) {
        tle.set_expr(expr.cast());
    }
    for item in items {
        query.set_rtable(list::lappend(query.rtable(), item.cast()));
        let reference = make::make::<pg_sys::RangeTblRef>();
        reference.set_rtindex(list::len(query.rtable()) as i32);
        query.jointree().set_fromlist(list::lappend(query.jointree().fromlist(), reference.cast()));
    }
    query.set_hasTargetSRFs(false);
}

/// Replaces the calls without sets in their arguments by columns of an item, and returns them; None when one is not understood.
fn innermost(exprs: &mut [Node], index: i32) -> Option<Vec<Node>> {
    let mut calls: Vec<Node> = Vec::new();
    let mut understood = true;
    for expr in exprs {
        *expr = walk::rewrite(*expr, &mut |n| {
            if !returns_set(n) || has_sets_inside(n) {
                return None;
            }
            understood &= is_plain(n);
            calls.push(n);
            let (typid, typmod, collation) = (server::exprType(n), server::exprTypmod(n), server::exprCollation(n));
            Some(make::var(index, calls.len() as i16, (typid, typmod, collation), 0).cast())
        });
    }
    understood.then_some(calls)
}

/// Whether an argument of a call returns a set.
fn has_sets_inside(call: Node) -> bool {
    let args = match call.tag() {
        pg_sys::NodeTag::T_FuncExpr => call.cast::<pg_sys::FuncExpr>().args(),
        _ => call.cast::<pg_sys::OpExpr>().args(),
    };
    server::expression_returns_set(args.cast())
}

fn returns_set(node: Node) -> bool {
    if list::is(node, pg_sys::NodeTag::T_FuncExpr) {
        return node.cast::<pg_sys::FuncExpr>().funcretset();
    }
    list::is(node, pg_sys::NodeTag::T_OpExpr) && node.cast::<pg_sys::OpExpr>().opretset()
}

/// Whether a call returns one column, from arguments that are no sets and read nothing.
fn is_plain(call: Node) -> bool {
    // An operator has no place in FROM.
    if !list::is(call, pg_sys::NodeTag::T_FuncExpr) || lsyscache::type_is_rowtype(server::exprType(call)) {
        return false;
    }
    let args = call.cast::<pg_sys::FuncExpr>().args().cast();
    !server::expression_returns_set(args) && !server::checkExprHasSubLink(args)
}

fn item(calls: &[Node], index: i32) -> RangeTblEntry {
    let rte = make::make::<pg_sys::RangeTblEntry>();
    rte.set_rtekind(pg_sys::RTEKind::RTE_FUNCTION);
    rte.set_lateral(true);
    rte.set_inFromCl(true);
    let mut names: List = Tree::null();
    for (i, call) in calls.iter().enumerate() {
        let function = make::make::<pg_sys::RangeTblFunction>();
        function.set_funcexpr(*call);
        function.set_funccolcount(1);
        rte.set_functions(list::lappend(rte.functions(), function.cast()));
        let column = CString::new(format!("c{}", i + 1)).unwrap_or_default();
        names = list::lappend(names, make::string(Text::of(&column)));
    }
    let label = CString::new(format!("tviews_rows_{index}")).unwrap_or_default();
    rte.set_alias(make::alias(&label, names));
    rte.set_eref(make::alias(&label, names));
    rte
}
