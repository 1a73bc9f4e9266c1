//! Progress of what populates TVIEWs while writers go on: REFRESH … CONCURRENTLY, and the procedures of build/beside; for the view
//! `tviews.progress_concurrently`.
//!
//! Invariant: a place in shared memory is that of a process that lives; a place whose process is gone is taken by the next one. Readers may see the
//! numbers of two moments. Sessions that find no place are not shown. Called by build.

use crate::counters;
use crate::counters::progress::Population;
use crate::pg::error::Result;
use crate::pg::function::{Arguments, sql_function};
use crate::pg::process::process;
use pgrx::{IntoDatum, pg_sys};
use std::cell::Cell;
use std::sync::atomic::Ordering::Relaxed;

/// What a session is doing. Each word is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    WaitingForWriters = 1,
    Populating = 2,
    CatchingUp = 3,
    WaitingForReaders = 4,
    Switching = 5,
}

fn word(phase: u32) -> &'static str {
    ["starting", "waiting for writers", "populating", "catching up", "waiting for readers", "switching"]
        .get(phase as usize)
        .copied()
        .unwrap_or_default()
}

process! {
    static OWN: Cell<Option<&'static Population>> = const { Cell::new(None) };
}

/// While it lives, the session is shown.
pub struct Shown(());

impl Shown {
    pub fn begin(tview: pg_sys::Oid) -> Shown {
        // SAFETY: plain globals.
        let (pid, database, now) =
            unsafe { (pg_sys::MyProcPid as u32, pg_sys::MyDatabaseId.to_u32(), pg_sys::GetCurrentTimestamp()) };
        let take = |place: &&Population| {
            let of = place.pid.load(Relaxed);
            (of == 0 || of == pid || !lives(of)) && place.pid.compare_exchange(of, pid, Relaxed, Relaxed).is_ok()
        };
        let place = counters::table().populations.iter().find(take);
        if let Some(place) = place {
            place.database.store(database, Relaxed);
            place.tview.store(tview.to_u32(), Relaxed);
            place.phase.store(0, Relaxed);
            place.rows.store(0, Relaxed);
            place.since.store(now, Relaxed);
        }
        OWN.set(place);
        Shown(())
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        if let Some(place) = OWN.take() {
            place.pid.store(0, Relaxed);
        }
    }
}

/// What this session is doing now, if it is shown.
pub fn at(phase: Phase) {
    if let Some(place) = OWN.get() {
        place.phase.store(phase as u32, Relaxed);
    }
}

/// So many more rows have been written.
pub fn add(rows: usize) {
    if let Some(place) = OWN.get() {
        place.rows.fetch_add(rows as i64, Relaxed);
    }
}

fn lives(pid: u32) -> bool {
    // SAFETY: looks at the array of processes.
    unsafe { !pg_sys::BackendPidGetProc(pid as i32).is_null() }
}

sql_function!(tviews_populations, pg_finfo_tviews_populations, populations);

/// pid, database, relation, phase, rows written, start time.
fn populations(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    let all = counters::table().populations.iter();
    arguments.rows(all.filter(|place| lives(place.pid.load(Relaxed)) && place.pid.load(Relaxed) != 0).map(|place| {
        [
            (place.pid.load(Relaxed) as i32).into_datum(),
            pg_sys::Oid::from(place.database.load(Relaxed)).into_datum(),
            pg_sys::Oid::from(place.tview.load(Relaxed)).into_datum(),
            word(place.phase.load(Relaxed)).into_datum(),
            place.rows.load(Relaxed).into_datum(),
            Some(pg_sys::Datum::from(place.since.load(Relaxed))),
        ]
    }))
}
