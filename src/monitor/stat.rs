//! `stat`: counters and times of flushes, one row a TVIEW; `stat_reset`.
//!
//! The counters are in `src/counters`; these functions are for SQL.

use crate::counters::table;
use crate::pg::acl;
use crate::pg::error::Result;
use crate::pg::function::{Arguments, sql_function};
use pgrx::{IntoDatum, pg_sys};

fn milliseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

sql_function!(tviews_stat_of, pg_finfo_tviews_stat_of, stat_of);

fn stat_of(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    let tview = arguments.relation();
    let (c, error) = table().get(tview);
    let last_error = error.filter(|_| acl::may_read_errors(tview));
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
        count(c.failures),
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
