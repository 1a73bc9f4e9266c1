//! Outputs of a stage that nobody looks at.
//!
//! Invariant: a stage computes nothing that the query around it would not have computed.

use crate::analyze::query::tree::outputs;
use crate::pg::tree::{Node, Query, list, make, server, walk};
use pgrx::pg_sys;
use std::collections::BTreeSet;

/// Makes outputs of a grouped sub-query NULL that its query does not look at: computing them could fail where the query
/// itself would not.
pub fn blank(query: Query, index: usize, sub: Query) {
    let s = sub;
    // An aggregate without GROUP BY must stay one.
    let lone = s.hasAggs() && s.groupClause().is_null();
    if lone || !s.setOperations().is_null() || !s.distinctClause().is_null() || s.hasTargetSRFs() {
        return;
    }
    let mut used = BTreeSet::new();
    let mut note = |node: Node| {
        walk::walk(node, &mut |n| {
            if list::is(n, pg_sys::NodeTag::T_Var) && n.cast::<pg_sys::Var>().varno() as usize == index {
                used.insert(n.cast::<pg_sys::Var>().varattno());
            }
            false
        });
    };
    let targets = server::flatten_groups(query, query.targetList().cast());
    let roots: [Node; 3] = [targets, query.jointree().cast(), query.havingQual()];
    for root in roots {
        note(server::flatten_join_aliases(query, root));
    }
    for rte in list::iter::<pg_sys::RangeTblEntry>(query.rtable()) {
        note(rte.subquery().cast());
        note(rte.functions().cast());
        note(rte.values_lists().cast());
        note(rte.tablefunc().cast());
    }
    if used.iter().any(|a| *a <= 0) {
        return;
    }
    for tle in outputs(sub) {
        if !used.contains(&tle.resno()) && tle.ressortgroupref() == 0 {
            let expr: Node = tle.expr();
            let null = make::null((server::exprType(expr), server::exprTypmod(expr), server::exprCollation(expr)));
            tle.set_expr(null.cast());
        }
    }
}
