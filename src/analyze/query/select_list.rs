//! Set-returning functions of the select list, moved to FROM, where their rows can be followed.
//!
//! `SELECT id, unnest(a), generate_series(1, n) FROM t` is `SELECT id, f.c1, f.c2 FROM t, LATERAL ROWS FROM (unnest(a),
//! generate_series(1, n)) AS f (c1, c2)`: all of them run in step, the shorter ones are filled up with NULLs, and a row for which
//! none returns anything is none. Source: executor/nodeProjectSet.c, and the documentation of SQL functions returning sets.
//! Invariant: the same rows; what is not understood stays where it is, and is `full`. Called by load.

use crate::pg::ext::{self, make};
use crate::pg::{list, walk};
use pgrx::pg_sys;
use std::ffi::CString;

/// Rewrites the query and all queries in it.
///
/// # Safety
/// `query` is a private copy.
pub unsafe fn move_to_from(query: *mut pg_sys::Query) {
    // SAFETY: `query` is a private copy, as the caller promises.
    unsafe {
        walk::walk(query.cast(), &mut |n| {
            if list::is(n, pg_sys::NodeTag::T_Query) {
                rewrite(n.cast());
            }
            false
        });
    }
}

unsafe fn rewrite(query: *mut pg_sys::Query) {
    // SAFETY: `query` is a live tree of the server.
    unsafe {
        let q = &mut *query;
        // Behind groups and windows they see other rows than FROM has.
        let later = q.hasAggs || q.hasWindowFuncs || !q.groupClause.is_null() || !q.groupingSets.is_null();
        if !q.hasTargetSRFs || later || !q.setOperations.is_null() {
            return;
        }
        let index = list::len(q.rtable) as i32 + 1;
        let mut calls: Vec<*mut pg_sys::Node> = Vec::new();
        let mut understood = true;
        let mut moved = Vec::new();
        for tle in list::iter::<pg_sys::TargetEntry>(q.targetList) {
            let expr = walk::rewrite((*tle).expr.cast(), &mut |n| {
                if !returns_set(n) {
                    return None;
                }
                let call = ext::flatten_join_aliases(query, n);
                understood &= is_plain(call);
                calls.push(call);
                let (typid, typmod, collation) = (pg_sys::exprType(n), pg_sys::exprTypmod(n), pg_sys::exprCollation(n));
                Some(pg_sys::makeVar(index, calls.len() as i16, typid, typmod, collation, 0).cast())
            });
            moved.push((tle, expr));
        }
        if !understood || calls.is_empty() {
            return;
        }
        for (tle, expr) in moved {
            (*tle).expr = expr.cast();
        }
        q.rtable = pg_sys::lappend(q.rtable, item(&calls, index).cast());
        let reference = make::<pg_sys::RangeTblRef>(pg_sys::NodeTag::T_RangeTblRef);
        (*reference).rtindex = index;
        (*q.jointree).fromlist = pg_sys::lappend((*q.jointree).fromlist, reference.cast());
        q.hasTargetSRFs = false;
    }
}

unsafe fn returns_set(node: *mut pg_sys::Node) -> bool {
    // SAFETY: `node` is a live node of a tree of the server.
    unsafe {
        if list::is(node, pg_sys::NodeTag::T_FuncExpr) {
            return (*node.cast::<pg_sys::FuncExpr>()).funcretset;
        }
        list::is(node, pg_sys::NodeTag::T_OpExpr) && (*node.cast::<pg_sys::OpExpr>()).opretset
    }
}

/// Whether a call returns one column, from arguments that are no sets and read nothing.
unsafe fn is_plain(call: *mut pg_sys::Node) -> bool {
    // SAFETY: `call` is a live node of a tree of the server.
    unsafe {
        // An operator has no place in FROM.
        if !list::is(call, pg_sys::NodeTag::T_FuncExpr) || pg_sys::type_is_rowtype(pg_sys::exprType(call)) {
            return false;
        }
        let args = (*call.cast::<pg_sys::FuncExpr>()).args.cast();
        !pg_sys::expression_returns_set(args) && !pg_sys::checkExprHasSubLink(args)
    }
}

unsafe fn item(calls: &[*mut pg_sys::Node], index: i32) -> *mut pg_sys::RangeTblEntry {
    // SAFETY: `calls` holds live nodes of one tree.
    unsafe {
        let rte = make::<pg_sys::RangeTblEntry>(pg_sys::NodeTag::T_RangeTblEntry);
        (*rte).rtekind = pg_sys::RTEKind::RTE_FUNCTION;
        (*rte).lateral = true;
        (*rte).inFromCl = true;
        let mut names: *mut pg_sys::List = std::ptr::null_mut();
        for (i, call) in calls.iter().enumerate() {
            let function = make::<pg_sys::RangeTblFunction>(pg_sys::NodeTag::T_RangeTblFunction);
            (*function).funcexpr = *call;
            (*function).funccolcount = 1;
            (*rte).functions = pg_sys::lappend((*rte).functions, function.cast());
            let column = CString::new(format!("c{}", i + 1)).unwrap_or_default();
            names = pg_sys::lappend(names, pg_sys::makeString(pg_sys::pstrdup(column.as_ptr())).cast());
        }
        let label = CString::new(format!("tviews_rows_{index}")).unwrap_or_default();
        (*rte).alias = pg_sys::makeAlias(label.as_ptr(), names);
        (*rte).eref = pg_sys::makeAlias(label.as_ptr(), names);
        rte
    }
}
