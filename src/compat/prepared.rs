//! `pg_tviews_commit_prepared`, `pg_tviews_rollback_prepared`: COMMIT PREPARED and ROLLBACK PREPARED from a function.
//!
//! The server finishes a prepared transaction outside of transaction blocks only, so a background worker does it: the order and the outcome are in
//! a segment of shared memory that both have mapped. Invariant: the worker asks the server with the caller's user and database, and the server
//! decides who may finish the transaction; an error comes back with its SQLSTATE. The caller waits for the worker's end, and can be
//! cancelled; the worker then goes on, and whether the transaction is finished is to be seen in pg_prepared_xacts.
//! What a transaction has changed in TVIEWs is part of it since PREPARE. Source of the rights: twophase.c, LockGXact.

mod order;
mod worker;

use crate::pg::function::{Arguments, sql_function};
use crate::pg::{error, name};
use order::{Order, Outcome, Segment};
use pgrx::bgworkers::BackgroundWorkerBuilder;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode, pg_sys};

sql_function!(pg_tviews_commit_prepared, pg_finfo_pg_tviews_commit_prepared, commit);
sql_function!(pg_tviews_rollback_prepared, pg_finfo_pg_tviews_rollback_prepared, rollback);

fn commit(arguments: &Arguments) -> error::Result<Option<pg_sys::Datum>> {
    finish(arguments, true)
}

fn rollback(arguments: &Arguments) -> error::Result<Option<pg_sys::Datum>> {
    finish(arguments, false)
}

fn finish(arguments: &Arguments, commit: bool) -> error::Result<Option<pg_sys::Datum>> {
    let gid: String = arguments.get(0).unwrap_or_default();
    // SAFETY: raises an error, or does nothing.
    unsafe {
        let statement = if commit { c"COMMIT PREPARED" } else { c"ROLLBACK PREPARED" };
        pg_sys::PreventCommandDuringRecovery(statement.as_ptr());
    }
    if gid.len() > order::GID {
        let what = format!("transaction identifier \"{gid}\" is too long");
        raise(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, what, None, None);
    }
    // An error, also that of a cancelled wait, unmaps the segment with the resource owner of the query.
    let segment = Segment::create();
    // SAFETY: plain globals.
    let (user, database, me) = unsafe { (pg_sys::GetUserId(), pg_sys::MyDatabaseId, pg_sys::MyProcPid) };
    segment.order().write(Order::new(&gid, commit, user, database));
    let worker = BackgroundWorkerBuilder::new("pg_tviews prepared transaction")
        .set_type("pg_tviews prepared transaction")
        .set_library("pg_tviews")
        .set_function("pg_tviews_finish_prepared")
        .set_argument(Some(pg_sys::Datum::from(segment.handle())))
        .enable_spi_access()
        .set_restart_time(None)
        .set_notify_pid(me)
        .load_dynamic();
    let Ok(worker) = worker else {
        let hint = "Raise max_worker_processes, or use COMMIT PREPARED and ROLLBACK PREPARED.";
        let what = "could not start a background worker for a prepared transaction".into();
        raise(PgSqlErrorCode::ERRCODE_INSUFFICIENT_RESOURCES, what, None, Some(hint.into()));
    };
    let ended = worker.wait_for_shutdown();
    let outcome = segment.order().outcome();
    segment.detach();
    match outcome {
        Outcome::Finished if ended.is_ok() => Ok(Some(pg_sys::Datum::from(0usize))),
        Outcome::Failed { code, message, detail, hint } => raise(PgSqlErrorCode::from(code), message, detail, hint),
        _ => raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("the worker for prepared transaction {} ended without saying what became of it", name::ident(&gid)),
            None,
            Some("The server log may say why; pg_prepared_xacts shows whether the transaction is still there.".into()),
        ),
    }
}

fn raise(code: PgSqlErrorCode, message: String, detail: Option<String>, hint: Option<String>) -> ! {
    let mut report = ErrorReport::new(code, message, "prepared");
    if let Some(detail) = detail {
        report = report.set_detail(detail);
    }
    if let Some(hint) = hint {
        report = report.set_hint(hint);
    }
    report.report(PgLogLevel::ERROR);
    unreachable!("ereport(ERROR) does not return");
}
