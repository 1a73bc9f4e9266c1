//! The query of a TVIEW: as stored, and with the views it reads expanded.
//!
//! Source: commands/matview.c (the one rule of a matview), rewrite/rewriteHandler.c.

use crate::analyze::query::{grouping_sets, joins, select_list, view_rows};
use crate::pg::error::{Error, Result};
use crate::pg::relation::Relation;
use crate::pg::{ext, list, walk};
use pgrx::pg_sys;

/// A copy of the stored defining query of a materialized view, in the form in which it is written.
pub fn stored(rel: &Relation) -> Result<*mut pg_sys::Query> {
    // SAFETY: rules belong to the open relation; the action is copied.
    unsafe {
        let rules = (*rel.raw()).rd_rules;
        if rules.is_null() || (*rules).numLocks < 1 {
            return Err(Error::Internal(format!("relation {} has no rule", rel.oid().to_u32())));
        }
        let actions = (**(*rules).rules).actions;
        if list::len(actions) != 1 {
            return Err(Error::Internal("a materialized view has more than one action".into()));
        }
        let query = ext::copy(list::nth::<pg_sys::Query>(actions, 0));
        written(query);
        Ok(query)
    }
}

/// A copy of `query` in the form in which it is written.
///
/// # Safety
/// `query` is a valid analysed query.
pub unsafe fn plain(query: *mut pg_sys::Query) -> *mut pg_sys::Query {
    // SAFETY: the nodes are live ones of a tree of the server, as the caller promises.
    unsafe {
        let copy = ext::copy(query);
        written(copy);
        copy
    }
}

/// Gives a query, in place, a form that its text keeps.
unsafe fn written(query: *mut pg_sys::Query) {
    // SAFETY: the nodes are live ones of a tree of the server.
    unsafe {
        joins::plain(query);
        grouping_sets::tell_apart(query);
    }
}

/// A copy of `query` in which views are sub-queries.
///
/// # Safety
/// `query` is a valid analysed SELECT.
pub unsafe fn expand(query: *mut pg_sys::Query) -> Result<*mut pg_sys::Query> {
    // SAFETY: `query` is a valid analysed SELECT, as the caller promises.
    unsafe {
        let copy = ext::copy(query);
        pg_sys::AcquireRewriteLocks(copy, true, false);
        let clauses = Clauses::take(copy);
        let rewritten = pg_sys::QueryRewrite(copy);
        if list::len(rewritten) != 1 {
            return Err(Error::unsupported("query is rewritten by a rule", -1, "Only plain SELECT can be maintained."));
        }
        let expanded = list::nth(rewritten, 0);
        clauses.put_back(expanded)?;
        view_rows::spell_out(expanded);
        written(expanded);
        select_list::move_to_from(expanded);
        Ok(expanded)
    }
}

/// SEARCH and CYCLE of the recursive queries in a query. The server would rewrite them together with the views, to something
/// that cannot be written (rewriteSearchCycle.c), and leave them where they are.
struct Clauses(Vec<(*mut pg_sys::CommonTableExpr, *mut pg_sys::CTESearchClause, *mut pg_sys::CTECycleClause)>);

impl Clauses {
    unsafe fn take(query: *mut pg_sys::Query) -> Clauses {
        // SAFETY: the nodes are live ones of a tree of the server.
        unsafe {
            let mut taken = Vec::new();
            each_with(query, &mut |cte| {
                taken.push((cte, (*cte).search_clause, (*cte).cycle_clause));
                (*cte).search_clause = std::ptr::null_mut();
                (*cte).cycle_clause = std::ptr::null_mut();
            });
            Clauses(taken)
        }
    }

    /// Those that are left then are those of views.
    unsafe fn put_back(self, query: *mut pg_sys::Query) -> Result<()> {
        // SAFETY: the nodes are live ones of a tree of the server.
        unsafe {
            let mut rewritten = false;
            each_with(query, &mut |cte| rewritten |= !(*cte).search_clause.is_null() || !(*cte).cycle_clause.is_null());
            if rewritten {
                return Err(Error::unsupported(
                    "SEARCH and CYCLE in a view cannot be maintained",
                    -1,
                    "Write the recursive query in the query of the TVIEW.",
                ));
            }
            for (cte, search, cycle) in self.0 {
                (*cte).search_clause = search;
                (*cte).cycle_clause = cycle;
            }
            Ok(())
        }
    }
}

unsafe fn each_with(query: *mut pg_sys::Query, f: &mut dyn FnMut(*mut pg_sys::CommonTableExpr)) {
    // SAFETY: the nodes are live ones of a tree of the server.
    unsafe {
        walk::walk(query.cast(), &mut |n| {
            if list::is(n, pg_sys::NodeTag::T_CommonTableExpr) {
                f(n.cast());
            }
            false
        });
    }
}
