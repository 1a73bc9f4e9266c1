//! `pause`, `resume`, `refresh_all`, and how far deferred TVIEWs are behind.

use super::desk;
use super::jobs::alert;
use crate::catalog::{self, deferred, jobs, options};
use crate::pg::acl::{self, maintains};
use crate::pg::error::{Error, Result};
use crate::pg::function::{Arguments, sql_function};
use crate::pg::name;
use crate::refresh::flush::deferred as refresh;
use crate::refresh::plan::graph;
use crate::tam;
use pgrx::{IntoDatum, pg_sys};
use std::collections::BTreeSet;
use std::ffi::CStr;

/// TVIEWs that workers are refreshing now, with their processes; what the scheduler does itself pg_stat_activity says.
pub fn at_work() -> Vec<(pg_sys::Oid, i32)> {
    // SAFETY: a plain global.
    let database = unsafe { pg_sys::MyDatabaseId }.to_u32();
    let at_work = desk::of(database).filter(|desk| desk.state() == desk::AT_WORK && desk.worker() != 0);
    at_work.map(|desk| (desk.tview(), desk.worker())).collect()
}

/// A deferred TVIEW that the current user may maintain.
fn named(arguments: &Arguments) -> Result<pg_sys::Oid> {
    let tview = arguments.relation();
    if !tam::is_tview(tview) {
        return Err(Error::NotATview(name::bare(tview)));
    }
    if !maintains(tview) {
        // SAFETY: an existing relation.
        unsafe {
            let not_owner = pg_sys::AclResult::ACLCHECK_NOT_OWNER;
            pg_sys::aclcheck_error(not_owner, pg_sys::ObjectType::OBJECT_MATVIEW, pg_sys::get_rel_name(tview));
        }
    }
    if options::stored(tview).refresh() != options::Refresh::Deferred {
        return Err(Error::WrongState {
            what: format!("TVIEW \"{}\" has no schedule", name::bare(tview)),
            hint: Some("Use ALTER TVIEW … SET (refresh = deferred, schedule = …).".into()),
        });
    }
    Ok(tview)
}

/// Refuses a function in a read-only transaction, which every transaction of a standby is.
fn writes(name: &CStr) {
    // SAFETY: raises an error, or does nothing.
    unsafe { pg_sys::PreventCommandIfReadOnly(name.as_ptr()) };
}

sql_function!(tviews_pause, pg_finfo_tviews_pause, pause);

fn pause(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    writes(c"tviews.pause()");
    let tview = named(arguments)?;
    let mut job = jobs::of(tview);
    if !job.paused {
        job.paused = true;
        jobs::put(tview, &job)?;
        alert(tview, "paused");
    }
    Ok(Some(pg_sys::Datum::from(0usize)))
}

sql_function!(tviews_resume, pg_finfo_tviews_resume, resume);

fn resume(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    writes(c"tviews.resume()");
    let tview = named(arguments)?;
    if jobs::of(tview).paused {
        jobs::forget(tview);
        alert(tview, "resumed");
    }
    Ok(Some(pg_sys::Datum::from(0usize)))
}

sql_function!(tviews_refresh_all, pg_finfo_tviews_refresh_all, refresh_all);

/// Refreshes all deferred TVIEWs that the user may maintain, those that nobody reads first: the others are refreshed with them.
fn refresh_all(_: &Arguments) -> Result<Option<pg_sys::Datum>> {
    writes(c"tviews.refresh_all()");
    let graph = graph::current()?;
    let mut done = BTreeSet::new();
    for tview in graph.order.iter().rev().map(|t| pg_sys::Oid::from(*t)) {
        let wanted = graph.is_deferred(tview.to_u32()) && !graph.is_stage(tview.to_u32());
        if wanted && maintains(tview) && !done.contains(&tview.to_u32()) {
            done.extend(refresh::below(tview, &graph).into_iter().map(|t| t.to_u32()));
            refresh::refresh(tview, refresh::By::Statement)?;
        }
    }
    Ok(Some((done.len() as i64).into_datum().unwrap_or(pg_sys::Datum::from(0usize))))
}

sql_function!(tviews_behind, pg_finfo_tviews_behind, behind);

/// TVIEW, when it was brought up to date, rows and transactions that it has not followed, since when, and how long that may be; for the view
/// `tviews.staleness`.
fn behind(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    let graph = graph::current()?;
    let mut rows = Vec::new();
    let all = catalog::stored().into_iter().filter(|t| graph.is_deferred(*t) && !graph.is_stage(*t));
    for tview in all.map(pg_sys::Oid::from) {
        let job = jobs::of(tview);
        let bound = options::stored(tview).schedule().and_then(|s| s.bound());
        let reached = deferred::reached(tview);
        let found = refresh::behind(tview, &graph);
        let time = |t: Option<pg_sys::TimestampTz>| t.map(pg_sys::Datum::from);
        rows.push([
            tview.into_datum(),
            time(reached.as_ref().map(|r| r.at)),
            reached.as_ref().map(|r| r.frontier.to_string()).into_datum(),
            found.as_ref().map(|f| f.rows).into_datum(),
            found.as_ref().map(|f| f.xids.len() as i64).into_datum(),
            time(found.and_then(|f| f.since)),
            bound.map(|micros| micros as f64 / 1e6).into_datum(),
            job.paused.into_datum(),
            job.errors.into_datum(),
            job.error.filter(|_| acl::may_read_errors(tview)).into_datum(),
        ]);
    }
    arguments.rows(rows)
}
