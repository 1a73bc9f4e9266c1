//! Deferred TVIEWs that are paused, or whose last refresh failed: rows of `tviews.job`. Others have no row.

use super::table::Table;
use crate::pg::error::Result;
use pgrx::{FromDatum, IntoDatum, pg_sys};

#[derive(Debug, Default, Clone)]
pub struct Job {
    /// By a user, or after too many errors: not refreshed by itself.
    pub paused: bool,
    /// Errors in a row.
    pub errors: i32,
    pub error: Option<String>,
    pub failed_at: Option<pg_sys::TimestampTz>,
}

pub fn of(tview: pg_sys::Oid) -> Job {
    let mut found = Job::default();
    if let Some(table) = Table::open("job", pg_sys::AccessShareLock) {
        table.look_up(c"job_key", tview, |t| found = decode(&table, t));
    }
    found
}

fn decode(table: &Table, tuple: pg_sys::HeapTuple) -> Job {
    // SAFETY: columns are oid, boolean, int4, text, timestamptz.
    unsafe {
        Job {
            paused: table.get(tuple, 2).and_then(|d| bool::from_datum(d, false)).unwrap_or(false),
            errors: table.get(tuple, 3).and_then(|d| i32::from_datum(d, false)).unwrap_or(0),
            error: table.get(tuple, 4).and_then(|d| String::from_datum(d, false)),
            failed_at: table.get(tuple, 5).map(|d| d.value() as pg_sys::TimestampTz),
        }
    }
}

pub fn put(tview: pg_sys::Oid, job: &Job) -> Result<()> {
    let table = Table::required("job", pg_sys::RowExclusiveLock)?;
    let columns = [
        tview.into_datum(),
        job.paused.into_datum(),
        job.errors.into_datum(),
        job.error.clone().into_datum(),
        job.failed_at.map(pg_sys::Datum::from),
    ];
    table.put(c"job_key", tview, &columns);
    Ok(())
}

/// Not paused, and without errors.
pub fn forget(tview: pg_sys::Oid) {
    let Some(table) = Table::open("job", pg_sys::RowExclusiveLock) else { return };
    let mut place = None;
    // SAFETY: t_self of a scanned tuple.
    table.look_up(c"job_key", tview, |t| place = Some(unsafe { (*t).t_self }));
    if let Some(mut place) = place {
        table.delete_at(&mut place);
    }
}
