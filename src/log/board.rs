//! Which databases have TVIEWs with a schedule, or relations that are captured from WAL: in shared memory, for the launcher.
//!
//! A session that finds a relation logged puts its database on the board, and workers that find nothing to do take it off. Invariant: a database
//! with scheduled TVIEWs is on the board before the first change that they have to follow is committed. A full board, or a library that is not
//! preloaded, means no worker: `tviews.health()` says so.

use crate::pg::shmem;
use pgrx::pg_sys;
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU32, AtomicU64, Ordering::SeqCst};

/// Zeroes are a free place.
#[repr(C)]
pub struct Place {
    database: AtomicU32,
    /// Process of the worker, or 0.
    pid: AtomicI32,
    /// No worker is started before this time: somebody wants the database for himself.
    not_before: AtomicI64,
    /// Process that reads WAL, or 0.
    reader: AtomicI32,
    /// `SCHEDULE`, `WAL`.
    wants: AtomicU32,
    /// Up to where WAL has been read into the logs, since the server started.
    logged: AtomicU64,
    /// How often a slot was begun, so that `logged` says nothing of what was captured before.
    slots: AtomicU64,
}

/// A worker that refreshes by schedule is wanted.
pub const SCHEDULE: u32 = 1;
/// A worker that reads WAL is wanted.
pub const WAL: u32 = 2;

pub const PLACES: usize = shmem::HALF / size_of::<Place>();

/// All places; None when the library is not preloaded.
pub fn places() -> Option<&'static [Place; PLACES]> {
    // SAFETY: the first half of the head has this size, is zeroed, and lives as long as the process; all fields are atomic.
    shmem::head().map(|head| unsafe { &*head.cast::<[Place; PLACES]>() })
}

/// The place of a database.
pub fn of(database: u32) -> Option<&'static Place> {
    places()?.iter().find(|p| p.database.load(SeqCst) == database)
}

/// Puts this session's database on the board for a worker by schedule; false when there is no place.
pub fn want() -> bool {
    // SAFETY: a plain global.
    want_of(unsafe { pg_sys::MyDatabaseId }.to_u32(), SCHEDULE)
}

/// Puts a database on the board for a worker; false when there is no place.
pub fn want_of(database: u32, what: u32) -> bool {
    if of(database).is_some_and(|place| place.wants(what)) {
        return true;
    }
    let Some(places) = places() else { return false };
    shmem::alone(|| {
        let free = || places.iter().find(|p| p.database.load(SeqCst) == 0);
        let place = of(database).or_else(free);
        place.map(|place| {
            place.wants.fetch_or(what, SeqCst);
            place.database.store(database, SeqCst);
        })
    })
    .is_some()
}

impl Place {
    pub fn database(&self) -> u32 {
        self.database.load(SeqCst)
    }

    pub fn pid(&self) -> i32 {
        self.pid.load(SeqCst)
    }

    pub fn set_pid(&self, pid: i32) {
        self.pid.store(pid, SeqCst);
    }

    /// Whether somebody wants the database for himself. A worker asks when its number is on the board: then one of the two sees the other.
    pub fn is_kept_off(&self) -> bool {
        // SAFETY: plain getter.
        self.not_before.load(SeqCst) > unsafe { pg_sys::GetCurrentTimestamp() }
    }

    pub fn leave_until(&self, time: i64) {
        self.not_before.store(time, SeqCst);
    }

    pub fn reader(&self) -> i32 {
        self.reader.load(SeqCst)
    }

    pub fn set_reader(&self, pid: i32) {
        self.reader.store(pid, SeqCst);
    }

    pub fn logged(&self) -> u64 {
        self.logged.load(SeqCst)
    }

    pub fn set_logged(&self, upto: u64) {
        self.logged.store(upto, SeqCst);
    }

    pub fn slots(&self) -> u64 {
        self.slots.load(SeqCst)
    }

    /// A slot is begun, when nothing is captured from WAL any more.
    pub fn begin_anew(&self) {
        self.slots.fetch_add(1, SeqCst);
    }

    /// The database has been dropped, and nobody is at work in it. The number goes last: then the place is somebody else's.
    pub fn clear(&self) {
        self.wants.store(0, SeqCst);
        self.pid.store(0, SeqCst);
        self.reader.store(0, SeqCst);
        self.not_before.store(0, SeqCst);
        self.logged.store(0, SeqCst);
        self.database.store(0, SeqCst);
    }

    pub fn wants(&self, what: u32) -> bool {
        self.wants.load(SeqCst) & what != 0
    }

    /// Nothing of this kind is to be done for the database; without anything else it leaves the board. Called by the worker of this kind: who takes
    /// the place next must not find its number.
    pub fn free(&self, what: u32) {
        shmem::alone(|| {
            let pid = if what == SCHEDULE { &self.pid } else { &self.reader };
            pid.store(0, SeqCst);
            if self.wants.fetch_and(!what, SeqCst) & !what == 0 {
                self.not_before.store(0, SeqCst);
                self.logged.store(0, SeqCst);
                self.database.store(0, SeqCst);
            }
        });
    }
}
