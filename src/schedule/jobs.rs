//! Which TVIEWs are due, and what becomes of a refresh that fails.
//!
//! A TVIEW is due when its schedule says so, counted from the beginning of its last refresh, or, before the worker has refreshed it, from when it was
//! brought up to date last. After an error it waits, longer each time, and is paused after too many errors.
//! Invariant: a refresh of a TVIEW is one of the deferred TVIEWs below it, so TVIEWs are refreshed from above, and those below count as refreshed.

use super::pool::Task;
use crate::catalog::history::{self, Entry};
use crate::catalog::jobs::{self, Job};
use crate::catalog::{deferred, logs, options};
use crate::pg::error::{Result, or_raise};
use crate::pg::relation::Relation;
use crate::pg::{ext, guc, name};
use crate::refresh::flush::deferred as refresh;
use crate::refresh::plan::graph::{self, Graph};
use pgrx::pg_sys;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString};
use tviews_core::schedule::Schedule;

/// Microseconds between 1970 and the beginning of the server's calendar.
const EPOCH: i64 = 946_684_800_000_000;
const SECOND: i64 = 1_000_000;
/// The longest wait after an error.
const LONGEST_WAIT: i64 = 3600 * SECOND;

/// When TVIEWs were refreshed last by this worker, in the server's calendar.
pub type Begun = BTreeMap<u32, pg_sys::TimestampTz>;

/// TVIEWs that are too far behind, and relations whose logs are too large.
pub type Told = BTreeSet<(&'static str, u32)>;

/// A look at the schedules.
#[derive(Default)]
pub struct Look {
    /// TVIEWs that are due, those that read others first.
    pub due: Vec<Task>,
    /// The units of TVIEWs, and in how many of them something has a schedule.
    pub units: BTreeMap<u32, u32>,
    pub scheduled: usize,
    /// When the next one is due; None: nothing has a schedule, or all that has is paused.
    pub next: Option<pg_sys::TimestampTz>,
    /// Whether anything has a schedule.
    pub any: bool,
    /// Whether anything is logged.
    pub is_logged: bool,
}

/// What is due by now.
pub fn look(begun: &Begun) -> Look {
    let mut look = Look::default();
    if !crate::catalog::installed() {
        return look;
    }
    look.is_logged = !logs::all().is_empty();
    let graph = or_raise(graph::current());
    // SAFETY: plain getter.
    let now = unsafe { pg_sys::GetCurrentTimestamp() };
    let zone = time_zone();
    look.units = graph.units();
    let (mut covered, mut units) = (BTreeSet::new(), BTreeSet::new());
    let scheduled = graph.order.iter().rev().filter(|t| graph.is_deferred(**t) && !graph.is_stage(**t));
    for tview in scheduled.map(|t| pg_sys::Oid::from(*t)) {
        let Some(schedule) = options::stored(tview).schedule() else { continue };
        look.any = true;
        let unit = look.units.get(&tview.to_u32()).copied().unwrap_or_else(|| tview.to_u32());
        units.insert(unit);
        let job = jobs::of(tview);
        let Some(last) = last(tview, begun) else { continue };
        let Some(at) = next(&schedule, (tview, last), &job, &zone).filter(|_| !job.paused) else { continue };
        if at > now {
            look.next = look.next.into_iter().chain([at]).min();
        } else if covered.insert(tview.to_u32()) {
            let below = refresh::below(tview, &graph);
            covered.extend(below.iter().map(|t| t.to_u32()));
            look.due.push(Task { tview, below, unit });
        }
    }
    look.scheduled = units.len();
    look
}

/// When a TVIEW was refreshed last; None: it has no contents.
fn last(tview: pg_sys::Oid, begun: &Begun) -> Option<pg_sys::TimestampTz> {
    let reached = deferred::reached(tview)?.at;
    Some(begun.get(&tview.to_u32()).copied().map_or(reached, |b| b.max(reached)))
}

/// When it is due: by its schedule, or, after an error, later.
fn next(
    schedule: &Schedule,
    (tview, last): (pg_sys::Oid, pg_sys::TimestampTz),
    job: &Job,
    zone: &str,
) -> Option<pg_sys::TimestampTz> {
    let early = schedule.early(u64::from(tview.to_u32()).rotate_left(32) ^ last as u64);
    let by_schedule = schedule.next(last + EPOCH, zone)? - EPOCH - early;
    let Some(failed) = job.failed_at.filter(|_| job.errors > 0) else { return Some(by_schedule) };
    let wait = SECOND << job.errors.clamp(0, 12);
    Some(by_schedule.max(failed + wait.min(LONGEST_WAIT)))
}

/// The time zone of the database, in which cron text is read.
fn time_zone() -> String {
    // SAFETY: the setting exists; its text is copied.
    unsafe {
        CStr::from_ptr(pg_sys::GetConfigOption(c"TimeZone".as_ptr(), false, false)).to_string_lossy().into_owned()
    }
}

/// One refresh.
pub fn run(tview: pg_sys::Oid) -> Result<()> {
    // Dropped, or another one, since the look.
    if !exists(tview, &*graph::current()?) {
        return Ok(());
    }
    refresh::refresh(tview, refresh::By::Schedule)?;
    if jobs::of(tview).errors > 0 {
        jobs::forget(tview);
        alert(tview, "recovered");
    }
    Ok(())
}

fn exists(tview: pg_sys::Oid, graph: &Graph) -> bool {
    graph.is_deferred(tview.to_u32()) && Relation::open(tview, pg_sys::AccessShareLock).is_some()
}

/// Notes an error, and pauses a TVIEW that has had too many.
pub fn failed(tview: pg_sys::Oid, started: pg_sys::TimestampTz, message: &str) -> Result<()> {
    if !exists(tview, &*graph::current()?) {
        return Ok(());
    }
    let mut job = jobs::of(tview);
    job.errors = job.errors.saturating_add(1);
    job.error = Some(message.into());
    // SAFETY: plain getter.
    job.failed_at = Some(unsafe { pg_sys::GetCurrentTimestamp() });
    let most = guc::MAX_REFRESH_ERRORS.get();
    let pauses = most > 0 && job.errors >= most && !job.paused;
    job.paused |= pauses;
    jobs::put(tview, &job)?;
    let entry = Entry { started, is_scheduled: true, action: "none", error: Some(message.into()), ..Entry::default() };
    history::note(tview, &entry)?;
    alert(tview, if pauses { "paused" } else { "failed" });
    pgrx::log!("refresh of TVIEW {} failed: {message}", name::relation(tview).unwrap_or_default());
    Ok(())
}

/// What is wrong now, of which listeners are told what they have not been told.
pub fn troubles(told: &Told) -> Told {
    if !crate::catalog::installed() {
        return Told::new();
    }
    let graph = or_raise(graph::current());
    let mut now = Told::new();
    let scheduled = graph.order.iter().copied().filter(|t| graph.is_deferred(*t) && !graph.is_stage(*t));
    for tview in scheduled {
        let oid = pg_sys::Oid::from(tview);
        let bound = options::stored(oid).schedule().and_then(|s| s.bound()).filter(|_| !jobs::of(oid).paused);
        let since = refresh::behind(oid, &graph).and_then(|found| found.since);
        // SAFETY: plain getter.
        let time = unsafe { pg_sys::GetCurrentTimestamp() };
        if bound.zip(since).is_some_and(|(bound, since)| time - since > bound) {
            now.insert(("stale", tview));
        }
    }
    let most = guc::LOG_SIZE_ALERT.get() as u64 * 1024;
    for log in logs::all() {
        let size: u64 = log.both.iter().filter_map(|relid| size(*relid)).sum();
        if most > 0 && size > most {
            now.insert(("log grows", log.source.to_u32()));
        }
    }
    now.difference(told).for_each(|(event, relid)| alert(pg_sys::Oid::from(*relid), event));
    now
}

/// Bytes of a relation, with its TOAST table.
fn size(relid: pg_sys::Oid) -> Option<u64> {
    let rel = Relation::open(relid, pg_sys::AccessShareLock)?;
    let toast = Relation::open(rel.class().reltoastrelid, pg_sys::AccessShareLock);
    // SAFETY: open relations.
    let bytes = |rel: &Relation| unsafe {
        u64::from(pg_sys::RelationGetNumberOfBlocksInFork(rel.raw(), pg_sys::ForkNumber::MAIN_FORKNUM))
            * u64::from(pg_sys::BLCKSZ)
    };
    Some(bytes(&rel) + toast.as_ref().map_or(0, bytes))
}

/// Tells listeners on channel `tviews_alert`, who may be anybody: messages of errors, which can contain data, are in `tviews.refresh_history`.
pub fn alert(tview: pg_sys::Oid, event: &str) {
    let title = name::relation(tview).unwrap_or_default();
    let [title, event] = [&title, event].map(name::json);
    let payload = format!("{{\"tview\": {title}, \"event\": {event}}}");
    if let Ok(payload) = CString::new(payload) {
        // SAFETY: inside a transaction; both texts are copied.
        unsafe { ext::notify(c"tviews_alert", &payload) };
    }
}
