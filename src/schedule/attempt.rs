//! One refresh by schedule, by the scheduler or by a worker.
//!
//! Invariant: the refresh is a transaction of its own, and so is what is noted of its error.

use super::jobs;
use crate::pg::error::or_raise;
use crate::pg::{background, name};
use crate::refresh::flush::deferred;
use crate::refresh::plan::graph;
use pgrx::pg_sys;
use std::ffi::CString;

/// Refreshes a TVIEW; whether that was done.
pub fn attempt(tview: pg_sys::Oid, started: pg_sys::TimestampTz) -> bool {
    let done = background::transaction(|| {
        show(tview);
        or_raise(jobs::run(tview));
    });
    match &done {
        Ok(()) => {
            // Locks on logs are held for this short transaction only.
            let trimmed = background::transaction(|| {
                let graph = or_raise(graph::current());
                deferred::below(tview, &graph).into_iter().for_each(|t| or_raise(deferred::trim(t)));
            });
            if let Err(message) = trimmed {
                pgrx::log!("logs could not be emptied: {message}");
            }
        }
        Err(message) => failed(tview, started, message),
    }
    done.is_ok()
}

/// Notes that a refresh failed.
pub fn failed(tview: pg_sys::Oid, started: pg_sys::TimestampTz, message: &str) {
    let noted = background::transaction(|| or_raise(jobs::failed(tview, started, message)));
    if let Err(second) = noted {
        pgrx::log!("a refresh failed: {message}; this could not be noted: {second}");
    }
}

fn show(tview: pg_sys::Oid) {
    let doing = format!("refreshing TVIEW {}", name::relation(tview).unwrap_or_default());
    let doing = CString::new(doing).unwrap_or_default();
    // SAFETY: the text is copied.
    unsafe { pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, doing.as_ptr()) };
}
