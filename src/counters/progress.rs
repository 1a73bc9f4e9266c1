//! Progress of the recovery of one database: one place in shared memory. Written and read by recovery/progress.rs.

use crate::counters::AtomicI64;
use std::sync::atomic::AtomicU32;

/// Zeroes are no recovery.
#[repr(C)]
pub struct Progress {
    pub pid: AtomicU32,
    pub database: AtomicU32,
    pub tview: AtomicU32,
    pub total: AtomicU32,
    pub done: AtomicU32,
    pub failed: AtomicU32,
    pub since: AtomicI64,
}

/// How many sessions that populate beside writers are shown at a time, in all databases.
pub const POPULATIONS: usize = 16;

/// A TVIEW that is being populated while writers go on. Written and read by build/progress.rs. Zeroes are none.
#[repr(C)]
pub struct Population {
    pub pid: AtomicU32,
    pub database: AtomicU32,
    pub tview: AtomicU32,
    pub phase: AtomicU32,
    pub rows: AtomicI64,
    pub since: AtomicI64,
}
