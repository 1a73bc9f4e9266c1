//! Waiting until WAL is in the logs, up to what a snapshot sees.
//!
//! Invariant: a transaction that a snapshot sees has its commit record in WAL before the end of WAL as it is after the snapshot was taken (access/
//! transam/xact.c, CommitTransaction: the record first, then the array of processes). So when WAL has been read up to there, rows of all of them are
//! in the logs, for who reads these with a snapshot that is taken now; unless the slot was lost meanwhile, and another one took its place.
//! Called by refreshes, after they have taken their snapshot.

use super::{reader, slot};
use crate::log::board::{self, Place};
use crate::pg::background;
use crate::pg::fault::{self, Fault};
use pgrx::pg_sys;
use std::time::{Duration, Instant};

/// Who waits goes on waiting while the reader gets on.
const PATIENCE: Duration = Duration::from_secs(10);
/// Without a reader: one may just be starting.
const FOR_A_READER: Duration = Duration::from_secs(2);
const NAP: Duration = Duration::from_millis(20);

/// The moment before somebody looks which relations are captured from WAL, and then takes a snapshot.
pub struct Before {
    place: Option<&'static Place>,
    slots: u64,
}

impl Before {
    pub fn now() -> Before {
        // SAFETY: a plain global.
        let place = board::of(unsafe { pg_sys::MyDatabaseId }.to_u32());
        Before { place, slots: place.map_or(0, Place::slots) }
    }

    /// Whether the logs have everything that this moment's latest snapshot sees of what is captured from WAL since before; waits for that, as
    /// long as the reader gets on, and at most `most`.
    pub fn is_complete(&self, most: Duration) -> bool {
        if fault::on(Fault::SkipWaitForWal) {
            return true;
        }
        // SAFETY: a plain getter. A standby has the logs of its primary.
        if unsafe { pg_sys::RecoveryInProgress() } {
            return false;
        }
        // SAFETY: a plain global.
        let database = unsafe { pg_sys::MyDatabaseId }.to_u32();
        // A copy of a database has nobody yet who reads its WAL.
        board::want_of(database, board::WAL);
        let Some(place) = self.place else { return false };
        let upto = slot::end_of_wal();
        if place.logged() >= upto {
            return self.is_kept(place);
        }
        if reader::flushed() < upto {
            // Commits that are not waited for are on disk later.
            // SAFETY: a position that has been written to.
            unsafe { pg_sys::XLogFlush(upto) };
        }
        let begun = Instant::now();
        let (mut since, mut seen) = (begun, place.logged());
        loop {
            // The reader looks at once.
            background::wake(place.reader());
            nap();
            let now = place.logged();
            if now >= upto || !self.is_kept(place) {
                return self.is_kept(place);
            }
            if now > seen {
                (since, seen) = (Instant::now(), now);
            }
            let patience = if place.reader() == 0 { FOR_A_READER } else { PATIENCE };
            if since.elapsed() >= patience || begun.elapsed() >= most {
                return false;
            }
        }
    }

    /// Whether the place is still that of this database, and the slot the same: after `logged` was read.
    fn is_kept(&self, place: &Place) -> bool {
        // SAFETY: a plain global.
        place.slots() == self.slots && place.database() == unsafe { pg_sys::MyDatabaseId }.to_u32()
    }
}

fn nap() {
    // SAFETY: the latch of the process; the postmaster's death ends it.
    unsafe {
        let events = (pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH) as i32;
        pg_sys::WaitLatch(pg_sys::MyLatch, events, NAP.as_millis() as _, pg_sys::PG_WAIT_EXTENSION);
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
    pgrx::check_for_interrupts!();
}
