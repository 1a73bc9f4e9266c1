//! The locks of a flush, in the server's own lock manager, held until the transaction ends.
//!
//! Two modes per (TVIEW, base relation): ROW EXCLUSIVE "I changed rows of it", SHARE "I computed rows from it". They
//! conflict with each other but not with themselves, so two writers of the two sides of a join wait for each other, and
//! two writers of one relation do not. Where two writers of one relation can meet in one view row, the key of that row
//! is locked, or the values by which change rows find their partners, or the relation in SHARE ROW EXCLUSIVE.
//! Queries that read each relation once do without the first two: of each pair of relations, writers lock the values that rows of both
//! meet by, in one of two modes that conflict with each other only (meetings.rs).
//! Order: TVIEWs in flush order, relations by oid or pairs by number, then meetings, the values' gate, values, the keys' gate, keys, by
//! hash: the same in every backend. Who locks all values or all keys holds none of them yet: each gate is taken once, in one mode.
//! They are advisory locks with an objsubid that no function of the server uses, so pg_locks shows them.

use crate::counters;
use crate::counters::waits::Waiting;
use crate::pg::guc;
use crate::refresh::plan::tview::Tview;
use pgrx::pg_sys;
use std::collections::BTreeSet;
use std::time::Instant;
use tviews_core::strategy::Sharing;

/// objsubid in pg_locks.
const OF_RELATION: u16 = 0x7401;
const OF_KEY: u16 = 0x7402;
const OF_ALL_KEYS: u16 = 0x7403;
const OF_VALUE: u16 = 0x7404;
const OF_SIDE: u16 = 0x7405;
const OF_MEETING: u16 = 0x7406;
const OF_ALL_VALUES: u16 = 0x7407;
/// What a hash stands for, in words: asked by those who wait.
pub type Words<'a> = &'a dyn Fn(u32) -> Option<String>;

/// Nobody knows any more.
pub fn unknown(_: u32) -> Option<String> {
    None
}

/// Instead of a relation: any of them.
const ALL: u32 = 0;

fn acquire(tview: pg_sys::Oid, field: u32, class: u16, mode: u32) {
    acquire_of(tview, field, class, mode, &unknown);
}

fn acquire_of(tview: pg_sys::Oid, field: u32, class: u16, mode: u32, words: Words) {
    // SAFETY: a well-formed tag of the user lock method, as lockfuncs.c builds it.
    unsafe {
        let tag = pg_sys::LOCKTAG {
            locktag_field1: pg_sys::MyDatabaseId.to_u32(),
            locktag_field2: tview.to_u32(),
            locktag_field3: field,
            locktag_field4: class,
            locktag_type: pg_sys::LockTagType::LOCKTAG_ADVISORY as u8,
            locktag_lockmethodid: pg_sys::USER_LOCKMETHOD as u8,
        };
        // The clock is read only by those who wait.
        let no_wait = pg_sys::LockAcquire(&tag, mode as i32, false, true);
        if no_wait == pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL {
            let start = Instant::now();
            let _waiting = Waiting::new(tview, words(field));
            pg_sys::LockAcquire(&tag, mode as i32, false, false);
            counters::waited(start.elapsed());
        }
    }
}

/// Locks for recomputing everything.
pub fn for_full(tview: &Tview, changed: &BTreeSet<u32>) {
    for relid in tview.decisions.keys() {
        let mode = if changed.contains(relid) { pg_sys::ShareRowExclusiveLock } else { pg_sys::ShareLock };
        acquire(tview.oid, *relid, OF_RELATION, mode);
    }
    if tview.pairs.is_some() {
        acquire(tview.oid, ALL, OF_RELATION, pg_sys::ExclusiveLock);
    }
    everything(tview);
}

/// Locks all values and all keys, for who recomputes everything.
pub fn everything(tview: &Tview) {
    all_values(tview);
    all_keys(tview);
}

/// Locks all values by which rows are found that lose or find their partners.
pub fn all_values(tview: &Tview) {
    acquire(tview.oid, 0, OF_ALL_VALUES, pg_sys::ExclusiveLock);
}

/// Keeps those out who recompute everything, where pairs of relations are locked.
pub fn incremental(tview: &Tview) {
    acquire(tview.oid, ALL, OF_RELATION, pg_sys::RowExclusiveLock);
}

/// Locks one side of a pair of relations: the whole of it, or so that nobody has the whole other side. Whole sides exclude each
/// other, and meetings of the other side.
pub fn side(tview: &Tview, pair: u32, side: usize, whole: bool) {
    for of in 0..2 {
        if of != side {
            acquire(tview.oid, 2 * pair + of as u32, OF_SIDE, pg_sys::ShareLock);
        } else if whole {
            acquire(tview.oid, 2 * pair + of as u32, OF_SIDE, pg_sys::RowExclusiveLock);
        }
    }
}

/// Locks a value that rows of a pair meet by, for one side of it.
pub fn meeting(tview: &Tview, hash: u32, side: usize, words: Words) {
    let mode = if side == 0 { pg_sys::RowExclusiveLock } else { pg_sys::ShareLock };
    acquire_of(tview.oid, hash, OF_MEETING, mode, words);
}

/// Locks for recomputing keys; the keys themselves are locked later, by `keys`.
pub fn for_keyed(tview: &Tview, changed: &BTreeSet<u32>) {
    for (relid, decision) in &tview.decisions {
        let mode = if !changed.contains(relid) {
            pg_sys::ShareLock
        } else if changed.len() > 1 || decision.sharing == Sharing::Alone {
            // It is both changed and computed from.
            pg_sys::ShareRowExclusiveLock
        } else {
            pg_sys::RowExclusiveLock
        };
        acquire(tview.oid, *relid, OF_RELATION, mode);
    }
}

/// Whether a flush of these changes has to lock the keys of the rows it recomputes.
pub fn needs_keys(tview: &Tview, changed: &BTreeSet<u32>) -> bool {
    changed.iter().any(|r| tview.decisions[r].sharing == Sharing::ByKey)
}

/// Locks all keys, for a flush that touches too many.
pub fn all_keys(tview: &Tview) {
    acquire(tview.oid, 0, OF_ALL_KEYS, pg_sys::ExclusiveLock);
}

/// Adds a hash of what will be locked. More than would be locked one by one are not remembered.
pub fn note(hashes: &mut BTreeSet<u32>, hash: u32) {
    if hashes.len() <= guc::LOCK_ESCALATION.get() as usize {
        hashes.insert(hash);
    }
}

/// Locks keys by their hashes, or all of them when there are many.
pub fn keys(tview: &Tview, hashes: &BTreeSet<u32>, words: Words) {
    hashed(tview, hashes, OF_KEY, OF_ALL_KEYS, words);
}

/// Locks values that change rows find their partners by, or all of them when there are many.
pub fn values(tview: &Tview, hashes: &BTreeSet<u32>) {
    hashed(tview, hashes, OF_VALUE, OF_ALL_VALUES, &unknown);
}

fn hashed(tview: &Tview, hashes: &BTreeSet<u32>, class: u16, gate: u16, words: Words) {
    if hashes.len() > guc::LOCK_ESCALATION.get() as usize {
        acquire(tview.oid, 0, gate, pg_sys::ExclusiveLock);
        return;
    }
    acquire(tview.oid, 0, gate, pg_sys::RowExclusiveLock);
    for hash in hashes {
        acquire_of(tview.oid, *hash, class, pg_sys::ExclusiveLock, words);
    }
}
