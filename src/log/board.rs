//! Which databases have TVIEWs with a schedule: in shared memory, for the launcher.
//!
//! A session that finds a relation logged puts its database on the board, and a worker that finds nothing to do takes it off. Invariant: a database
//! with scheduled TVIEWs is on the board before the first change that they have to follow is committed. A full board, or a library that is not
//! preloaded, means no worker: `tviews.health()` says so.

use crate::pg::shmem;
use pgrx::pg_sys;
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU32, Ordering::SeqCst};

/// Zeroes are a free place.
#[repr(C)]
pub struct Place {
    database: AtomicU32,
    /// Process of the worker, or 0.
    pid: AtomicI32,
    /// No worker is started before this time: somebody wants the database for himself.
    not_before: AtomicI64,
    _room: [u64; 2],
}

pub const PLACES: usize = shmem::HEAD / size_of::<Place>();

/// All places; None when the library is not preloaded.
pub fn places() -> Option<&'static [Place; PLACES]> {
    // SAFETY: the head of the piece has this size, is zeroed, and lives as long as the process; all fields are atomic.
    shmem::head().map(|head| unsafe { &*head.cast::<[Place; PLACES]>() })
}

/// The place of a database.
pub fn of(database: u32) -> Option<&'static Place> {
    places()?.iter().find(|p| p.database.load(SeqCst) == database)
}

/// Puts this session's database on the board; false when there is no place.
pub fn want() -> bool {
    // SAFETY: a plain global.
    let own = unsafe { pg_sys::MyDatabaseId }.to_u32();
    if of(own).is_some() {
        return true;
    }
    let Some(places) = places() else { return false };
    shmem::alone(|| {
        let free = || places.iter().find(|p| p.database.load(SeqCst) == 0);
        of(own).or_else(free).map(|place| place.database.store(own, SeqCst)).is_some()
    })
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

    pub fn not_before(&self) -> i64 {
        self.not_before.load(SeqCst)
    }

    pub fn leave_until(&self, time: i64) {
        self.not_before.store(time, SeqCst);
    }

    /// Nothing is to be done for the database.
    pub fn free(&self) {
        self.not_before.store(0, SeqCst);
        self.database.store(0, SeqCst);
    }
}
