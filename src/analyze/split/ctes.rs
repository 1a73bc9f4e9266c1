//! WITH: each reference becomes a copy of the query that it names.
//!
//! Invariant: the query means the same; recursive queries, and those that write, stay where they are.
//! Called before anything else is split.

use crate::pg::{ext, list, walk};
use pgrx::pg_sys;
use std::ffi::CStr;

/// Puts the queries of WITH in the place of their references, unless they are recursive.
pub unsafe fn inline(query: *mut pg_sys::Query) {
    // SAFETY: `query` is a live tree of the server.
    unsafe {
        if (*query).hasRecursive {
            return;
        }
        let ctes: Vec<*mut pg_sys::CommonTableExpr> = list::iter((*query).cteList).collect();
        let mut all = true;
        for (i, cte) in ctes.iter().enumerate() {
            let cte = &**cte;
            if cte.cterecursive || !list::is(cte.ctequery, pg_sys::NodeTag::T_Query) {
                all = false;
                continue;
            }
            inline(cte.ctequery.cast());
            let label = CStr::from_ptr(cte.ctename);
            for later in &ctes[i + 1..] {
                replace((**later).ctequery.cast(), label, cte.ctequery.cast(), 1);
            }
            replace(query, label, cte.ctequery.cast(), 0);
        }
        if all {
            (*query).cteList = std::ptr::null_mut();
        }
        for sub in walk::below(query) {
            inline(sub);
        }
    }
}

/// Replaces the references of a CTE that is defined `level` blocks above `query`.
unsafe fn replace(query: *mut pg_sys::Query, label: &CStr, body: *mut pg_sys::Query, level: u32) {
    // SAFETY: `query` and `body` are live trees of the server.
    unsafe {
        // Those that are there now: copies of the body have no reference to it.
        let below = walk::below(query);
        for rte in list::iter::<pg_sys::RangeTblEntry>((*query).rtable) {
            if (*rte).rtekind == pg_sys::RTEKind::RTE_CTE
                && (*rte).ctelevelsup == level
                && !(*rte).self_reference
                && CStr::from_ptr((*rte).ctename) == label
            {
                let own = ext::copy(body);
                pg_sys::IncrementVarSublevelsUp(own.cast(), level as i32, 1);
                (*rte).rtekind = pg_sys::RTEKind::RTE_SUBQUERY;
                (*rte).subquery = own;
                // Columns have the names of WITH, not those of its query.
                (*rte).alias = pg_sys::makeAlias((*(*rte).eref).aliasname, (*(*rte).eref).colnames);
                (*rte).ctename = std::ptr::null_mut();
                (*rte).ctelevelsup = 0;
                (*rte).coltypes = std::ptr::null_mut();
                (*rte).coltypmods = std::ptr::null_mut();
                (*rte).colcollations = std::ptr::null_mut();
            }
        }
        for sub in below {
            replace(sub, label, body, level + 1);
        }
    }
}
