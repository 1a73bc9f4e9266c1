//! What refreshes have done: rows of `tviews.history`.

use super::table::Table;
use crate::pg::error::Result;
use pgrx::{IntoDatum, pg_sys};
use tviews_core::whole::Whole;

/// One refresh of one TVIEW. Times are those of the server's clock.
#[derive(Default)]
pub struct Entry {
    pub started: pg_sys::TimestampTz,
    /// By its schedule; otherwise by a statement.
    pub is_scheduled: bool,
    /// "incremental", "full", or "none" when it failed.
    pub action: &'static str,
    /// Rows of logs that were followed; inserted, updated and deleted rows of the TVIEW.
    pub rows: [u64; 4],
    /// Since when the oldest change had not been followed.
    pub behind_since: Option<pg_sys::TimestampTz>,
    /// The snapshot that the TVIEW is exact for.
    pub snapshot: Option<String>,
    pub error: Option<String>,
    /// Why everything was computed anew.
    pub reason: Option<Whole>,
}

pub fn note(tview: pg_sys::Oid, entry: &Entry) -> Result<()> {
    let table = Table::required("history", pg_sys::RowExclusiveLock)?;
    // SAFETY: plain getter.
    let now = unsafe { pg_sys::GetCurrentTimestamp() };
    let initiator = if entry.is_scheduled { "schedule" } else { "statement" };
    let count = |n: u64| (n as i64).into_datum();
    let [changed, inserted, updated, deleted] = entry.rows;
    let mut columns = vec![
        tview.into_datum(),
        Some(pg_sys::Datum::from(entry.started)),
        Some(pg_sys::Datum::from(now)),
        initiator.into_datum(),
        entry.action.into_datum(),
        count(changed),
        count(inserted),
        count(updated),
        count(deleted),
    ];
    let mut lag = pg_sys::Interval::default();
    columns.push(entry.behind_since.map(|since| {
        lag.time = now - since;
        pg_sys::Datum::from(&raw const lag)
    }));
    columns.push(entry.snapshot.clone().into_datum());
    columns.push(entry.error.clone().into_datum());
    columns.push(entry.reason.map(|why| why.to_string()).into_datum());
    table.insert(&columns);
    Ok(())
}

/// Forgets what is older.
pub fn forget_before(time: pg_sys::TimestampTz) {
    if let Some(table) = Table::open("history", pg_sys::RowExclusiveLock) {
        table.delete(|tuple| table.get(tuple, 3).is_some_and(|d| (d.value() as pg_sys::TimestampTz) < time));
    }
}

/// A TVIEW is gone.
pub fn gone(tview: pg_sys::Oid) {
    let Some(table) = Table::open("history", pg_sys::RowExclusiveLock) else { return };
    let mut places = Vec::new();
    // SAFETY: t_self of a scanned tuple.
    table.look_up(c"history_key", tview, |t| places.push(unsafe { (*t).t_self }));
    places.iter_mut().for_each(|place| table.delete_at(place));
}
