//! `pg_tviews_version`, `pg_tviews_hook_status`, and what the views over the session's queue and the counters show.

use crate::counters::hours;
use crate::pg::error::Result;
use crate::pg::function::{Arguments, sql_function};
use crate::pg::guc;
use crate::{queue, tam};
use pgrx::{IntoDatum, pg_sys};
use std::sync::atomic::Ordering::Relaxed;

sql_function!(pg_tviews_version, pg_finfo_pg_tviews_version, version);

fn version(_: &Arguments) -> Result<Option<pg_sys::Datum>> {
    Ok(env!("CARGO_PKG_VERSION").into_datum())
}

sql_function!(pg_tviews_hook_status, pg_finfo_pg_tviews_hook_status, hook_status);

/// The hooks are set when the library is loaded, and it is when this runs; what differs is who loaded it and whether the parser is extended.
fn hook_status(_: &Arguments) -> Result<Option<pg_sys::Datum>> {
    let loaded = match tam::PRELOADED.load(Relaxed) {
        true => "active: the server has preloaded the library",
        false => "active in this session only: the library is not in shared_preload_libraries",
    };
    let syntax = match guc::SYNTAX_WORKS.load(Relaxed) {
        true => "CREATE TVIEW is accepted",
        false => "CREATE TVIEW is not accepted",
    };
    Ok(format!("{loaded}; {syntax}").into_datum())
}

sql_function!(tviews_last_change, pg_finfo_tviews_last_change, last_change);

/// Start of the statement whose changes were the last to be queued; NULL when nothing is pending.
fn last_change(_: &Arguments) -> Result<Option<pg_sys::Datum>> {
    // a timestamptz is a number of microseconds
    Ok(queue::last_change().into_datum())
}

sql_function!(tviews_stat_hours, pg_finfo_tviews_stat_hours, stat_hours);

fn stat_hours(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    let count = |n: u64| (n as i64).into_datum();
    let milliseconds = |n: u64| (n as f64 / 1e6).into_datum();
    arguments.rows(hours::of_database().into_iter().map(|(start, c)| {
        [
            // a timestamptz is a number of microseconds
            start.into_datum(),
            count(c.flushes),
            count(c.rows_inserted),
            count(c.rows_updated),
            count(c.rows_deleted),
            count(c.rows_unchanged),
            count(c.changed_rows),
            count(c.dirty_keys),
            count(c.full_recomputes),
            milliseconds(c.flush_nanoseconds),
            milliseconds(c.lock_wait_nanoseconds),
        ]
    }))
}
