//! A TVIEW populated while writers of its tables go on: REFRESH … CONCURRENTLY of one that is not populated.
//!
//! It follows a log until it is exact, like a TVIEW that is only refreshed (option `catching_up`): first the log is begun, with writers locked out for a
//! moment; then the contents are computed as of a snapshot; then what has been written meanwhile is followed, again and again; and at last,
//! with writers locked out for the moment that the rest takes, it follows at commit. Each step is a transaction of its own.
//! Invariant: after any step the TVIEW is without contents, or equals its query as of the snapshot of its frontier; what is left undone is
//! done by the next REFRESH. Called by REFRESH. Source: commands/indexcmds.c, DefineIndex, for the transactions.

use crate::build::progress::{self, Phase, Shown};
use crate::build::{adopt, logs, populate};
use crate::capture::freed::freed;
use crate::catalog::options::{self, Options};
use crate::catalog::{self};
use crate::pg::error::{Error, Result};
use crate::pg::relation::Relation;
use crate::refresh::flush::deferred::{self, By};
use pgrx::pg_sys;
use std::time::{Duration, Instant};

/// So often it follows before writers are locked out.
const ROUNDS: usize = 100;
/// When what was left was followed in so little time, writers do not wait long for what is left behind it.
const SHORT: Duration = Duration::from_millis(50);
/// So often in a row it may take as long as before: then writers change as much as one session can follow, and it does not get better.
const IN_VAIN: usize = 5;

/// Ends the transaction and begins the next one, with an active snapshot.
pub type Next = fn();

/// Outside of a transaction block; transactions are ended and begun inside.
pub fn populate(oid: pg_sys::Oid) -> Result<()> {
    let held = Held::lock(oid);
    let _shown = Shown::begin(oid);
    next_transaction();
    let is_begun = options::stored(oid).is_catching_up();
    if !is_begun && is_populated(oid) {
        // By another session, while this one waited.
        held.unlock();
        return Ok(());
    }
    if !is_begun {
        progress::at(Phase::WaitingForWriters);
        // SAFETY: outside of a transaction block.
        unsafe { logs::await_writers(&logs::tables(oid)?) };
        logs::lock_sources(oid)?;
        set(oid, true);
        adopt::follow_otherwise(oid)?;
        logs::follow(oid)?;
        next_transaction();
    }
    catch_up(oid, next_transaction)?;
    progress::at(Phase::WaitingForWriters);
    // SAFETY: outside of a transaction block.
    unsafe { logs::await_writers(&logs::tables(oid)?) };
    // What has been written while it waited.
    follow(oid, next_transaction)?;
    progress::at(Phase::Switching);
    finish(oid)?;
    held.unlock();
    // SAFETY: the snapshot of the last transaction was pushed here.
    unsafe { pg_sys::PopActiveSnapshot() };
    Ok(())
}

/// A TVIEW that catches up, populated and brought up to date until little is left.
pub fn catch_up(oid: pg_sys::Oid, next: Next) -> Result<()> {
    if !is_populated(oid) {
        progress::at(Phase::Populating);
        populate::populate(oid, populate::persistence(oid), false)?;
        next();
    }
    progress::at(Phase::CatchingUp);
    let (mut shortest, mut in_vain) = (Duration::from_secs(1 << 30), 0);
    for _ in 0..ROUNDS {
        let took = follow(oid, next)?;
        in_vain = if took < shortest.mul_f32(0.9) { 0 } else { in_vain + 1 };
        shortest = shortest.min(took);
        if took < SHORT || in_vain == IN_VAIN {
            break;
        }
    }
    Ok(())
}

/// Follows what has been written, in a transaction of its own, and says how long that took.
pub fn follow(oid: pg_sys::Oid, next: Next) -> Result<Duration> {
    let begun = Instant::now();
    deferred::refresh(oid, By::Statement)?;
    deferred::trim(oid)?;
    next();
    Ok(begun.elapsed())
}

/// A relation that is locked over the ends of transactions: nobody else refreshes or alters it, or changes its indexes. The lock goes at an error.
pub struct Held(pg_sys::LockRelId);

impl Held {
    pub fn lock(oid: pg_sys::Oid) -> Held {
        // SAFETY: a lock on a relation that is gone is for nothing.
        unsafe {
            let mut id = pg_sys::LockRelId { relId: oid, dbId: pg_sys::MyDatabaseId };
            pg_sys::LockRelationIdForSession(&mut id, pg_sys::ShareUpdateExclusiveLock as i32);
            Held(id)
        }
    }

    pub fn unlock(mut self) {
        // SAFETY: locked by `lock`.
        unsafe { pg_sys::UnlockRelationIdForSession(&mut self.0, pg_sys::ShareUpdateExclusiveLock as i32) };
    }
}

/// What is left, in one transaction: populates, if need be, and has the TVIEW follow at commit from here on.
pub fn finish(oid: pg_sys::Oid) -> Result<()> {
    logs::lock_sources(oid)?;
    if !is_populated(oid) {
        populate::populate(oid, populate::persistence(oid), false)?;
    }
    deferred::refresh(oid, By::Statement)?;
    set(oid, false);
    if options::stored(oid).refresh() == options::Refresh::Commit {
        adopt::follow_otherwise(oid)?;
        deferred::end(oid)?;
        catalog::sources(|_| true).into_iter().for_each(|s| freed(s.relid));
    }
    Ok(())
}

pub fn is_populated(oid: pg_sys::Oid) -> bool {
    Relation::open(oid, pg_sys::AccessShareLock).is_some_and(|rel| rel.class().relispopulated)
}

fn set(oid: pg_sys::Oid, is: bool) {
    let mut ours: Options = options::stored(oid);
    ours.set_catching_up(is);
    options::store(oid, &ours);
    catalog::invalidate_all();
    // SAFETY: makes the option visible.
    unsafe { pg_sys::CommandCounterIncrement() };
}

fn next_transaction() {
    // SAFETY: outside of a transaction block, with nothing open.
    unsafe {
        if pg_sys::ActiveSnapshotSet() {
            pg_sys::PopActiveSnapshot();
        }
        pg_sys::CommitTransactionCommand();
        pg_sys::StartTransactionCommand();
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
    }
}

/// An error inside of a transaction block, as the server says for CREATE INDEX CONCURRENTLY.
pub fn refuse_block(is_top_level: bool) -> Result<()> {
    // SAFETY: raises an error, or does nothing.
    unsafe {
        pg_sys::PreventInTransactionBlock(
            is_top_level,
            c"REFRESH MATERIALIZED VIEW CONCURRENTLY of a TVIEW that is not populated".as_ptr(),
        )
    };
    Ok::<(), Error>(())
}
