//! Which relations are logged: those that deferred TVIEWs read.
//!
//! Invariant: relations are logged from before their first change that a deferred TVIEW has to follow, with writers locked out since then. Called
//! when a TVIEW is made, gets other options or another meaning, and when one is gone.

use crate::capture::install;
use crate::catalog::{self, deferred, logs, options, stages};
use crate::log::{board, relation};
use crate::pg::error::Result;
use crate::pg::guc::{self, CdcMode};
use crate::pg::locks;
use crate::refresh::flush::deferred as refresh;
use crate::refresh::plan::graph;
use crate::wal::fit;
use pgrx::pg_sys;
use std::collections::BTreeSet;

/// Logs the relations that a TVIEW and its stages read, when it is deferred; says whether it is.
pub fn follow(tview: pg_sys::Oid) -> Result<bool> {
    let graph = graph::current()?;
    let ours = options::stored(tview);
    if stages::is_stage(tview) || ours.refresh() == options::Refresh::Commit {
        return Ok(false);
    }
    let group = refresh::group(tview, &graph);
    let logged = ours.logged() == Some(true);
    // Workers that come before this transaction has committed look again.
    board::want();
    let mode = guc::CDC_MODE.get();
    if mode != CdcMode::Trigger {
        // SAFETY: a plain global.
        board::want_of(unsafe { pg_sys::MyDatabaseId }.to_u32(), board::WAL);
    }
    for source in refresh::sources(&group, &graph).into_iter().map(pg_sys::Oid::from) {
        if !install::is_uncaptured(source) {
            if let Some(refusal) = fit::refusal(source).filter(|_| mode == CdcMode::Wal && !ours.is_catching_up()) {
                return Err(refusal);
            }
            relation::ensure(source, logged)?;
        }
    }
    Ok(true)
}

/// A relation whose changes could not be captured has become a TVIEW: from here on it is logged for the deferred TVIEWs that read it, which have followed it by
/// comparison. What has become of it since they did so is in no log, so they are computed anew by their next refresh.
pub fn begin_for_readers(tview: pg_sys::Oid) -> Result<()> {
    if logs::of(tview).is_some() {
        return Ok(());
    }
    let graph = graph::current()?;
    let reads = graph.reads.iter().filter(|(_, reads)| reads.contains(&tview.to_u32()));
    let readers: BTreeSet<_> = reads.map(|(reader, _)| graph.root(pg_sys::Oid::from(*reader)).to_u32()).collect();
    for reader in readers.into_iter().map(pg_sys::Oid::from) {
        if follow(reader)? {
            deferred::forget(reader);
        }
    }
    Ok(())
}

/// Locks writers of these TVIEWs' tables out, before the TVIEWs themselves are locked.
pub fn lock_sources(tview: pg_sys::Oid) -> Result<()> {
    for relid in tables(tview)? {
        // SAFETY: locking is harmless should the relation have gone meanwhile.
        unsafe { pg_sys::LockRelationOid(pg_sys::Oid::from(relid), pg_sys::ShareRowExclusiveLock as i32) };
    }
    Ok(())
}

/// The relations whose writers change a TVIEW, those above and below in their trees among them.
pub fn tables(tview: pg_sys::Oid) -> Result<BTreeSet<u32>> {
    let graph = graph::current()?;
    let group = refresh::group(tview, &graph);
    let sources = refresh::sources(&group, &graph);
    Ok(sources.into_iter().flat_map(|source| install::covering(pg_sys::Oid::from(source))).collect())
}

/// Waits for the transactions that have written to these relations by now. Unlike a lock that is waited for, it keeps nobody else waiting; so the lock that
/// is taken behind this waits for transactions only that have begun to write meanwhile. Source: commands/indexcmds.c, DefineIndex, whose CONCURRENTLY
/// waits like this.
///
/// # Safety
/// Outside of a transaction block, with one snapshot of our own active: others may wait until nobody has a snapshot, while we wait for them.
pub unsafe fn await_writers(tables: &BTreeSet<u32>) {
    // SAFETY: as the caller promises; a relation that is gone has no lockers.
    unsafe {
        pg_sys::PopActiveSnapshot();
        pg_sys::InvalidateCatalogSnapshot();
        for relid in tables {
            let tag = locks::tag(pg_sys::Oid::from(*relid));
            pg_sys::WaitForLockers(tag, pg_sys::ShareRowExclusiveLock as i32, false);
        }
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
    }
}

/// Drops the logs that no deferred TVIEW needs any more.
pub fn drop_unused() {
    let known = logs::all();
    if known.is_empty() {
        return;
    }
    let sources = catalog::sources(|_| true);
    let deferred = deferred::all(&sources);
    let used: BTreeSet<u32> =
        sources.iter().filter(|s| deferred.contains(&s.tview.to_u32())).map(|s| s.relid.to_u32()).collect();
    for log in known.into_iter().filter(|log| !used.contains(&log.source.to_u32())) {
        relation::drop(log.source);
    }
}
