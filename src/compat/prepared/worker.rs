//! The process that finishes one prepared transaction.

use super::order::{Order, Segment};
use crate::pg::pinned::Pinned;
use crate::pg::{background, original};
use pgrx::pg_sys::panic::CaughtError;
use pgrx::{PgTryBuilder, pg_guard, pg_sys};
use std::ffi::c_char;

mod raw {
    use super::c_char;
    unsafe extern "C-unwind" {
        // access/twophase.h
        pub fn FinishPreparedTransaction(gid: *const c_char, commit: bool);
    }
}

#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_tviews_finish_prepared(argument: pg_sys::Datum) {
    // SAFETY: the process has just begun; the caller passes the handle of a segment.
    unsafe {
        background::die_at_sigterm();
        pg_sys::BackgroundWorkerUnblockSignals();
        let handle = argument.value() as pg_sys::dsm_handle;
        let Some(segment) = Segment::attach(handle) else { return };
        let mut place = segment.order();
        let order = place.get();
        // As nobody in particular: the caller's role need not be one that may log in.
        pg_sys::BackgroundWorkerInitializeConnectionByOid(
            order.database,
            pg_sys::InvalidOid,
            pg_sys::BGWORKER_BYPASS_ALLOWCONN,
        );
        pg_sys::SetCurrentStatementStartTimestamp();
        pg_sys::StartTransactionCommand();
        let error = PgTryBuilder::new(std::panic::AssertUnwindSafe(|| {
            finish(order);
            None
        }))
        .catch_others(Some)
        .execute();
        match error {
            None => place.get().finished(),
            Some(cause) => {
                original::take();
                pg_sys::AbortCurrentTransaction();
                let (CaughtError::PostgresError(report)
                | CaughtError::ErrorReport(report)
                | CaughtError::RustPanic { ereport: report, .. }) = &cause;
                let code = report.sql_error_code() as i32;
                place.get().failed(code, report.message(), report.detail(), report.hint());
            }
        }
    }
}

/// Finishes the transaction with the caller's rights, which the server checks.
///
/// # Safety
/// In a transaction that has just begun.
#[allow(ffi_unwind_calls)] // inside the closure of keep, which has nothing to drop
unsafe fn finish(order: &Order) {
    let (gid, commit) = (order.gid(), order.commit);
    let gid = gid.as_ptr();
    let pinned = Pinned::new(order.user);
    // SAFETY: the text ends with a NUL and outlives the call; the caller's transaction has just begun.
    unsafe {
        original::keep(std::ptr::null(), || raw::FinishPreparedTransaction(gid, commit));
        drop(pinned);
        pg_sys::CommitTransactionCommand();
    }
}
