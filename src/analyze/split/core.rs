//! What stands above the rows of a query: LIMIT, DISTINCT over windows, and whatever is done to groups.
//!
//! Invariant: the query over the stage gives the same rows.

use crate::analyze::describe::partition_columns;
use crate::analyze::query::relations;
use crate::analyze::split::Splitter;
use crate::analyze::split::eligible::can_be_stored;
use crate::analyze::split::groups::{has_links_beside, shows_groups};
use crate::analyze::split::relation::{column, label, over};
use crate::analyze::split::windows::partitionings;
use crate::pg::error::Result;
use crate::pg::{ext, list};
use pgrx::pg_sys;
use std::collections::BTreeSet;

impl Splitter<'_> {
    /// Makes the grouped or unlimited core of a query a stage, when more is done to it.
    pub unsafe fn core(&mut self, query: *mut pg_sys::Query) -> Result<*mut pg_sys::Query> {
        // SAFETY: `query` is a live tree of the server.
        unsafe {
            let q = &*query;
            if !q.setOperations.is_null() && (!q.limitCount.is_null() || !q.limitOffset.is_null()) {
                return self.exposed(query);
            }
            if !q.setOperations.is_null() || q.hasTargetSRFs {
                return Ok(query);
            }
            let limited = !q.limitCount.is_null() || !q.limitOffset.is_null();
            if !q.groupingSets.is_null() {
                let more = limited || !q.distinctClause.is_null() || q.hasWindowFuncs || has_links_beside(query);
                let outer = if more { self.above_groups(query)? } else { None };
                return match outer {
                    Some(outer) => self.core(outer),
                    None => Ok(query),
                };
            }
            let grouped = !q.groupClause.is_null() || q.hasAggs;
            let distinct = !q.distinctClause.is_null();
            if grouped && (limited || distinct || q.hasWindowFuncs || !q.havingQual.is_null() || !shows_groups(query)) {
                if let Some(outer) = self.above_groups(query)? {
                    return self.core(outer);
                }
                return Ok(query);
            }
            if grouped {
                if let Some(outer) = self.distinct_aggregates(query)? {
                    return Ok(outer);
                }
                return Ok(self.totals(query)?.unwrap_or(query));
            }
            let windows = q.hasWindowFuncs;
            if distinct && !windows && !limited && hides_group(query) {
                return self.all_shown(query);
            }
            if windows && !limited && !distinct && !has_partitions(query) {
                return Ok(self.windows_apart(query)?.unwrap_or(query));
            }
            if limited || (windows && (distinct || partition_columns(query).is_empty())) {
                return self.exposed(query);
            }
            Ok(query)
        }
    }

    /// The query without LIMIT, and without DISTINCT over windows, as a stage that shows all columns it sorts and
    /// partitions by.
    unsafe fn exposed(&mut self, query: *mut pg_sys::Query) -> Result<*mut pg_sys::Query> {
        // SAFETY: `query` is a live tree of the server.
        unsafe {
            let limited = !(*query).limitCount.is_null() || !(*query).limitOffset.is_null();
            if limited && ((*query).sortClause.is_null() || looks_simple(query)) || !limited && !is_partitioned(query) {
                return Ok(query);
            }
            self.all_shown(query)
        }
    }

    unsafe fn all_shown(&mut self, query: *mut pg_sys::Query) -> Result<*mut pg_sys::Query> {
        // SAFETY: `query` is a live tree of the server.
        unsafe {
            let inner = ext::copy(query);
            (*inner).limitCount = std::ptr::null_mut();
            (*inner).limitOffset = std::ptr::null_mut();
            let distinct_above = (*query).hasWindowFuncs && !(*query).distinctClause.is_null();
            if distinct_above {
                (*inner).distinctClause = std::ptr::null_mut();
                (*inner).hasDistinctOn = false;
            }
            if !(*inner).hasDistinctOn {
                (*inner).sortClause = std::ptr::null_mut();
            }
            let mut exprs = Vec::new();
            for (i, tle) in list::iter::<pg_sys::TargetEntry>((*inner).targetList).enumerate() {
                (*tle).resjunk = false;
                (*tle).resno = i as i16 + 1;
                let expr = ext::flatten_groups(query, (*tle).expr.cast());
                if !can_be_stored(expr) {
                    return Ok(query);
                }
                exprs.push(expr);
                (*tle).resname = label(i);
            }
            let oid = self.relation(inner)?;
            let outer = over(inner, oid)?;
            let mut targetlist: *mut pg_sys::List = std::ptr::null_mut();
            for (i, (tle, expr)) in list::iter::<pg_sys::TargetEntry>((*query).targetList).zip(exprs).enumerate() {
                let own = ext::copy(tle);
                (*own).expr = column(i, expr).cast();
                targetlist = pg_sys::lappend(targetlist, own.cast());
            }
            (*outer).targetList = targetlist;
            (*outer).sortClause = (*query).sortClause;
            if distinct_above {
                (*outer).distinctClause = (*query).distinctClause;
                (*outer).hasDistinctOn = (*query).hasDistinctOn;
            }
            (*outer).limitCount = (*query).limitCount;
            (*outer).limitOffset = (*query).limitOffset;
            (*outer).limitOption = (*query).limitOption;
            Ok(outer)
        }
    }
}

/// Whether DISTINCT ON is about an expression that is not an output.
unsafe fn hides_group(query: *mut pg_sys::Query) -> bool {
    // SAFETY: `query` is a live tree of the server.
    unsafe {
        let hidden = |reference| (*pg_sys::get_sortgroupref_tle(reference, (*query).targetList)).resjunk;
        (*query).hasDistinctOn
            && list::iter::<pg_sys::SortGroupClause>((*query).distinctClause).any(|c| hidden((*c).tleSortGroupRef))
    }
}

/// Whether all windows of a query are partitioned by something in common.
unsafe fn has_partitions(query: *mut pg_sys::Query) -> bool {
    // SAFETY: `query` is a live tree of the server.
    unsafe {
        let mut common: Option<BTreeSet<u32>> = None;
        for window in list::iter::<pg_sys::WindowClause>((*query).windowClause) {
            let these: BTreeSet<u32> = list::iter::<pg_sys::SortGroupClause>((*window).partitionClause)
                .map(|c| (*c).tleSortGroupRef)
                .collect();
            common = Some(match common {
                None => these,
                Some(before) => before.intersection(&these).copied().collect(),
            });
        }
        common.is_some_and(|c| !c.is_empty())
    }
}

/// Whether no window of a query needs all rows, so that a stage with its windows is not full.
unsafe fn is_partitioned(query: *mut pg_sys::Query) -> bool {
    // SAFETY: `query` is a live tree of the server.
    unsafe { has_partitions(query) || partitionings(query).is_some_and(|apart| apart.len() > 1) }
}

/// One relation, with nothing but a projection: storing it once more would not help.
unsafe fn looks_simple(query: *mut pg_sys::Query) -> bool {
    // SAFETY: `query` is a live tree of the server.
    unsafe {
        let from = relations::in_from(query);
        from.len() == 1
            && is_relation(query, from[0])
            && !(*query).hasSubLinks
            && !(*query).hasWindowFuncs
            && (*query).distinctClause.is_null()
    }
}

unsafe fn is_relation(query: *mut pg_sys::Query, index: usize) -> bool {
    // SAFETY: `query` is a live tree of the server.
    unsafe {
        (*list::nth::<pg_sys::RangeTblEntry>((*query).rtable, index - 1)).rtekind == pg_sys::RTEKind::RTE_RELATION
    }
}
