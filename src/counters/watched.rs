//! Runs the maintenance of a TVIEW and counts its work.

use crate::counters::{Counters, table, take_waited};
use crate::pg::error::Result;
use crate::pg::original;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::panic::resume_unwind;
use std::time::Instant;

/// Runs the maintenance of one TVIEW and adds its counts, or remembers the error that ended it, which goes on unchanged.
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
