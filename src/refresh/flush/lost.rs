//! TVIEWs whose contents a crash has emptied, computed anew for the first statement that needs them.

use crate::catalog::sentinel;
use crate::pg::error::Result;
use crate::pg::relation::Relation;
use crate::pg::silent;
use crate::queue::in_flight;
use crate::refresh::flush::pending::Pending;
use crate::refresh::flush::{Flush, Guard, Moment, deferred, flush};
use crate::refresh::plan::graph;
use crate::tam;
use pgrx::pg_sys;
use std::collections::BTreeSet;

/// Recomputes a TVIEW that a crash emptied, before a statement reads it; returns whether the TVIEW was lost. Other relations
/// are left alone.
pub fn recover(oid: pg_sys::Oid) -> Result<bool> {
    if !tam::is_tview(oid) {
        return Ok(false);
    }
    {
        let Some(rel) = Relation::open(oid, pg_sys::AccessShareLock) else { return Ok(false) };
        if !rel.class().relispopulated || sentinel::alive(oid, rel.class()) {
            return Ok(false);
        }
    }
    // SAFETY: plain getter.
    if unsafe { silent::RecoveryInProgress() } {
        return Ok(false);
    }
    let graph = graph::current()?;
    if graph.is_deferred(oid.to_u32()) {
        return deferred::recover(graph.root(oid));
    }
    flush(Moment::Read);
    // Sources first: the source of a lost TVIEW may be lost itself. And no session may hold the TVIEW's lock while it waits for a source.
    for source in graph::current()?.reads.get(&oid.to_u32()).into_iter().flatten() {
        recover(pg_sys::Oid::from(*source))?;
    }
    if is_still_lost(oid) {
        recompute(BTreeSet::from([oid.to_u32()]))?;
    }
    Ok(true)
}

/// Waits until no other session computes the TVIEW and says whether it is still lost. Locks it against such sessions until the transaction ends.
pub fn is_still_lost(oid: pg_sys::Oid) -> bool {
    // Before the TVIEW is opened, in a mode that writers and readers do not wait for.
    // SAFETY: an existing relation, or a lock that is for nothing.
    unsafe { pg_sys::LockRelationOid(oid, pg_sys::ShareUpdateExclusiveLock as i32) };
    Relation::open(oid, pg_sys::NoLock)
        .is_some_and(|rel| rel.class().relispopulated && !sentinel::alive(oid, rel.class()))
}

/// Computes TVIEWs anew and writes the differences, when nothing is pending.
pub fn recompute(recompute: BTreeSet<u32>) -> Result<()> {
    let _guard = Guard::enter();
    let pending = Pending::recompute(recompute);
    let inside = in_flight::any();
    let mut flush = Flush { inside, ..Flush::of(pending) };
    flush.run(graph::current()?)
}
