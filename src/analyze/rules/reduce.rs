//! A sub-query stripped of everything behind WHERE, to be lifted into FROM.
//!
//! Outputs that do not name the rows which a change affects become unknown. Sub-links in them are kept as outputs of their own,
//! which nobody looks at, so that they are lifted in their turn; those that are computed without a row around them are not,
//! and the relations inside of them are then not found often enough to be followed (decide).
//! Invariant: the stripped query has all rows that the sub-query is computed from. Called by lift.

use crate::analyze::query::levels;
use crate::analyze::query::tree::{self, strip};
use crate::analyze::rules::lift;
use crate::pg::{ext, list, walk};
use pgrx::pg_sys;
use std::collections::BTreeSet;
use std::ffi::CString;
use tviews_core::reason::Reason;

/// Strips a sub-query of everything behind WHERE; outputs that do not name the rows which a change affects become NULL.
/// Returns their numbers.
pub unsafe fn reduce(sub: *mut pg_sys::Query) -> Result<BTreeSet<i16>, Reason> {
    // SAFETY: `sub` is a live tree of the server.
    unsafe {
        let q = &mut *sub;
        if !q.setOperations.is_null() {
            return Err(Reason::InsideSetOperation);
        }
        if !q.cteList.is_null() {
            return Err(Reason::InsideWith);
        }
        if q.hasTargetSRFs {
            return Err(Reason::SetReturningInside);
        }
        if !q.groupingSets.is_null() {
            return Err(Reason::GroupingSetsInside);
        }
        let limited = !q.limitCount.is_null() || !q.limitOffset.is_null();
        let grouped = !q.groupClause.is_null() || q.hasAggs || !q.havingQual.is_null();
        let refs = |clause: *mut pg_sys::List| {
            list::iter::<pg_sys::SortGroupClause>(clause).map(|c| (*c).tleSortGroupRef).collect::<BTreeSet<u32>>()
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
            keep(refs(q.groupClause));
        }
        if q.hasDistinctOn {
            keep(refs(q.distinctClause));
        }
        for window in list::iter::<pg_sys::WindowClause>(q.windowClause) {
            keep(refs((*window).partitionClause));
        }
        let mut unknown = BTreeSet::new();
        let mut below = Vec::new();
        for tle in list::iter::<pg_sys::TargetEntry>(q.targetList) {
            let expr = ext::flatten_groups(sub, (*tle).expr.cast());
            let known =
                kept.as_ref().is_none_or(|k| (*tle).ressortgroupref != 0 && k.contains(&(*tle).ressortgroupref))
                    && !levels::has_aggregates(expr);
            if !known || (*tle).resjunk {
                links_of_rows(sub, expr, &mut below);
            }
            (*tle).expr = if known { expr.cast() } else { forgotten(expr).cast() };
            if !known && !(*tle).resjunk {
                unknown.insert((*tle).resno);
            }
        }
        let outs = tree::outputs(sub);
        strip(sub);
        q.limitCount = std::ptr::null_mut();
        q.limitOffset = std::ptr::null_mut();
        let mut targets: *mut pg_sys::List = std::ptr::null_mut();
        for tle in outs {
            (*tle).ressortgroupref = 0;
            targets = pg_sys::lappend(targets, tle.cast());
        }
        for link in below {
            let number = list::len(targets) as i16 + 1;
            let label = CString::new(format!("tviews_below_{number}")).unwrap_or_default();
            let own = pg_sys::makeTargetEntry(link.cast(), number, pg_sys::pstrdup(label.as_ptr()), false);
            targets = pg_sys::lappend(targets, own.cast());
            unknown.insert(number);
        }
        q.targetList = targets;
        drop_aggregates_above(sub)?;
        Ok(unknown)
    }
}

/// Drops the conditions on aggregates of the queries around, which FROM cannot look at.
unsafe fn drop_aggregates_above(sub: *mut pg_sys::Query) -> Result<(), Reason> {
    // SAFETY: the nodes are live ones of a tree of the server.
    unsafe {
        let refused = || Reason::AggregateAround;
        if levels::has_aggregates(sub.cast()) {
            lift::forget_in_joins(sub, (*sub).jointree.cast(), &|node| levels::has_aggregates(node))
                .map_err(|_| refused())?;
        }
        if levels::has_aggregates(sub.cast()) {
            return Err(refused());
        }
        Ok(())
    }
}

/// Sub-links in an output of a sub-query that are computed for its rows or groups, and for nothing else: a change inside of
/// them concerns those for whom there is such a row. They are kept among the outputs, where they are found.
unsafe fn links_of_rows(sub: *mut pg_sys::Query, expr: *mut pg_sys::Node, found: &mut Vec<*mut pg_sys::SubLink>) {
    // SAFETY: `sub` is a live tree of the server; `expr` is a live node of such a tree; `found` holds live nodes of that tree.
    unsafe {
        // Without GROUP BY there is a group without rows; only the arguments of its aggregates are never computed then.
        let lone = ((*sub).hasAggs || !(*sub).havingQual.is_null()) && (*sub).groupClause.is_null();
        walk::rewrite(expr, &mut |n| {
            if lone && list::is(n, pg_sys::NodeTag::T_Aggref) {
                let agg = &*n.cast::<pg_sys::Aggref>();
                if agg.aggdirectargs.is_null() && agg.agglevelsup == 0 {
                    links_in(agg.args.cast(), found);
                    links_in(agg.aggfilter.cast(), found);
                }
                return Some(n);
            }
            None
        });
        if !lone {
            links_in(expr, found);
        }
    }
}

/// Those that look at no aggregate or window of the blocks around them.
unsafe fn links_in(root: *mut pg_sys::Node, found: &mut Vec<*mut pg_sys::SubLink>) {
    // SAFETY: `root` is a live node of a tree of the server; `found` holds live nodes of that tree.
    unsafe {
        walk::rewrite(root, &mut |n| {
            if !list::is(n, pg_sys::NodeTag::T_SubLink) {
                return None;
            }
            let link = n.cast::<pg_sys::SubLink>();
            let computed = levels::is_computed((*link).testexpr) || levels::has_aggregates((*link).subselect);
            if !computed {
                found.push(link);
            }
            Some(n)
        });
    }
}

/// NULL in the place of an expression whose value is unknown; told from other NULLs by its location.
pub unsafe fn forgotten(expr: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: `expr` is a live node of a tree of the server.
    unsafe {
        let null = pg_sys::makeNullConst(pg_sys::exprType(expr), pg_sys::exprTypmod(expr), pg_sys::exprCollation(expr));
        (*null).location = FORGOTTEN;
        null.cast()
    }
}

const FORGOTTEN: i32 = -77;

pub unsafe fn is_forgotten(expr: *mut pg_sys::Node) -> bool {
    // SAFETY: `expr` is a live node of a tree of the server.
    unsafe { list::is(expr, pg_sys::NodeTag::T_Const) && (*expr.cast::<pg_sys::Const>()).location == FORGOTTEN }
}
