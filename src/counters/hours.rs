//! The counters of flushes by hour and database, for `pg_tviews_performance_summary`.
//!
//! A table of a fixed number of (database, hour), beside the table of TVIEWs; when it is full the oldest hour of any database gives its place
//! up. Adding takes no lock, but for the first flush of an hour. Not transactional, as all counters. Invariant: an hour that is shown has
//! the flushes that ended in it; a flush that ends while its hour gives its place up, days later, may be counted in another.
//! Called by `Table::add`, and read by compat/status.rs.

use super::{Counters, FIELDS};
use crate::pg::shmem;
use crate::pg::silent;
use pgrx::pg_sys;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::Release};
use tviews_core::stat_file::OfHour;

/// Hours of all databases that are kept.
pub const SLOTS: usize = 1024;

const MICROSECONDS: i64 = 3_600_000_000;

/// Zeroes are an empty table; a key of 0 is a free place.
#[repr(C)]
pub struct Hours {
    keys: [AtomicU64; SLOTS],
    counters: [[AtomicU64; FIELDS]; SLOTS],
}

/// The hour of now, counted from 2000, of this database.
fn key() -> u64 {
    // SAFETY: a plain global, and the clock.
    let (database, now) = unsafe { (pg_sys::MyDatabaseId, silent::GetCurrentTimestamp()) };
    u64::from(database.to_u32()) << 32 | u64::from((now / MICROSECONDS) as u32)
}

impl Hours {
    fn find(&self, key: u64) -> Option<usize> {
        let start = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize % SLOTS;
        (start..SLOTS).chain(0..start).find(|i| self.keys[*i].load(Relaxed) == key)
    }

    pub fn add(&self, done: [u64; FIELDS]) {
        let key = key();
        let place = self.find(key).unwrap_or_else(|| shmem::alone(|| self.find(key).unwrap_or_else(|| self.take(key))));
        for (counter, n) in self.counters[place].iter().zip(done) {
            counter.fetch_add(n, Relaxed);
        }
    }

    /// A free place, or that of the oldest hour. The caller holds the lock.
    fn take(&self, key: u64) -> usize {
        let hour = |i: &usize| self.keys[*i].load(Relaxed) as u32;
        let start = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize % SLOTS;
        let place = (start..SLOTS).chain(0..start).min_by_key(hour).unwrap_or(0);
        self.counters[place].iter().for_each(|c| c.store(0, Relaxed));
        self.keys[place].store(key, Release);
        place
    }

    /// All hours, for the file of the counters.
    pub fn to_keep(&self) -> Vec<OfHour> {
        let used = self.keys.iter().zip(&self.counters).filter(|(key, _)| key.load(Relaxed) != 0);
        used.map(|(key, counters)| OfHour {
            key: key.load(Relaxed),
            counters: std::array::from_fn(|i| counters[i].load(Relaxed)),
        })
        .collect()
    }

    /// Fills an empty table; what does not fit is left out.
    pub fn take_over(&self, kept: Vec<OfHour>) {
        for (place, hour) in kept.into_iter().filter(|hour| hour.key != 0).take(SLOTS).enumerate() {
            self.counters[place].iter().zip(hour.counters).for_each(|(c, n)| c.store(n, Relaxed));
            self.keys[place].store(hour.key, Relaxed);
        }
    }

    /// Forgets the hours of a database. The caller holds the lock.
    pub fn reset(&self, database: u64) {
        self.keys.iter().filter(|k| k.load(Relaxed) >> 32 == database).for_each(|k| k.store(0, Relaxed));
    }
}

/// The hours of this database, newest first: their start, and what flushes did.
pub fn of_database() -> Vec<(pg_sys::TimestampTz, Counters)> {
    let hours = &super::table().hours;
    let database = key() >> 32;
    let mut found: Vec<(u32, Counters)> = (0..SLOTS)
        .map(|i| (hours.keys[i].load(Relaxed), &hours.counters[i]))
        .filter(|(key, _)| *key != 0 && *key >> 32 == database)
        .map(|(key, counters)| (key as u32, Counters::from_array(std::array::from_fn(|f| counters[f].load(Relaxed)))))
        .collect();
    found.sort_by_key(|(hour, _)| std::cmp::Reverse(*hour));
    found.into_iter().map(|(hour, counters)| (i64::from(hour) * MICROSECONDS, counters)).collect()
}
