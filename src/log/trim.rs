//! Emptying logs whose rows have been followed by all readers.
//!
//! Invariant: a log is emptied when no transaction is writing to it and each of its rows is one that every reader has followed. Writers go over to
//! an empty log when the one that they write to has grown.
//! Called by refreshes outside of transaction blocks, and by the worker: a lock on a log lasts until the end of the transaction.

use super::relation::every_row;
use crate::catalog::logs::{self, Log};
use crate::pg::error::Result;
use crate::pg::relation::Relation;
use crate::tam::storage;
use pgrx::pg_sys;
use tviews_core::frontier::Frontier;

/// Writers go over to the other log at so many pages.
const GROWN: u32 = 128;

/// Empties the log that is not written, when all readers have followed it; otherwise, or when it is empty, looks whether writers should go over.
pub fn trim(source: pg_sys::Oid, readers: &[Frontier]) -> Result<()> {
    let Some(log) = logs::of(source) else { return Ok(()) };
    // One at a time; others come back later.
    // SAFETY: an existing relation, or a lock that is for nothing.
    if !unsafe { pg_sys::ConditionalLockRelationOid(log.both[0], pg_sys::ShareUpdateExclusiveLock as i32) } {
        return Ok(());
    }
    let Some(log) = logs::of(source).filter(|now| now.both == log.both) else { return Ok(()) };
    let Some(other) = pages(log.other()) else { return Ok(()) };
    if other > 0 && !empty(&log, readers) {
        return Ok(());
    }
    if pages(log.written()).is_some_and(|pages| pages >= GROWN) {
        logs::put(&Log { writes: 1 - log.writes, ..log })?;
    }
    Ok(())
}

fn pages(relid: pg_sys::Oid) -> Option<u32> {
    let rel = Relation::open(relid, pg_sys::AccessShareLock)?;
    // SAFETY: open.
    Some(unsafe { pg_sys::RelationGetNumberOfBlocksInFork(rel.raw(), pg_sys::ForkNumber::MAIN_FORKNUM) })
}

/// Whether the other log is empty now.
fn empty(log: &Log, readers: &[Frontier]) -> bool {
    // SAFETY: the lock is asked for without waiting, and keeps writers away.
    unsafe {
        if !pg_sys::ConditionalLockRelationOid(log.other(), pg_sys::AccessExclusiveLock as i32) {
            return false;
        }
        let Some(rel) = Relation::open(log.other(), pg_sys::NoLock) else { return false };
        let is_followed = every_row(&rel, |xid, part| readers.iter().all(|r| r.has(xid, part)));
        if is_followed {
            storage::replace_storage(rel.raw(), rel.class().relpersistence as u8);
        }
        is_followed
    }
}
