//! Windows with nothing in common over rows without a key: a stage for the windows that share a partitioning expression, which
//! carries along the columns that the other windows need, and the other windows over it.
//!
//! A stage has one row for each row of the query, so no row has to be found again, and rows that are the same stay as many.
//! Invariant: every column that is looked at above is carried, and a window function is computed over all rows that the query
//! computes it over. Called by `windows`, for stages that cannot be joined.

use crate::analyze::split::Splitter;
use crate::analyze::split::eligible::can_be_stored;
use crate::analyze::split::groups::plain;
use crate::analyze::split::relation::{column, over};
use crate::analyze::split::windows::{Apart, is_carried, is_row, stage, standalone, window_of};
use crate::pg::error::Result;
use crate::pg::tree::{List, Node, Query, TargetEntry, Tree, list, server, walk};
use pgrx::pg_sys;
use std::collections::BTreeSet;

impl Splitter<'_> {
    /// `apart`: the windows in use, of which none is over all rows.
    pub fn chained(&mut self, query: Query, apart: &[Apart]) -> Result<Option<Query>> {
        let Some(first) = most_in_common(apart) else { return Ok(None) };
        let Some((columns, above)) = columns(query, &first, apart) else { return Ok(None) };
        let Some(stage) = stage(query, &first, &columns) else { return Ok(None) };
        let outer = over(stage, self.relation(stage)?)?;
        outer.set_targetList(targets(query, &columns, &above));
        outer.set_hasWindowFuncs(true);
        for window in list::iter::<pg_sys::WindowClause>(query.windowClause()) {
            if above.windows.contains(&window.winref()) {
                outer.set_windowClause(list::lappend(outer.windowClause(), standalone(window).cast()));
            }
        }
        // The windows that are left may have nothing in common, too.
        self.core(outer).map(Some)
    }
}

/// The windows that share the expression which most partitionings have.
fn most_in_common(apart: &[Apart]) -> Option<Apart> {
    let sharing = |reference: &u32| apart.iter().filter(|a| a.by.contains(reference)).count();
    let all: BTreeSet<u32> = apart.iter().flat_map(|a| a.by.iter().copied()).collect();
    let most = all.iter().map(&sharing).max()?;
    let shared = all.into_iter().find(|r| sharing(r) == most)?;
    let mut these = apart.iter().filter(|a| a.by.contains(&shared));
    let first = these.next()?.clone();
    let merge = |found: Apart, next: &Apart| Apart {
        by: found.by.intersection(&next.by).copied().collect(),
        windows: found.windows.union(&next.windows).copied().collect(),
        ..found
    };
    Some(these.fold(first, merge))
}

/// The columns of the stage: its window functions, and the columns that the query looks at beside them; and the windows above it. None
/// when one of the columns cannot be stored.
fn columns(query: Query, first: &Apart, apart: &[Apart]) -> Option<(Vec<Node>, Above)> {
    let windows = apart.iter().flat_map(|a| a.windows.iter().copied()).filter(|w| !first.windows.contains(w));
    let mut above = Above { windows: windows.collect(), sorted: BTreeSet::new() };
    for window in list::iter::<pg_sys::WindowClause>(query.windowClause()) {
        if above.windows.contains(&window.winref()) {
            for clause in [window.partitionClause(), window.orderClause()] {
                above.sorted.extend(list::iter::<pg_sys::SortGroupClause>(clause).map(|c| c.tleSortGroupRef()));
            }
        }
    }
    // Each partitioning expression of the other windows is a column, which can be indexed.
    let by: BTreeSet<u32> =
        apart.iter().filter(|a| !first.windows.is_superset(&a.windows)).flat_map(|a| a.by.iter().copied()).collect();
    let by: Vec<Node> = by
        .into_iter()
        .map(|r| plain(query, server::get_sortgroupref_tle(r, query.targetList()).expr()))
        .filter(|node| !server::pull_varnos(*node).is_empty())
        .collect();
    let mut columns: Vec<Node> = Vec::new();
    for tle in list::iter::<pg_sys::TargetEntry>(query.targetList()).filter(|t| above.looks_at(*t)) {
        walk::rewrite(plain(query, tle.expr()), &mut |n| {
            let here = window_of(n).is_some_and(|w| first.windows.contains(&w));
            let partitions = by.iter().any(|b| server::equal((*b).cast(), n.cast()));
            if !here && !partitions && !is_carried(n) {
                return None;
            }
            if !columns.iter().any(|known| server::equal((*known).cast(), n.cast())) {
                columns.push(n);
            }
            Some(n)
        });
    }
    columns.iter().all(|c| can_be_stored(*c) && !is_row(*c)).then_some((columns, above))
}

/// The windows that are left to be computed over a stage.
struct Above {
    windows: BTreeSet<u32>,
    /// The expressions that they are partitioned and ordered by.
    sorted: BTreeSet<u32>,
}

impl Above {
    fn looks_at(&self, tle: TargetEntry) -> bool {
        !tle.resjunk() || self.sorted.contains(&tle.ressortgroupref())
    }
}

/// The target entries of the query, computed from the columns of the stage.
fn targets(query: Query, columns: &[Node], above: &Above) -> List {
    let mut out: List = Tree::null();
    for tle in list::iter::<pg_sys::TargetEntry>(query.targetList()).filter(|t| above.looks_at(*t)) {
        let own = tle.copy();
        let lowered = walk::rewrite(plain(query, tle.expr()), &mut |n| {
            columns.iter().position(|c| server::equal((*c).cast(), n.cast())).map(|at| column(at, n))
        });
        own.set_expr(lowered.cast());
        own.set_resno(list::len(out) as i16 + 1);
        if !above.sorted.contains(&own.ressortgroupref()) {
            own.set_ressortgroupref(0);
        }
        out = list::lappend(out, own.cast());
    }
    out
}
