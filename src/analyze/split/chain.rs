//! Windows with nothing in common over rows without a key: a stage for those that share a partitioning expression, which
//! carries along what the others need, and the others over it.
//!
//! A stage has one row for each row of the query, so no row has to be found again, and rows that are the same stay as many.
//! Invariant: every column that is looked at above is carried, and a window function is computed over all rows that the query
//! computes it over. Called by `windows`, for what cannot be joined.

use crate::analyze::split::Splitter;
use crate::analyze::split::eligible::can_be_stored;
use crate::analyze::split::groups::plain;
use crate::analyze::split::relation::{column, over};
use crate::analyze::split::windows::{Apart, is_carried, is_row, stage, standalone, window_of};
use crate::pg::error::Result;
use crate::pg::{ext, list, walk};
use pgrx::pg_sys;
use std::collections::BTreeSet;

impl Splitter<'_> {
    /// `apart`: the windows in use, of which none is over all rows.
    pub unsafe fn chained(&mut self, query: *mut pg_sys::Query, apart: &[Apart]) -> Result<Option<*mut pg_sys::Query>> {
        // SAFETY: `query` is a live tree of the server; `apart` belongs to a query that is alive.
        unsafe {
            let Some(first) = most_in_common(apart) else { return Ok(None) };
            let Some((columns, above)) = columns(query, &first, apart) else { return Ok(None) };
            let Some(stage) = stage(query, &first, &columns) else { return Ok(None) };
            let outer = over(stage, self.relation(stage)?)?;
            (*outer).targetList = targets(query, &columns, &above);
            (*outer).hasWindowFuncs = true;
            for window in list::iter::<pg_sys::WindowClause>((*query).windowClause) {
                if above.windows.contains(&(*window).winref) {
                    (*outer).windowClause = pg_sys::lappend((*outer).windowClause, standalone(window).cast());
                }
            }
            // Those that are left may have nothing in common, too.
            self.core(outer).map(Some)
        }
    }
}

/// The windows that share the expression which most partitionings have.
unsafe fn most_in_common(apart: &[Apart]) -> Option<Apart> {
    let sharing = |reference: &u32| apart.iter().filter(|a| a.by.contains(reference)).count();
    let all: BTreeSet<u32> = apart.iter().flat_map(|a| a.by.iter().copied()).collect();
    let most = all.iter().map(&sharing).max()?;
    let shared = all.into_iter().find(|r| sharing(r) == most)?;
    let mut these = apart.iter().filter(|a| a.by.contains(&shared));
    let first = these.next()?.clone();
    let merge = |found: Apart, next: &Apart| Apart {
        by: found.by.intersection(&next.by).copied().collect(),
        windows: found.windows.union(&next.windows).copied().collect(),
    };
    Some(these.fold(first, merge))
}

/// The columns of the stage: its window functions, and what the query looks at beside them; and the windows above it. None
/// when one of the columns cannot be stored.
unsafe fn columns(
    query: *mut pg_sys::Query,
    first: &Apart,
    apart: &[Apart],
) -> Option<(Vec<*mut pg_sys::Node>, Above)> {
    // SAFETY: `query` is a live tree of the server; `first` and `apart` belong to a query that is alive.
    unsafe {
        let windows = apart.iter().flat_map(|a| a.windows.iter().copied()).filter(|w| !first.windows.contains(w));
        let mut above = Above { windows: windows.collect(), sorted: BTreeSet::new() };
        for window in list::iter::<pg_sys::WindowClause>((*query).windowClause) {
            if above.windows.contains(&(*window).winref) {
                for clause in [(*window).partitionClause, (*window).orderClause] {
                    above.sorted.extend(list::iter::<pg_sys::SortGroupClause>(clause).map(|c| (*c).tleSortGroupRef));
                }
            }
        }
        // What the others are partitioned by is a column, which can be indexed.
        let by: BTreeSet<u32> = apart
            .iter()
            .filter(|a| !first.windows.is_superset(&a.windows))
            .flat_map(|a| a.by.iter().copied())
            .collect();
        let by: Vec<*mut pg_sys::Node> = by
            .into_iter()
            .map(|r| plain(query, (*pg_sys::get_sortgroupref_tle(r, (*query).targetList)).expr.cast()))
            .filter(|node| !pg_sys::pull_varnos(std::ptr::null_mut(), *node).is_null())
            .collect();
        let mut columns: Vec<*mut pg_sys::Node> = Vec::new();
        for tle in list::iter::<pg_sys::TargetEntry>((*query).targetList).filter(|t| above.looks_at(*t)) {
            walk::rewrite(plain(query, (*tle).expr.cast()), &mut |n| {
                let here = window_of(n).is_some_and(|w| first.windows.contains(&w));
                let partitions = by.iter().any(|b| pg_sys::equal((*b).cast(), n.cast()));
                if !here && !partitions && !is_carried(n) {
                    return None;
                }
                if !columns.iter().any(|known| pg_sys::equal((*known).cast(), n.cast())) {
                    columns.push(n);
                }
                Some(n)
            });
        }
        columns.iter().all(|c| can_be_stored(*c) && !is_row(*c)).then_some((columns, above))
    }
}

/// What is left to be computed over a stage.
struct Above {
    windows: BTreeSet<u32>,
    /// What they are partitioned and ordered by.
    sorted: BTreeSet<u32>,
}

impl Above {
    unsafe fn looks_at(&self, tle: *mut pg_sys::TargetEntry) -> bool {
        // SAFETY: `tle` is a live node of a tree of the server.
        unsafe { !(*tle).resjunk || self.sorted.contains(&(*tle).ressortgroupref) }
    }
}

/// The target entries of the query, computed from the columns of the stage.
unsafe fn targets(query: *mut pg_sys::Query, columns: &[*mut pg_sys::Node], above: &Above) -> *mut pg_sys::List {
    // SAFETY: `query` is a live tree of the server; `columns` holds live nodes of that tree; `above` belongs to a query that is alive.
    unsafe {
        let mut out: *mut pg_sys::List = std::ptr::null_mut();
        for tle in list::iter::<pg_sys::TargetEntry>((*query).targetList).filter(|t| above.looks_at(*t)) {
            let own = ext::copy(tle);
            let lowered = walk::rewrite(plain(query, (*tle).expr.cast()), &mut |n| {
                columns.iter().position(|c| pg_sys::equal((*c).cast(), n.cast())).map(|at| column(at, n))
            });
            (*own).expr = lowered.cast();
            (*own).resno = list::len(out) as i16 + 1;
            if !above.sorted.contains(&(*own).ressortgroupref) {
                (*own).ressortgroupref = 0;
            }
            out = pg_sys::lappend(out, own.cast());
        }
        out
    }
}
