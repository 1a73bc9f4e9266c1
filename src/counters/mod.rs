//! Cumulative counters of each TVIEW, for the view `tviews.stat`.
//!
//! A table in shared memory: keys (database, TVIEW) side by side, and one slot of atomic counters each. Adding takes no
//! lock; a lock protects the assignment of slots and the texts of errors. Counters are not transactional: work that is
//! rolled back was done. Slots of dropped TVIEWs are taken back when the table is full. A clean restart keeps all of it (kept.rs). Without
//! shared memory, the same table is private to the session.
//! Called by flush (adds) and by monitor (reads).

pub mod hours;
mod kept;
pub mod progress;
pub mod trace;
pub mod waits;
pub mod watched;

use crate::counters::hours::Hours;
use crate::counters::progress::{POPULATIONS, Population, Progress};
use crate::counters::waits::Waits;
use crate::pg::process::process;
use crate::pg::shmem;
use crate::pg::silent;
use pgrx::pg_sys;
use std::cell::{Cell, UnsafeCell};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed, Ordering::Release};
use std::time::Duration;
use tviews_core::stat_file::FIELDS;

/// Counts of one flush of one TVIEW, or sums over all flushes.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counters {
    pub flushes: u64,
    pub rows_inserted: u64,
    pub rows_updated: u64,
    pub rows_deleted: u64,
    /// Recomputed rows that were equal and not written.
    pub rows_unchanged: u64,
    /// Change rows that were followed.
    pub changed_rows: u64,
    pub dirty_keys: u64,
    pub full_recomputes: u64,
    pub flush_nanoseconds: u64,
    pub lock_wait_nanoseconds: u64,
    /// Flushes that ended in an error; they are no `flushes`.
    pub failures: u64,
}

impl Counters {
    fn to_array(self) -> [u64; FIELDS] {
        [
            self.flushes,
            self.rows_inserted,
            self.rows_updated,
            self.rows_deleted,
            self.rows_unchanged,
            self.changed_rows,
            self.dirty_keys,
            self.full_recomputes,
            self.flush_nanoseconds,
            self.lock_wait_nanoseconds,
            self.failures,
        ]
    }

    fn from_array(a: [u64; FIELDS]) -> Counters {
        let [flushes, rows_inserted, rows_updated, rows_deleted, rows_unchanged, ..] = a;
        let [.., changed_rows, dirty_keys, full_recomputes, flush_nanoseconds, lock_wait_nanoseconds, failures] = a;
        Counters {
            flushes,
            rows_inserted,
            rows_updated,
            rows_deleted,
            rows_unchanged,
            changed_rows,
            dirty_keys,
            full_recomputes,
            flush_nanoseconds,
            lock_wait_nanoseconds,
            failures,
        }
    }
}

/// Place of the failures among the counters.
const FAILURES: usize = FIELDS - 1;

/// Number of TVIEWs, of all databases, that can be counted at once.
pub const SLOTS: usize = 4096;
const TEXT: usize = 256;

#[repr(C)]
struct Slot {
    counters: [AtomicU64; FIELDS],
    /// Read and written under the lock.
    error: UnsafeCell<Text>,
}

#[derive(Clone, Copy)]
struct Text {
    len: usize,
    bytes: [u8; TEXT],
}

impl Text {
    /// The beginning of a text.
    fn new(text: &[u8]) -> Text {
        let mut new = Text { len: text.len().min(TEXT), bytes: [0; TEXT] };
        new.bytes[..new.len].copy_from_slice(&text[..new.len]);
        new
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// A key of 0 is a free slot; zeroes are an empty table.
#[repr(C)]
pub struct Table {
    /// When the table was made, or that of which it has the counters.
    since: AtomicI64,
    keys: [AtomicU64; SLOTS],
    slots: [Slot; SLOTS],
    /// Progress of the running recovery; here because there is one piece of shared memory.
    pub progress: Progress,
    pub populations: [Population; POPULATIONS],
    hours: Hours,
}

// SAFETY: counters are atomic, texts are behind the lock.
unsafe impl Sync for Table {}

impl Slot {
    fn clear(&self) {
        self.counters.iter().for_each(|c| c.store(0, Relaxed));
        // SAFETY: the caller holds the lock.
        unsafe { (*self.error.get()).len = 0 };
    }
}

/// The database's own slot remembers when its counters were reset.
const OF_DATABASE: pg_sys::Oid = pg_sys::InvalidOid;

/// Whether the TVIEW or database of a key still exists, as far as this database can see.
fn exists(key: u64) -> bool {
    let (database, relation) = (pg_sys::Oid::from((key >> 32) as u32), pg_sys::Oid::from(key as u32));
    // SAFETY: look-ups in the system caches, inside a transaction.
    unsafe {
        let (cache, oid) = match database == pg_sys::MyDatabaseId && relation != OF_DATABASE {
            true => (pg_sys::SysCacheIdentifier::RELOID, relation),
            false => (pg_sys::SysCacheIdentifier::DATABASEOID, database),
        };
        let none = pg_sys::Datum::from(0usize);
        pg_sys::SearchSysCacheExists(cache as i32, oid.into(), none, none, none)
    }
}

fn key(tview: pg_sys::Oid) -> u64 {
    // SAFETY: a plain global.
    let database = unsafe { pg_sys::MyDatabaseId };
    u64::from(database.to_u32()) << 32 | u64::from(tview.to_u32())
}

process! {
    static WAITED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Adds to the lock wait time of the TVIEW that is being flushed.
pub fn waited(time: Duration) {
    WAITED.set(WAITED.get() + time);
}

/// The sum of the times passed to `waited` since the last call.
pub fn take_waited() -> Duration {
    WAITED.take()
}

/// The shared memory; the table comes first.
#[repr(C)]
struct Shared {
    table: Table,
    waits: Waits,
}

pub fn init() {
    shmem::init(std::mem::size_of::<Shared>(), start, kept::save);
}

/// The words of waiting sessions; None without shared memory.
pub fn waits() -> Option<&'static Waits> {
    // SAFETY: of this size, zeroed at start, aligned as the server aligns shared memory.
    shmem::area().map(|area| unsafe { &(*area.cast::<Shared>()).waits })
}

/// Makes the shared table, with the counters from before a clean restart.
///
/// # Safety
/// `zeroed` is memory of the table's size, all zeroes.
unsafe fn start(zeroed: *mut u8) {
    // SAFETY: as the caller promises; nobody else looks at the table yet.
    unsafe {
        first(zeroed);
        kept::load(&*zeroed.cast::<Table>());
    }
}

/// Sets the time at which a new table begins to count.
///
/// # Safety
/// `zeroed` is memory of the table's size, all zeroes.
unsafe fn first(zeroed: *mut u8) {
    // SAFETY: zeroes are an empty table.
    unsafe {
        (*zeroed.cast::<Table>()).since.store(silent::GetCurrentTimestamp(), Relaxed);
    }
}

/// The shared table, or the session's own.
pub fn table() -> &'static Table {
    static OWN: OnceLock<&'static Table> = OnceLock::new();
    match shmem::area() {
        // SAFETY: of this size, zeroed at start, aligned as the server aligns shared memory.
        Some(area) => unsafe { &*area.cast::<Table>() },
        // SAFETY: zeroes are an empty table; it lives as long as the session.
        None => OWN.get_or_init(|| unsafe {
            let memory = std::alloc::alloc_zeroed(std::alloc::Layout::new::<Table>());
            assert!(!memory.is_null());
            first(memory);
            &*memory.cast::<Table>()
        }),
    }
}

impl Table {
    /// Slots in the order in which a key is looked for.
    fn probe(key: u64) -> impl Iterator<Item = usize> {
        let start = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize % SLOTS;
        (start..SLOTS).chain(0..start)
    }

    fn find(&self, key: u64) -> Option<&Slot> {
        Table::probe(key).find(|i| self.keys[*i].load(Relaxed) == key).map(|i| &self.slots[i])
    }

    /// Finds or takes a slot; None when all are taken.
    fn take(&self, key: u64) -> Option<&Slot> {
        self.find(key).or_else(|| {
            shmem::alone(|| {
                self.find(key).or_else(|| {
                    let free = Table::probe(key).find(|i| self.keys[*i].load(Relaxed) == 0)?;
                    self.slots[free].clear();
                    self.keys[free].store(key, Release);
                    Some(&self.slots[free])
                })
            })
        })
    }

    /// Frees the slots of TVIEWs and databases that are gone. Reads catalogs, so must not be called while an error is on its way.
    fn sweep(&self) {
        let gone: Vec<(usize, u64)> =
            (0..SLOTS).map(|i| (i, self.keys[i].load(Relaxed))).filter(|(_, key)| *key != 0 && !exists(*key)).collect();
        shmem::alone(|| {
            for (i, key) in gone {
                if self.keys[i].load(Relaxed) == key {
                    self.keys[i].store(0, Relaxed);
                }
            }
        });
    }

    /// Adds the counts of one flush. When existing TVIEWs take all slots, the flush is not counted.
    pub fn add(&self, tview: pg_sys::Oid, done: Counters) {
        self.hours.add(done.to_array());
        let key = key(tview);
        let slot = self.take(key).or_else(|| {
            self.sweep();
            self.take(key)
        });
        let Some(slot) = slot else { return };
        for (counter, n) in slot.counters.iter().zip(done.to_array()) {
            if n > 0 {
                counter.fetch_add(n, Relaxed);
            }
        }
    }

    /// Counts and remembers the error that a flush ended with.
    pub fn failed(&self, tview: pg_sys::Oid, message: &str) {
        let Some(slot) = self.take(key(tview)) else { return };
        slot.counters[FAILURES].fetch_add(1, Relaxed);
        let len = (0..=TEXT.min(message.len())).rev().find(|n| message.is_char_boundary(*n)).unwrap_or(0);
        let text = Text::new(&message.as_bytes()[..len]);
        // SAFETY: the lock is held.
        shmem::alone(|| unsafe { *slot.error.get() = text });
    }

    /// Counters and last error of a TVIEW of this database.
    pub fn get(&self, tview: pg_sys::Oid) -> (Counters, Option<String>) {
        let slot = self.find(key(tview)).filter(|_| tview != OF_DATABASE);
        let Some(slot) = slot else { return Default::default() };
        let counters = std::array::from_fn(|i| slot.counters[i].load(Relaxed));
        // SAFETY: the lock is held.
        let text = shmem::alone(|| unsafe { *slot.error.get() });
        let error = (text.len > 0).then(|| String::from_utf8_lossy(text.bytes()).into_owned());
        (Counters::from_array(counters), error)
    }

    /// Starts again from zero for this database.
    pub fn reset(&self) {
        let database = key(OF_DATABASE);
        if self.take(database).is_none() {
            self.sweep();
        }
        let of_database = self.take(database);
        shmem::alone(|| {
            for (key, slot) in self.keys.iter().zip(&self.slots) {
                if key.load(Relaxed) >> 32 == database >> 32 {
                    slot.clear();
                }
            }
            self.hours.reset(database >> 32);
        });
        if let Some(slot) = of_database {
            // SAFETY: the clock.
            slot.counters[0].store(unsafe { silent::GetCurrentTimestamp() } as u64, Relaxed);
        }
    }

    /// Since when the counters of this database count.
    pub fn since(&self) -> pg_sys::TimestampTz {
        match self.find(key(OF_DATABASE)) {
            Some(slot) => slot.counters[0].load(Relaxed) as i64,
            None => self.since.load(Relaxed),
        }
    }

    /// Number of slots in use.
    pub fn used(&self) -> usize {
        self.keys.iter().filter(|k| k.load(Relaxed) != 0).count()
    }
}
