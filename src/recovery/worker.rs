//! The process that computes the lost TVIEWs of one database.

use super::progress;
use crate::catalog::{self, sentinel};
use crate::pg::error::or_raise;
use crate::pg::relation::Relation;
use crate::pg::{name, original};
use crate::refresh::flush::lost;
use crate::refresh::plan::graph;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::{FromDatum, PgTryBuilder, pg_guard, pg_sys};
use std::ffi::{CString, c_int};

unsafe extern "C-unwind" {
    // tcop/postgres.c: ends the process at the next safe place.
    fn die(signal: c_int);
}

#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_tviews_recovery(argument: pg_sys::Datum) {
    // SAFETY: the process has just begun; the launcher passes the oid of a database.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        pg_sys::pqsignal(libc::SIGTERM, Some(die));
        #[cfg(feature = "pg18")]
        pg_sys::pqsignal_be(libc::SIGTERM, Some(die));
        pg_sys::BackgroundWorkerUnblockSignals();
        let database = pg_sys::Oid::from_datum(argument, false).unwrap_or(pg_sys::InvalidOid);
        pg_sys::BackgroundWorkerInitializeConnectionByOid(database, pg_sys::InvalidOid, 0);
        // The database's lock_timeout is meant for sessions of users.
        let (user, origin) = (pg_sys::GucContext::PGC_SUSET, pg_sys::GucSource::PGC_S_OVERRIDE);
        pg_sys::SetConfigOption(c"lock_timeout".as_ptr(), c"0".as_ptr(), user, origin);
    }
    let lost = in_transaction("TVIEWs that were lost could not be looked for", lost).unwrap_or_default();
    if lost.is_empty() {
        return;
    }
    progress::begin(lost.len());
    for (tview, name) in lost {
        progress::at(tview);
        let failure = format!("TVIEW {name} was lost and could not be computed anew");
        progress::finished(in_transaction(&failure, || one(tview, &name)).is_some());
    }
    progress::end();
}

/// The lost TVIEWs, stages among them, each before the TVIEWs that read it.
fn lost() -> Vec<(pg_sys::Oid, String)> {
    if !catalog::installed() {
        return Vec::new();
    }
    let graph = or_raise(graph::current());
    let without_sources = catalog::stored().into_iter().filter(|t| !graph.reads_others(*t));
    let all = without_sources.chain(graph.order.iter().copied()).map(pg_sys::Oid::from);
    let lost = all.filter(|t| Relation::open(*t, pg_sys::AccessShareLock).is_some_and(|r| is_lost(&r)));
    lost.map(|t| (t, name::relation(t).unwrap_or_default())).collect()
}

fn is_lost(rel: &Relation) -> bool {
    rel.class().relispopulated && !sentinel::alive(rel.oid(), rel.class())
}

fn one(tview: pg_sys::Oid, name: &str) {
    let doing = format!("computing TVIEW {name} anew");
    let doing = CString::new(doing).unwrap_or_default();
    // SAFETY: the text is copied.
    unsafe { pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, doing.as_ptr()) };
    or_raise(lost::recover(tview));
}

/// Runs `f` in a transaction of its own; None after an error, which is in the log then, behind `failure`.
fn in_transaction<T>(failure: &str, f: impl FnOnce() -> T) -> Option<T> {
    // SAFETY: transactions are begun and ended where none is open; the closure pops the snapshot that it pushes.
    unsafe {
        pg_sys::SetCurrentStatementStartTimestamp();
        pg_sys::StartTransactionCommand();
        let work = std::panic::AssertUnwindSafe(|| {
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
            let result = f();
            pg_sys::PopActiveSnapshot();
            pg_sys::CommitTransactionCommand();
            Some(result)
        });
        let result = PgTryBuilder::new(work).catch_others(|cause| {
            report(failure, &cause);
            None
        });
        let result = result.execute();
        if result.is_none() {
            original::take();
            pg_sys::AbortCurrentTransaction();
        }
        pg_sys::pgstat_report_stat(true);
        pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_IDLE, std::ptr::null());
        result
    }
}

fn report(failure: &str, cause: &CaughtError) {
    let message = match cause {
        CaughtError::PostgresError(report) | CaughtError::ErrorReport(report) => report.message().to_string(),
        CaughtError::RustPanic { ereport, .. } => ereport.message().to_string(),
    };
    pgrx::log!("{failure}: {message}");
}
