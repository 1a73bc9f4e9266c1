//! `stat`: what flushes have done and cost, one row a TVIEW; `stat_reset`.
//!
//! `watched` is how the flush counts, the functions are how SQL reads it.

use super::counters::{table, take_waited, Counters};
use crate::pg::error::Result;
use crate::pg::relation::Relation;
use pgrx::iter::TableIterator;
use pgrx::pg_sys::panic::{CaughtError, ErrorReport, ErrorReportWithLevel};
use pgrx::{name, pg_extern, pg_sys};
use std::any::Any;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::time::Instant;

/// Runs the maintenance of one TVIEW and counts what it did, or the error that it ended with, which goes on as it is.
pub fn watched(tview: pg_sys::Oid, maintain: impl FnOnce() -> Result<Counters>) -> Result<()> {
    let start = Instant::now();
    take_waited();
    let result = catch_unwind(AssertUnwindSafe(maintain));
    match result {
        Ok(Ok(mut done)) if done.flushes > 0 => {
            done.lock_wait_nanoseconds = take_waited().as_nanos() as u64;
            done.flush_nanoseconds = start.elapsed().as_nanos() as u64;
            table().add(tview, done);
            Ok(())
        }
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => {
            table().failed(tview, &error.to_string());
            Err(error)
        }
        Err(panic) => {
            table().failed(tview, message(&*panic));
            resume_unwind(panic)
        }
    }
}

/// Message of an error on its way through Rust frames, in the forms that pgrx gives it.
fn message(panic: &(dyn Any + Send)) -> &str {
    if let Some(caught) = panic.downcast_ref::<CaughtError>() {
        let (CaughtError::PostgresError(report)
        | CaughtError::ErrorReport(report)
        | CaughtError::RustPanic { ereport: report, .. }) = caught;
        report.message()
    } else if let Some(report) = panic.downcast_ref::<ErrorReportWithLevel>() {
        report.message()
    } else if let Some(report) = panic.downcast_ref::<ErrorReport>() {
        report.message()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text
    } else {
        panic.downcast_ref::<&str>().copied().unwrap_or("unknown error")
    }
}

/// Messages of errors can contain data of the tables: they are for the TVIEW's owner and for those who monitor.
fn may_read_errors(tview: pg_sys::Oid) -> bool {
    Relation::open(tview, pg_sys::AccessShareLock).is_some_and(|rel| {
        // SAFETY: look-ups of role membership.
        unsafe {
            let user = pg_sys::GetUserId();
            pg_sys::has_privs_of_role(user, rel.class().relowner)
                || pg_sys::has_privs_of_role(user, pg_sys::Oid::from(pg_sys::ROLE_PG_READ_ALL_STATS))
        }
    })
}

fn milliseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn stat_of(
    tview: pg_sys::Oid,
) -> TableIterator<
    'static,
    (
        name!(flushes, i64),
        name!(rows_inserted, i64),
        name!(rows_updated, i64),
        name!(rows_deleted, i64),
        name!(rows_unchanged, i64),
        name!(changed_rows, i64),
        name!(dirty_keys, i64),
        name!(full_recomputes, i64),
        name!(flush_time, f64),
        name!(lock_wait_time, f64),
        name!(last_error, Option<String>),
        // declared timestamptz in SQL, which is this
        name!(stats_reset, i64),
    ),
> {
    let (c, error) = table().get(tview);
    let last_error = error.filter(|_| may_read_errors(tview));
    TableIterator::once((
        c.flushes as i64,
        c.rows_inserted as i64,
        c.rows_updated as i64,
        c.rows_deleted as i64,
        c.rows_unchanged as i64,
        c.changed_rows as i64,
        c.dirty_keys as i64,
        c.full_recomputes as i64,
        milliseconds(c.flush_nanoseconds),
        milliseconds(c.lock_wait_nanoseconds),
        last_error,
        table().since(),
    ))
}

#[pg_extern(sql = false)]
fn stat_reset() {
    table().reset();
}
