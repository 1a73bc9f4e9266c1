//! The process that computes the lost TVIEWs of one database.

use super::progress;
use crate::catalog::{self, logs, sentinel, wal};
use crate::log::board;
use crate::pg::error::or_raise;
use crate::pg::relation::Relation;
use crate::pg::{background, guc, name};
use crate::refresh::flush::lost;
use crate::refresh::plan::graph;
use crate::wal::slot;
use pgrx::{pg_guard, pg_sys};
use std::ffi::CString;

#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_tviews_recovery(argument: pg_sys::Datum) {
    // SAFETY: the process has just begun; the launcher passes the oid of a database.
    unsafe { background::begin(argument) };
    let lost = in_transaction("TVIEWs that were lost could not be looked for", || {
        // Schedules go on after a restart, and capture from WAL; a slot that nobody needs any more goes.
        let is_logged = !logs::all().is_empty();
        if is_logged {
            board::want();
        }
        let is_captured = !wal::all().is_empty() || slot::find().is_some_and(|slot| slot.is_ours);
        if is_captured || is_logged && guc::CDC_MODE.get() != guc::CdcMode::Trigger {
            // SAFETY: a plain global.
            board::want_of(unsafe { pg_sys::MyDatabaseId }.to_u32(), board::WAL);
        }
        lost()
    });
    let lost = lost.unwrap_or_default();
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
    background::transaction(f).map_err(|message| pgrx::log!("{failure}: {message}")).ok()
}
