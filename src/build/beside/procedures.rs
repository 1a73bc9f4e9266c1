//! `CALL tviews.convert_concurrently`, `rebuild_concurrently` and `set_logged_concurrently`.
//!
//! Invariant: each step is a transaction of its own, so they are refused where a procedure may not end transactions. Source: executor/spi.c,
//! SPI_commit; commands/functioncmds.c, ExecuteCallStmt.

use super::{Becomes, run};
use crate::pg::error::{Error, Result};
use crate::pg::function::{Arguments, sql_function};
use pgrx::pg_sys;
use std::ffi::CStr;

sql_function!(tviews_convert_concurrently, pg_finfo_tviews_convert_concurrently, convert);

fn convert(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    call(arguments, c"CALL tviews.convert_concurrently", Becomes::Tview)
}

sql_function!(tviews_rebuild_concurrently, pg_finfo_tviews_rebuild_concurrently, rebuild);

fn rebuild(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    call(arguments, c"CALL tviews.rebuild_concurrently", Becomes::Anew)
}

sql_function!(tviews_set_logged_concurrently, pg_finfo_tviews_set_logged_concurrently, set_logged);

fn set_logged(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    let logged = arguments.get(1).ok_or(Error::Null("logged"))?;
    call(arguments, c"CALL tviews.set_logged_concurrently", Becomes::Logged(logged))
}

fn call(arguments: &Arguments, what: &CStr, becomes: Becomes) -> Result<Option<pg_sys::Datum>> {
    let oid = arguments.get(0).ok_or(Error::Null("tview"))?;
    if !arguments.may_commit() {
        return Err(Error::InBlock(what.to_string_lossy().into_owned()));
    }
    // SAFETY: these raise errors, or do nothing; the connection ends with this call, or by an error.
    unsafe {
        pg_sys::PreventCommandIfReadOnly(what.as_ptr());
        pg_sys::PreventCommandDuringRecovery(what.as_ptr());
        pg_sys::SPI_connect_ext(pg_sys::SPI_OPT_NONATOMIC as i32);
        // What the server has pushed goes with its transaction.
        pg_sys::SPI_commit();
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        run(oid, becomes, next)?;
        pg_sys::PopActiveSnapshot();
        pg_sys::SPI_finish();
    }
    Ok(Some(pg_sys::Datum::from(0usize)))
}

fn next() {
    // SAFETY: connected by `call`; the snapshot is our own.
    unsafe {
        pg_sys::PopActiveSnapshot();
        pg_sys::SPI_commit();
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
    }
}
