//! The line of `health()` about capture from WAL.

use crate::catalog::{logs, wal};
use crate::log::board;
use crate::pg::guc::{self, CdcMode};
use crate::pg::name;
use crate::wal::{fit, slot};
use pgrx::pg_sys;

/// Check, status, detail, hint.
type Row = (String, String, String, Option<String>);

const CHECK: &str = "capture from WAL";

/// Whether what is to be captured from WAL is, and what the slot keeps.
pub fn row() -> Row {
    let (mode, spans) = (guc::CDC_MODE.get(), wal::all());
    if mode == CdcMode::Trigger && spans.is_empty() {
        return line("ok", "changes are captured by triggers".into(), None);
    }
    // SAFETY: a plain getter.
    if unsafe { pg_sys::RecoveryInProgress() } {
        return line("ok", "a standby captures nothing".into(), None);
    }
    if let (Some((why, hint)), true) = (fit::server(), spans.is_empty()) {
        return line("warning", format!("changes are captured by triggers: {why}"), Some(hint));
    }
    let wanted = logs::all().into_iter().map(|log| log.source);
    let unfit: Vec<(pg_sys::Oid, fit::Unfit)> =
        wanted.filter_map(|s| Some((s, fit::unfit(s)?))).filter(|(_, u)| *u != fit::Unfit::Kind).collect();
    if !spans.is_empty()
        && let Some(problem) = problem()
    {
        return problem;
    }
    let kept = slot::find().map_or(0, |slot| slot::retained(&slot)) >> 20;
    let mut detail = format!("{} tables are captured from WAL; the slot keeps {kept} MB", spans.len());
    let most = guc::MAX_SLOT_RETAINED.get() as u64;
    if most > 0 && kept > most / 2 {
        let hint = "Past pg_tviews.max_slot_retained triggers take over. Look for long transactions, and in the log of the server.";
        return line("warning", detail, Some(hint.into()));
    }
    if unfit.is_empty() {
        return line("ok", detail, None);
    }
    let each = unfit.iter().map(|(s, u)| format!("{}, because {}", name::relation(*s).unwrap_or_default(), u.why()));
    detail = format!("{detail}; captured by triggers: {}", each.collect::<Vec<_>>().join("; "));
    let hint = unfit.iter().find_map(|(_, unfit)| unfit.hint());
    line(if mode == CdcMode::Wal { "warning" } else { "ok" }, detail, hint.filter(|_| mode == CdcMode::Wal))
}

/// Why relations that are captured from WAL are not followed.
fn problem() -> Option<Row> {
    let hint = "The log of the server says why. TVIEWs stay exact: their tables are left to triggers, and they are computed anew.";
    match slot::find() {
        None => return Some(line("error", "the replication slot is gone".into(), Some(hint.into()))),
        Some(slot) if slot.is_lost => {
            return Some(line("error", "the replication slot was invalidated".into(), Some(hint.into())));
        }
        Some(_) => {}
    }
    // SAFETY: a plain global.
    let place = board::of(unsafe { pg_sys::MyDatabaseId }.to_u32());
    if place.is_none_or(|place| place.reader() == 0) {
        let detail = "no process reads WAL: the replication slot keeps it, and refreshes compute everything anew";
        let hint = "It takes some seconds to start. It needs pg_tviews in shared_preload_libraries, and a free slot of max_worker_processes.";
        return Some(line("error", detail.into(), Some(hint.into())));
    }
    None
}

fn line(status: &str, detail: String, hint: Option<String>) -> Row {
    (CHECK.into(), status.into(), detail, hint)
}
