//! `tviews.rebuild`: a TVIEW and all TVIEWs that it is computed from, computed anew.

use crate::build::populate;
use crate::catalog::stages;
use crate::pg::error::Result;
use crate::refresh::flush::lost::recompute;
use crate::refresh::flush::{Moment, deferred, flush};
use crate::refresh::plan::graph;
use pgrx::pg_sys;
use std::collections::BTreeSet;

/// Recomputes a TVIEW and all TVIEWs that it is computed from, and gives it back the state that its rows lack.
pub fn rebuild(oid: pg_sys::Oid) -> Result<()> {
    flush(Moment::Read);
    let graph = graph::current()?;
    if graph.is_deferred(oid.to_u32()) {
        deferred::recompute(BTreeSet::from([oid.to_u32()]))?;
    } else {
        recompute(graph.below(&BTreeSet::from([oid.to_u32()])))?;
    }
    for part in stages::of(oid).into_iter().chain([oid]) {
        populate::restore_state(part)?;
    }
    Ok(())
}
