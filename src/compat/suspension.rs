//! `pg_tviews_suspend_triggers`, `pg_tviews_resume_triggers`, `pg_tviews_is_suspended`. What a suspension is: queue/suspension.rs.

use crate::pg::error::Result;
use crate::pg::function::{Arguments, sql_function};
use crate::queue::suspension;
use crate::refresh::flush::{Moment, flush};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{IntoDatum, PgLogLevel, PgSqlErrorCode, pg_sys};

sql_function!(pg_tviews_suspend_triggers, pg_finfo_pg_tviews_suspend_triggers, suspend);

fn suspend(_: &Arguments) -> Result<Option<pg_sys::Datum>> {
    suspension::suspend();
    Ok(Some(pg_sys::Datum::from(0usize)))
}

sql_function!(pg_tviews_resume_triggers, pg_finfo_pg_tviews_resume_triggers, resume);

fn resume(_: &Arguments) -> Result<Option<pg_sys::Datum>> {
    match suspension::resume() {
        Some(0) => flush(Moment::Read),
        Some(_) => {}
        None => {
            let code = PgSqlErrorCode::ERRCODE_WARNING;
            ErrorReport::new(code, "TVIEWs are not suspended in this transaction", "suspension")
                .report(PgLogLevel::WARNING);
        }
    }
    Ok(Some(pg_sys::Datum::from(0usize)))
}

sql_function!(pg_tviews_is_suspended, pg_finfo_pg_tviews_is_suspended, is_suspended);

fn is_suspended(_: &Arguments) -> Result<Option<pg_sys::Datum>> {
    Ok((suspension::depth() > 0).into_datum())
}
