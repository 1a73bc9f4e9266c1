//! The locks of a flush, in the server's own lock manager, held until the transaction ends.
//!
//! tviews_core::locks decides what is locked, in which mode and in which order. TVIEWs come in flush order, the same in every backend.
//!
//! Keys and values are advisory locks with an objsubid that no function of the server uses. What nearly all writers lock side by side (a gate) has the tag of a
//! relation that does not exist: for ROW EXCLUSIVE on such tags the server needs no shared table, so that writers on many cores do not queue up there
//! (storage/lmgr/README, "Fast Path Locking"). pg_locks shows both, and `tviews.lock_of` says what a gate stands for.
//! Source: storage/lmgr/lock.c, EligibleForRelationFastPath.

use crate::counters;
use crate::counters::waits::Waiting;
use crate::pg::guc;
use crate::refresh::plan::tview::Tview;
use pgrx::pg_sys;
use std::collections::BTreeSet;
use std::time::Instant;
use tviews_core::locks::{self, Lock, Meetings, Mode, OfPair, Touched, What};

/// The value that a hash stands for, in words: only computed when a lock has to be waited for.
pub type Words<'a> = &'a dyn Fn(u32) -> Option<String>;

/// For hashes whose values are not kept.
pub fn unknown(_: u32) -> Option<String> {
    None
}

/// Number within the TVIEW, and objsubid in pg_locks.
fn tag_of(what: What) -> (u32, u16) {
    match what {
        What::Relation(relid) => (relid, 0x7401),
        What::Query => (0, 0x7401),
        What::Key(hash) => (hash, 0x7402),
        What::Keys => (0, 0x7403),
        What::Value(hash) => (hash, 0x7404),
        What::Pair(_, OfPair::Side(number)) => (number, 0x7405),
        What::Pair(_, OfPair::Meeting(hash)) => (hash, 0x7406),
        What::Values => (0, 0x7407),
    }
}

fn mode_of(mode: Mode) -> u32 {
    match mode {
        Mode::RowExclusive => pg_sys::RowExclusiveLock,
        Mode::Share => pg_sys::ShareLock,
        Mode::ShareRowExclusive => pg_sys::ShareRowExclusiveLock,
        Mode::Exclusive => pg_sys::ExclusiveLock,
    }
}

/// The kinds of gates, as `tag_of` has them, with the numbers that things of the kind can have.
const GATES: [(u16, std::ops::Range<u32>); 3] = [(0x7401, 0..1), (0x7403, 0..1), (0x7407, 0..1)];
const SIDES: (u16, std::ops::Range<u32>) = (0x7405, 0..512);
const RELATION: u16 = 0x7401;

/// What the number of a gate stands for: TVIEW or stage, number and class as `tag_of` has them.
pub fn of_gate(gate: u32, tviews: &[u32], sources: &[(u32, u32)]) -> Option<(u32, u32, u16)> {
    let is = |tview: u32, class, number| (locks::gate(tview, class, number) == gate).then_some((tview, number, class));
    let among = |kinds: &[(u16, std::ops::Range<u32>)]| {
        let mut all = tviews
            .iter()
            .flat_map(|t| kinds.iter().flat_map(move |(class, n)| n.clone().map(move |n| (*t, *class, n))));
        all.find_map(|(tview, class, number)| is(tview, class, number))
    };
    among(&GATES)
        .or_else(|| sources.iter().find_map(|(tview, relid)| is(*tview, RELATION, *relid)))
        .or_else(|| among(&[SIDES]))
}

fn locktag(tview: &Tview, what: What) -> pg_sys::LOCKTAG {
    let (number, class) = tag_of(what);
    if locks::is_gate(what) {
        return crate::pg::locks::tag(pg_sys::Oid::from(locks::gate(tview.oid.to_u32(), class, number)));
    }
    // A tag of the user lock method, as lockfuncs.c builds it.
    pg_sys::LOCKTAG {
        // SAFETY: set in every backend that is connected to a database.
        locktag_field1: unsafe { pg_sys::MyDatabaseId }.to_u32(),
        locktag_field2: tview.oid.to_u32(),
        locktag_field3: number,
        locktag_field4: class,
        locktag_type: pg_sys::LockTagType::LOCKTAG_ADVISORY as u8,
        locktag_lockmethodid: pg_sys::USER_LOCKMETHOD as u8,
    }
}

fn acquire(tview: &Tview, lock: Lock, words: Words) {
    let (tag, mode) = (locktag(tview, lock.what), mode_of(lock.mode) as i32);
    let number = tag_of(lock.what).0;
    // SAFETY: a well-formed tag.
    unsafe {
        // The clock is read only when there is a wait.
        let no_wait = pg_sys::LockAcquire(&tag, mode, false, true);
        if no_wait == pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL {
            let start = Instant::now();
            let _waiting = Waiting::new(tview.oid, words(number));
            pg_sys::LockAcquire(&tag, mode, false, false);
            counters::waited(start.elapsed());
        }
    }
}

/// Takes locks of a TVIEW.
fn take<'a>(tview: &'a Tview, words: Words<'a>) -> impl FnMut(Lock) + 'a {
    move |lock| acquire(tview, lock, words)
}

fn most() -> usize {
    guc::LOCK_ESCALATION.get() as usize
}

/// Locks for recomputing everything.
pub fn for_full(tview: &Tview, changed: &BTreeSet<u32>) {
    locks::whole(&tview.decisions, changed, tview.pairs.is_some(), take(tview, &unknown));
}

/// Locks the relations whose changed rows come behind the rows that a TVIEW shows: against flushes that compute these anew, and not against one another.
pub fn behind(tview: &Tview, changed: &BTreeSet<u32>) {
    locks::behind(changed, take(tview, &unknown));
}

/// Gives back what `behind` has locked, before the stronger lock is waited for: two writers that held the weaker one would wait for each other.
pub fn release_behind(tview: &Tview, changed: &BTreeSet<u32>) {
    locks::behind(changed, |lock| {
        let tag = locktag(tview, lock.what);
        // SAFETY: a lock that this transaction has just taken.
        unsafe { pg_sys::LockRelease(&tag, mode_of(lock.mode) as i32, false) };
    });
}

/// Locks all values and all keys, for a flush that recomputes everything.
pub fn everything(tview: &Tview) {
    acquire(tview, Lock::ALL_VALUES, &unknown);
    all_keys(tview);
}

/// Locks all values by which rows lose or find their partners, where the values of these changes are not known.
pub fn unknown_values(tview: &Tview, changed: &BTreeSet<u32>, alone: Option<bool>) {
    if locks::needs_all_values(&tview.decisions, changed, tview.pairs.is_some(), alone) {
        acquire(tview, Lock::ALL_VALUES, &unknown);
    }
}

/// Locks all keys, for a flush that touches too many keys.
pub fn all_keys(tview: &Tview) {
    acquire(tview, Lock::ALL_KEYS, &unknown);
}

/// Keeps out flushes that recompute everything, where pairs of relations are locked.
pub fn incremental(tview: &Tview) {
    acquire(tview, Lock::INCREMENTAL, &unknown);
}

/// Locks the sides of a pair of relations.
pub fn sides(tview: &Tview, between: u8, pair: u32, touched: [Touched; 2]) {
    locks::sides(between, pair, touched, take(tview, &unknown));
}

/// Locks values that rows of pairs meet by; `words` gets a hash and a side that has changed rows with this hash.
pub fn meetings(tview: &Tview, between: u8, met: &Meetings, words: &dyn Fn(u32, usize) -> Option<String>) {
    for (hash, mode) in met {
        acquire(tview, locks::meeting(between, *hash, *mode), &|hash| words(hash, locks::side_of(*mode)));
    }
}

/// Locks of relations for following changes; keys are locked later, by `keys`.
pub fn for_keyed(tview: &Tview, changed: &BTreeSet<u32>) {
    locks::relations(&tview.decisions, changed, take(tview, &unknown));
}

/// Whether a flush of these changes has to lock the keys of the rows it recomputes.
pub fn needs_keys(tview: &Tview, changed: &BTreeSet<u32>) -> bool {
    locks::needs_keys(&tview.decisions, changed)
}

/// Adds the hash of a key or value to lock. No more hashes are kept than would be locked one by one.
pub fn note(hashes: &mut BTreeSet<u32>, hash: u32) {
    locks::note(hashes, hash, most());
}

/// Locks keys by their hashes, or all of them when there are many.
pub fn keys(tview: &Tview, hashes: &BTreeSet<u32>, words: Words) {
    locks::keys(hashes, most(), take(tview, words));
}

/// Locks values that change rows find their partners by, or all of them when there are many.
pub fn values(tview: &Tview, hashes: &BTreeSet<u32>) {
    locks::values(hashes, most(), take(tview, &unknown));
}
