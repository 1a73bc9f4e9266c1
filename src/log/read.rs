//! The changes of a relation that a TVIEW has not followed.
//!
//! Invariant: these are the rows of both logs of transactions that one frontier has and the other does not (tviews_core::frontier), summed; and they
//! lead from the relation as the TVIEW has it to the relation as the later frontier's snapshot sees it. The logs are read with a snapshot of their
//! own, the latest: rows that come from WAL are written after their transaction has committed.

use super::relation::{AT, IMAGE, PART, WEIGHT, XID, scan, scan_page};
use super::write;
use crate::catalog::logs;
use crate::pg::locks;
use crate::pg::relation::Relation;
use crate::pg::snapshot::Active;
use crate::queue::changes::ChangeSet;
use pgrx::pg_sys;
use std::collections::BTreeSet;
use std::time::Duration;
use tviews_core::frontier::Frontier;

/// The transactions that a snapshot sees, and what its own transaction has logged by now. Source: utils/adt/xid8funcs.c, pg_current_snapshot.
///
/// # Safety
/// The snapshot is active.
pub unsafe fn frontier(snapshot: pg_sys::Snapshot) -> Frontier {
    // SAFETY: as the caller promises.
    unsafe {
        let next = pg_sys::ReadNextFullTransactionId().value;
        // Numbers of transactions in a snapshot are below the next one, and not by half of all numbers.
        let widen = |xid: pg_sys::TransactionId| {
            let behind = (next as u32).wrapping_sub(xid.into_inner());
            next.saturating_sub(u64::from(behind))
        };
        let snapshot = &*snapshot;
        let running = (0..snapshot.xcnt as usize).map(|i| widen(*snapshot.xip.add(i))).collect();
        let own = pg_sys::GetTopFullTransactionIdIfAny().value;
        let own = (own != 0).then(|| (own, write::parts()));
        Frontier::new(widen(snapshot.xmin), widen(snapshot.xmax), running, own)
    }
}

/// Keeps the logs of a relation from being emptied until the transaction ends.
pub fn hold(source: pg_sys::Oid) {
    for relid in logs::of(source).map_or([pg_sys::InvalidOid; 2], |log| log.both) {
        drop(Relation::open(relid, pg_sys::AccessShareLock));
    }
}

/// The changes that lead from one frontier to another; how many rows of logs that are, and when the first one was written.
pub fn changes(
    source: pg_sys::Oid,
    upto: &Frontier,
    frontier: &Frontier,
) -> (ChangeSet, u64, Option<pg_sys::TimestampTz>) {
    let snapshot = Active::newest();
    let (mut set, mut rows, mut since) = (ChangeSet::default(), 0, None::<pg_sys::TimestampTz>);
    let Some(log) = logs::of(source) else { return (set, rows, since) };
    let mut wanted = Wanted::new(upto, frontier);
    for rel in log.both.into_iter().filter_map(|relid| Relation::open(relid, pg_sys::AccessShareLock)) {
        let mut image: Vec<u64> = Vec::new();
        // SAFETY: the snapshot is active; the tuples are rows of a log.
        unsafe {
            scan(&rel, snapshot.raw(), |tuple| {
                let value = |column: usize| value(&rel, tuple, column);
                if !wanted.has(&rel, tuple) {
                    return;
                }
                rows += 1;
                since = since.into_iter().chain(value(AT).map(|d| d.value() as pg_sys::TimestampTz)).min();
                let (Some(weight), Some(stored)) = (value(WEIGHT), value(IMAGE)) else { return set.set_everything() };
                let stored = stored.cast_mut_ptr::<pg_sys::varlena>();
                let plain = pg_sys::pg_detoast_datum_packed(stored);
                let bytes = pgrx::varlena_to_byte_slice(plain);
                image.clear();
                image.resize(bytes.len().div_ceil(8), 0);
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), image.as_mut_ptr().cast::<u8>(), bytes.len());
                set.add_image(&image, weight.value() as i64);
                if plain != stored {
                    pg_sys::pfree(plain.cast());
                }
            });
        }
    }
    (set, rows, since)
}

/// The rows of logs that one frontier has and the other does not. Rows of one transaction mostly follow each other, and have one answer.
struct Wanted<'a> {
    upto: &'a Frontier,
    frontier: &'a Frontier,
    last: Option<(u64, i32, bool)>,
}

impl<'a> Wanted<'a> {
    fn new(upto: &'a Frontier, frontier: &'a Frontier) -> Wanted<'a> {
        Wanted { upto, frontier, last: None }
    }

    /// # Safety
    /// The tuple is a row of the log.
    unsafe fn has(&mut self, log: &Relation, tuple: pg_sys::HeapTuple) -> bool {
        // SAFETY: as the caller promises.
        let (xid, part) = unsafe { (value(log, tuple, XID), value(log, tuple, PART)) };
        let (Some(xid), Some(part)) = (xid, part) else { return false };
        let (xid, part) = (xid.value() as u64, part.value() as i32);
        if let Some((_, _, answer)) = self.last.filter(|(x, p, _)| (*x, *p) == (xid, part)) {
            return answer;
        }
        let answer = !self.frontier.has(xid, part) && self.upto.has(xid, part);
        self.last = Some((xid, part, answer));
        answer
    }
}

/// At most so many pages of a log are looked at.
const SAMPLE: u32 = 32;

/// About how many rows `changes` would give: without looking at more than some pages of each log.
pub fn estimate(source: pg_sys::Oid, upto: &Frontier, frontier: &Frontier) -> usize {
    let snapshot = Active::newest();
    let Some(log) = logs::of(source) else { return 0 };
    let mut wanted = Wanted::new(upto, frontier);
    let mut estimate = 0;
    for rel in log.both.into_iter().filter_map(|relid| Relation::open(relid, pg_sys::AccessShareLock)) {
        // SAFETY: open; the snapshot is active; the tuples are rows of a log.
        unsafe {
            let pages = pg_sys::RelationGetNumberOfBlocksInFork(rel.raw(), pg_sys::ForkNumber::MAIN_FORKNUM);
            let looked_at = pages.min(SAMPLE);
            let mut rows = 0;
            for n in 0..looked_at {
                let page = (u64::from(n) * u64::from(pages) / u64::from(looked_at)) as u32;
                scan_page(&rel, snapshot.raw(), page, |tuple| rows += usize::from(wanted.has(&rel, tuple)));
            }
            estimate += rows * pages as usize / looked_at.max(1) as usize;
        }
    }
    estimate
}

/// What a TVIEW has not followed.
#[derive(Default)]
pub struct Behind {
    pub rows: i64,
    pub xids: BTreeSet<u64>,
    /// When the first of the rows was written.
    pub since: Option<pg_sys::TimestampTz>,
}

/// So long a look waits for a log that is just being emptied.
const TO_EMPTY: Duration = Duration::from_millis(200);

/// Adds what the snapshot sees and the frontier does not have; false when a log is locked by who drops it.
///
/// # Safety
/// The snapshot is active.
pub unsafe fn behind(source: pg_sys::Oid, snapshot: pg_sys::Snapshot, frontier: &Frontier, to: &mut Behind) -> bool {
    let Some(log) = logs::of(source) else { return true };
    for relid in log.both {
        if !locks::take_soon(relid, pg_sys::AccessShareLock, TO_EMPTY) {
            return false;
        }
        let Some(rel) = Relation::open(relid, pg_sys::NoLock) else { continue };
        // SAFETY: as the caller promises; the tuples are rows of a log.
        unsafe {
            scan(&rel, snapshot, |tuple| {
                let value = |column: usize| value(&rel, tuple, column).map_or(0, |d| d.value());
                if frontier.has(value(XID) as u64, value(PART) as i32) {
                    return;
                }
                to.rows += 1;
                to.xids.insert(value(XID) as u64);
                let at = value(AT) as pg_sys::TimestampTz;
                to.since = Some(to.since.map_or(at, |since| since.min(at)));
            });
        }
    }
    true
}

/// A column of a row of a log.
///
/// # Safety
/// The tuple is a row of the log.
unsafe fn value(log: &Relation, tuple: pg_sys::HeapTuple, column: usize) -> Option<pg_sys::Datum> {
    let mut null = false;
    // SAFETY: as the caller promises.
    let value = unsafe { pg_sys::heap_getattr(tuple, column as i32 + 1, log.tupdesc(), &mut null) };
    (!null).then_some(value)
}
