//! WITH: each reference becomes a copy of the query that it names.
//!
//! Invariant: the query means the same; recursive queries, and queries that write, stay where they are.
//! Called before anything else is split.

use crate::pg::tree::{List, Query, Text, Tree, list, make, server, walk};
use pgrx::pg_sys;
use std::ffi::CStr;

/// Puts the queries of WITH in the place of their references, unless they are recursive.
pub fn inline(query: Query) {
    // Of WITH RECURSIVE the server has put each query behind those that it reads (TopologicalSort in parse_cte.c).
    let ctes: Vec<Tree<pg_sys::CommonTableExpr>> = list::iter(query.cteList()).collect();
    let mut rest: List = Tree::null();
    for (i, cte) in ctes.iter().enumerate() {
        if cte.cterecursive() || !list::is(cte.ctequery(), pg_sys::NodeTag::T_Query) {
            rest = list::lappend(rest, (*cte).cast());
            continue;
        }
        inline(cte.ctequery().cast());
        let label = cte.ctename().to_c();
        for later in &ctes[i + 1..] {
            replace(later.ctequery().cast(), &label, cte.ctequery().cast(), 1);
        }
        replace(query, &label, cte.ctequery().cast(), 0);
    }
    query.set_cteList(rest);
    for sub in walk::below(query) {
        inline(sub);
    }
}

/// Replaces the references of a CTE that is defined `level` blocks above `query`.
fn replace(query: Query, label: &CStr, body: Query, level: u32) {
    // The queries that are there now: copies of the body have no reference to it.
    let below = walk::below(query);
    for rte in list::iter::<pg_sys::RangeTblEntry>(query.rtable()) {
        if rte.rtekind() == pg_sys::RTEKind::RTE_CTE
            && rte.ctelevelsup() == level
            && !rte.self_reference()
            && rte.ctename().is(label)
        {
            let own = body.copy();
            server::IncrementVarSublevelsUp(own.cast(), level as i32, 1);
            rte.set_rtekind(pg_sys::RTEKind::RTE_SUBQUERY);
            rte.set_subquery(own);
            // Columns have the names of WITH, not the names of its query.
            rte.set_alias(make::alias(&rte.eref().aliasname().to_c(), rte.eref().colnames()));
            rte.set_ctename(Text::null());
            rte.set_ctelevelsup(0);
            rte.set_coltypes(Tree::null());
            rte.set_coltypmods(Tree::null());
            rte.set_colcollations(Tree::null());
        }
    }
    for sub in below {
        replace(sub, label, body, level + 1);
    }
}
