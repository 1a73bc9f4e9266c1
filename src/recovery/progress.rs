//! Progress of the recovery of one database: one place in shared memory, written by the worker, and read by the view `tviews.progress`.
//!
//! There is one worker at a time. Readers may see the numbers of two moments; a pid of 0 says that no worker runs.

use crate::counters;
use crate::counters::progress::Progress;
use crate::pg::error::Result;
use crate::pg::function::{Arguments, sql_function};
use pgrx::{IntoDatum, pg_sys};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

fn shared() -> &'static Progress {
    &counters::table().progress
}

/// The worker of this database begins to recover so many TVIEWs.
pub fn begin(total: usize) {
    let p = shared();
    // SAFETY: plain globals.
    let (pid, database, now) = unsafe { (pg_sys::MyProcPid, pg_sys::MyDatabaseId, pg_sys::GetCurrentTimestamp()) };
    p.total.store(total as u32, Relaxed);
    p.done.store(0, Relaxed);
    p.failed.store(0, Relaxed);
    p.tview.store(0, Relaxed);
    p.database.store(database.to_u32(), Relaxed);
    p.since.store(now, Relaxed);
    p.pid.store(pid as u32, Relaxed);
}

/// The worker begins with this TVIEW.
pub fn at(tview: pg_sys::Oid) {
    shared().tview.store(tview.to_u32(), Relaxed);
}

pub fn finished(well: bool) {
    let p = shared();
    let counted = if well { &p.done } else { &p.failed };
    counted.fetch_add(1, Relaxed);
}

pub fn end() {
    shared().pid.store(0, Relaxed);
}

sql_function!(tviews_recovery, pg_finfo_tviews_recovery, recovery);

/// pid, database, relation, numbers of TVIEWs (all, done, failed), start time.
fn recovery(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    let p = shared();
    let pid = p.pid.load(Relaxed);
    // SAFETY: looks at the array of processes.
    let runs = pid != 0 && unsafe { !pg_sys::BackendPidGetProc(pid as i32).is_null() };
    let row = || {
        let oid = |of: &AtomicU32| {
            Some(pg_sys::Oid::from(of.load(Relaxed))).filter(|o| *o != pg_sys::InvalidOid).into_datum()
        };
        let number = |of: &AtomicU32| i64::from(of.load(Relaxed)).into_datum();
        let since = Some(pg_sys::Datum::from(p.since.load(Relaxed)));
        [
            (pid as i32).into_datum(),
            oid(&p.database),
            oid(&p.tview),
            number(&p.total),
            number(&p.done),
            number(&p.failed),
            since,
        ]
    };
    arguments.rows(runs.then(row))
}
