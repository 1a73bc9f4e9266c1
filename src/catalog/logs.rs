//! Which relations are logged for deferred TVIEWs, and where: rows of `tviews.log`.
//!
//! A relation has two logs of one row type. Writers write to one of them, refreshes read both; when all rows of the other one have been followed,
//! it is emptied, and written from then on (src/log/trim.rs).
//! Invariant: every deferred TVIEW's relations have a row, made before the first change that has to be logged. Every change of a row invalidates
//! the caches of all backends.

use super::table::Table;
use super::wal;
use crate::pg::error::Result;
use pgrx::{FromDatum, IntoDatum, pg_sys};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    pub source: pg_sys::Oid,
    pub both: [pg_sys::Oid; 2],
    /// Which of them is written.
    pub writes: usize,
}

impl Log {
    pub fn written(&self) -> pg_sys::Oid {
        self.both[self.writes]
    }

    pub fn other(&self) -> pg_sys::Oid {
        self.both[1 - self.writes]
    }

    fn columns(&self) -> [Option<pg_sys::Datum>; 4] {
        let [first, second] = self.both;
        [self.source.into_datum(), first.into_datum(), second.into_datum(), (self.writes as i16 + 1).into_datum()]
    }
}

/// The logs of a relation, if there are any.
pub fn of(source: pg_sys::Oid) -> Option<Log> {
    let mut found = None;
    if let Some(table) = Table::open("log", pg_sys::AccessShareLock) {
        table.look_up(c"log_key", source, |t| found = decode(&table, t));
    }
    found
}

pub fn all() -> Vec<Log> {
    let mut found = Vec::new();
    if let Some(table) = Table::open("log", pg_sys::AccessShareLock) {
        table.scan(|t| found.extend(decode(&table, t)));
    }
    found
}

/// Lets changes of the rows move the cache generation; false when there is no extension: its coming moves nothing.
pub fn watch() -> bool {
    let table = Table::open("log", pg_sys::AccessShareLock);
    table.as_ref().inspect(|table| super::cache::watch_rows(table.oid())).is_some()
}

fn decode(table: &Table, tuple: pg_sys::HeapTuple) -> Option<Log> {
    // SAFETY: columns are oid, oid, oid, int2, not null.
    unsafe {
        let oid = |n| table.get(tuple, n).and_then(|d| pg_sys::Oid::from_datum(d, false));
        let writes = table.get(tuple, 4).and_then(|d| i16::from_datum(d, false))?;
        Some(Log { source: oid(1)?, both: [oid(2)?, oid(3)?], writes: usize::from(writes == 2) })
    }
}

pub fn put(log: &Log) -> Result<()> {
    let table = Table::required("log", pg_sys::RowExclusiveLock)?;
    table.put(c"log_key", log.source, &log.columns());
    table.invalidate();
    Ok(())
}

pub fn remove(source: pg_sys::Oid) {
    if let Some(table) = Table::open("log", pg_sys::RowExclusiveLock) {
        table.delete(|t| decode(&table, t).is_some_and(|log| log.source == source));
        table.invalidate();
        wal::remove(source);
    }
}
