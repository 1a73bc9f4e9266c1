//! TVIEWs whose contents a crash has emptied, computed anew by whoever needs them first.

use crate::catalog::sentinel;
use crate::pg::error::Result;
use crate::pg::relation::Relation;
use crate::queue::in_flight;
use crate::refresh::flush::pending::Pending;
use crate::refresh::flush::{Flush, Guard, Moment, flush};
use crate::refresh::plan::graph;
use crate::tam;
use pgrx::pg_sys;
use std::collections::BTreeSet;

/// Rebuilds what a crash emptied, before somebody reads it; returns whether it had to. Relations that are no TVIEWs are
/// left alone.
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
    if unsafe { pg_sys::RecoveryInProgress() } {
        return Ok(false);
    }
    flush(Moment::Read);
    // Sources first: a TVIEW read by a lost one may be lost itself. Nor may anybody hold one who wants its sources.
    for source in graph::current()?.reads.get(&oid.to_u32()).into_iter().flatten() {
        recover(pg_sys::Oid::from(*source))?;
    }
    if is_still_lost(oid) {
        recompute(BTreeSet::from([oid.to_u32()]))?;
    }
    Ok(true)
}

/// Whether a TVIEW is lost when nobody else computes it any more. Locks it against others who would, until the transaction ends.
pub fn is_still_lost(oid: pg_sys::Oid) -> bool {
    // Not by opening it: a lock that writers and readers do not wait for.
    // SAFETY: an existing relation, or a lock that is for nothing.
    unsafe { pg_sys::LockRelationOid(oid, pg_sys::ShareUpdateExclusiveLock as i32) };
    Relation::open(oid, pg_sys::NoLock)
        .is_some_and(|rel| rel.class().relispopulated && !sentinel::alive(oid, rel.class()))
}

/// Computes TVIEWs anew and writes the differences. Nothing is pending.
pub fn recompute(recompute: BTreeSet<u32>) -> Result<()> {
    let _guard = Guard::enter();
    let pending = Pending::recompute(recompute);
    let inside = in_flight::any();
    let mut flush = Flush { pending, only: None, on_transaction_snapshot: false, inside };
    flush.run(graph::current()?)
}
