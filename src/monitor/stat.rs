//! `stat`: what flushes have done and cost, one row a TVIEW; `stat_reset`.
//!
//! `watched` is how the flush counts, the functions are how SQL reads it.

use super::counters::{Counters, table, take_waited};
use crate::pg::error::Result;
use crate::pg::function::{Arguments, sql_function};
use crate::pg::original;
use crate::pg::relation::Relation;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{IntoDatum, pg_sys};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
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

/// Message of an error on its way through Rust frames.
fn message(panic: &(dyn Any + Send)) -> &str {
    if let Some(report) = original::report_of(panic) {
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

sql_function!(tviews_stat_of, pg_finfo_tviews_stat_of, stat_of);

fn stat_of(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    let tview = arguments.relation();
    let (c, error) = table().get(tview);
    let last_error = error.filter(|_| may_read_errors(tview));
    let count = |n: u64| (n as i64).into_datum();
    arguments.rows([[
        count(c.flushes),
        count(c.rows_inserted),
        count(c.rows_updated),
        count(c.rows_deleted),
        count(c.rows_unchanged),
        count(c.changed_rows),
        count(c.dirty_keys),
        count(c.full_recomputes),
        milliseconds(c.flush_nanoseconds).into_datum(),
        milliseconds(c.lock_wait_nanoseconds).into_datum(),
        last_error.into_datum(),
        // a timestamptz is a number of microseconds
        table().since().into_datum(),
    ]])
}

sql_function!(tviews_stat_reset, pg_finfo_tviews_stat_reset, stat_reset);

fn stat_reset(_: &Arguments) -> Result<Option<pg_sys::Datum>> {
    table().reset();
    Ok(Some(pg_sys::Datum::from(0usize)))
}
