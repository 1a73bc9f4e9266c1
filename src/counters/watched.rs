//! Runs the maintenance of a TVIEW and counts its work.

use crate::counters::{Counters, table, take_waited, trace};
use crate::pg::error::Result;
use crate::pg::{guc, name, original};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode, pg_sys};
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::panic::resume_unwind;
use std::time::Instant;
use tviews_core::whole::Whole;

/// What one flush of a TVIEW has done.
#[derive(Default)]
pub struct Work {
    pub counters: Counters,
    /// Only made when somebody asks.
    pub how: Option<How>,
}

/// How a flush followed the changes.
pub struct How {
    /// The TVIEW, or its stage.
    pub relation: pg_sys::Oid,
    pub strategies: String,
    pub way: Way,
    /// Why everything was recomputed, if it was.
    pub why: Option<Whole>,
    /// The user may not read the TVIEW.
    pub hidden: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    NestedLoops,
    FewRows,
    ManyRows,
    /// Everything was recomputed.
    Full,
}

impl Way {
    pub fn as_str(self) -> &'static str {
        match self {
            Way::NestedLoops => "nested loops",
            Way::FewRows => "SQL for few rows",
            Way::ManyRows => "SQL for many rows",
            Way::Full => "the whole query",
        }
    }
}

impl std::fmt::Display for How {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}, by {}", self.strategies, self.way.as_str())?;
        self.why.filter(|_| self.way == Way::Full).map_or(Ok(()), |why| write!(f, ", because {why}"))
    }
}

/// Runs the maintenance of one TVIEW and adds its counts, which it returns, or remembers the error that ended it, which goes on unchanged.
pub fn watched(tview: pg_sys::Oid, maintain: impl FnOnce() -> Result<Work>) -> Result<Counters> {
    let start = Instant::now();
    take_waited();
    trace::begin();
    let result = catch_unwind(AssertUnwindSafe(maintain));
    match result {
        Ok(Ok(Work { counters: mut done, how })) if done.flushes > 0 => {
            done.lock_wait_nanoseconds = take_waited().as_nanos() as u64;
            done.flush_nanoseconds = start.elapsed().as_nanos() as u64;
            table().add(tview, done);
            if let Some(how) = how {
                log(tview, done, &how);
                trace::add(tview, done, how);
            }
            Ok(done)
        }
        Ok(Ok(work)) => Ok(work.counters),
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

/// Whether somebody wants to know how flushes follow changes.
pub fn is_asked() -> bool {
    logs() || trace::on()
}

/// Whether the durations of flushes are logged.
fn logs() -> bool {
    guc::LOG_MIN_FLUSH_DURATION.get() >= 0
}

/// Logs a flush that took as long as the setting says.
fn log(tview: pg_sys::Oid, done: Counters, how: &How) {
    let milliseconds = |nanoseconds: u64| nanoseconds as f64 / 1e6;
    let took = milliseconds(done.flush_nanoseconds);
    if !logs() || took < f64::from(guc::LOG_MIN_FLUSH_DURATION.get()) {
        return;
    }
    let mut title = name::relation(tview).unwrap_or_default();
    if how.relation != tview {
        title.push_str(&format!(", stage {},", name::relation(how.relation).unwrap_or_default()));
    }
    let Counters { changed_rows, dirty_keys, rows_inserted, rows_updated, rows_deleted, rows_unchanged, .. } = done;
    let detail = format!(
        "Strategy: {how}. Changed rows: {changed_rows}, keys: {dirty_keys}. Rows written: {rows_inserted} inserted, {rows_updated} updated, \
         {rows_deleted} deleted; not written, because equal: {rows_unchanged}. Waited for other flushes: {:.3} ms.",
        milliseconds(done.lock_wait_nanoseconds)
    );
    let message = format!("flush of TVIEW {title} took {took:.3} ms");
    ErrorReport::new(PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION, message, "flush")
        .set_detail(detail)
        .report(PgLogLevel::LOG_SERVER_ONLY);
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
