//! A sub-query stripped of everything behind WHERE, to be lifted into FROM.
//!
//! Outputs that do not name the rows which a change affects become unknown. Sub-links in them are kept as outputs of their own,
//! which nobody looks at, so that they are lifted in their turn; sub-links that are computed without a row around them are not kept,
//! and the relations inside of these are then not found often enough to be followed (decide).
//! Invariant: the stripped query has all rows that the sub-query is computed from. Called by lift.

use crate::analyze::query::levels;
use crate::analyze::query::tree::{self, strip, type_of};
use crate::analyze::rules::forget;
use crate::pg::tree::{List, Node, Query, Text, Tree, list, make, server, walk};
use pgrx::pg_sys;
use std::collections::BTreeSet;
use std::ffi::CString;
use tviews_core::reason::Reason;

/// Strips a sub-query of everything behind WHERE; outputs that do not name the rows which a change affects become NULL.
/// Returns their numbers.
pub fn reduce(sub: Query) -> Result<BTreeSet<i16>, Reason> {
    if !sub.setOperations().is_null() {
        return Err(Reason::InsideSetOperation);
    }
    if !sub.cteList().is_null() {
        return Err(Reason::InsideWith);
    }
    if sub.hasTargetSRFs() {
        return Err(Reason::SetReturningInside);
    }
    if !sub.groupingSets().is_null() {
        return Err(Reason::GroupingSetsInside);
    }
    let limited = !sub.limitCount().is_null() || !sub.limitOffset().is_null();
    let grouped = !sub.groupClause().is_null() || sub.hasAggs() || !sub.havingQual().is_null();
    let refs = |clause: List| {
        list::iter::<pg_sys::SortGroupClause>(clause).map(|c| c.tleSortGroupRef()).collect::<BTreeSet<u32>>()
    };
    // Sort references of the entries that keep their value; None: all of them do.
    let mut kept: Option<BTreeSet<u32>> = None;
    let mut keep = |these: BTreeSet<u32>| {
        kept = Some(match kept.take() {
            None => these,
            Some(before) => before.intersection(&these).copied().collect(),
        });
    };
    if limited {
        keep(BTreeSet::new());
    }
    if grouped {
        keep(refs(sub.groupClause()));
    }
    if sub.hasDistinctOn() {
        keep(refs(sub.distinctClause()));
    }
    for window in list::iter::<pg_sys::WindowClause>(sub.windowClause()) {
        keep(refs(window.partitionClause()));
    }
    let mut unknown = BTreeSet::new();
    let mut below = Vec::new();
    for tle in list::iter::<pg_sys::TargetEntry>(sub.targetList()) {
        let expr = server::flatten_groups(sub, tle.expr());
        let known = kept.as_ref().is_none_or(|k| tle.ressortgroupref() != 0 && k.contains(&tle.ressortgroupref()))
            && !levels::has_aggregates(expr);
        if !known || tle.resjunk() {
            links_of_rows(sub, expr, &mut below);
        }
        tle.set_expr(if known { expr.cast() } else { forgotten(expr).cast() });
        if !known && !tle.resjunk() {
            unknown.insert(tle.resno());
        }
    }
    let outs = tree::outputs(sub);
    strip(sub);
    sub.set_limitCount(Tree::null());
    sub.set_limitOffset(Tree::null());
    let mut targets: List = Tree::null();
    for tle in outs {
        tle.set_ressortgroupref(0);
        targets = list::lappend(targets, tle.cast());
    }
    for link in below {
        let number = list::len(targets) + 1;
        let label = CString::new(format!("tviews_below_{number}")).unwrap_or_default();
        let own = make::target(link.cast(), number, Text::of(&label), false);
        targets = list::lappend(targets, own.cast());
        unknown.insert(number as i16);
    }
    sub.set_targetList(targets);
    drop_aggregates_above(sub)?;
    Ok(unknown)
}

/// Drops the conditions on aggregates of the queries around, which FROM cannot look at.
fn drop_aggregates_above(sub: Query) -> Result<(), Reason> {
    let refused = || Reason::AggregateAround;
    if levels::has_aggregates(sub.cast()) {
        forget::drop_conditions(sub, sub.jointree().cast(), &|node| levels::has_aggregates(node))
            .map_err(|_| refused())?;
    }
    if levels::has_aggregates(sub.cast()) {
        return Err(refused());
    }
    Ok(())
}

/// Sub-links in an output of a sub-query that are computed for its rows or groups, and for nothing else: a change inside of
/// a sub-link concerns outer rows for which there is such a row. They are kept among the outputs, where `lift` finds them.
fn links_of_rows(sub: Query, expr: Node, found: &mut Vec<Tree<pg_sys::SubLink>>) {
    // Without GROUP BY there is a group without rows; only the arguments of its aggregates are never computed then.
    let lone = (sub.hasAggs() || !sub.havingQual().is_null()) && sub.groupClause().is_null();
    walk::rewrite(expr, &mut |n| {
        if lone && list::is(n, pg_sys::NodeTag::T_Aggref) {
            let agg = n.cast::<pg_sys::Aggref>();
            if agg.aggdirectargs().is_null() && agg.agglevelsup() == 0 {
                links_in(agg.args().cast(), found);
                links_in(agg.aggfilter(), found);
            }
            return Some(n);
        }
        None
    });
    if !lone {
        links_in(expr, found);
    }
}

/// Sub-links of the outputs and of HAVING that are computed beside aggregates without GROUP BY.
pub fn links_beside(sub: Query) -> Vec<Tree<pg_sys::SubLink>> {
    let mut found = Vec::new();
    let outputs = list::iter::<pg_sys::TargetEntry>(sub.targetList()).map(|t| t.expr());
    for expr in outputs.chain([sub.havingQual()]).filter(|e| !e.is_null()) {
        // Arguments of aggregates are computed for rows.
        let beside = walk::rewrite(expr, &mut |n| {
            let is_own = list::is(n, pg_sys::NodeTag::T_Aggref) && n.cast::<pg_sys::Aggref>().agglevelsup() == 0;
            is_own.then(|| make::null(type_of(n)))
        });
        links_in(beside, &mut found);
    }
    found
}

/// Sub-links that look at no aggregate or window of the blocks around them.
fn links_in(root: Node, found: &mut Vec<Tree<pg_sys::SubLink>>) {
    walk::rewrite(root, &mut |n| {
        if !list::is(n, pg_sys::NodeTag::T_SubLink) {
            return None;
        }
        let link = n.cast::<pg_sys::SubLink>();
        let computed = levels::is_computed(link.testexpr()) || levels::has_aggregates(link.subselect());
        if !computed {
            found.push(link);
        }
        Some(n)
    });
}

/// NULL in the place of an expression whose value is unknown; told from other NULLs by its location.
pub fn forgotten(expr: Node) -> Node {
    let null: Tree<pg_sys::Const> = make::null(type_of(expr)).cast();
    null.set_location(FORGOTTEN);
    null.cast()
}

const FORGOTTEN: i32 = -77;

pub fn is_forgotten(expr: Node) -> bool {
    list::is(expr, pg_sys::NodeTag::T_Const) && expr.cast::<pg_sys::Const>().location() == FORGOTTEN
}
