//! Which relations are captured from WAL instead of by triggers: rows of `tviews.wal`; and up to where WAL is in the logs: the row of `tviews.slot`.
//!
//! Positions in WAL are bytes since its beginning, as in `pg_lsn`. A change belongs to WAL when its record begins in `begins ≤ lsn < ends`, and to
//! the triggers otherwise. Both tables are new in 0.2.0: where the extension is older, everything is captured by triggers.
//! Invariant: rows are written with the relation's inheritance tree locked against writers, so no transaction has written to the relation in both ways.
//! Every change of a row invalidates the caches of all backends.

use super::table::Table;
use crate::pg::error::Result;
use pgrx::{FromDatum, IntoDatum, pg_sys};

/// A relation that is, or was until a while ago, captured from WAL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub source: pg_sys::Oid,
    pub begins: u64,
    /// From here on triggers capture it again; the row goes when WAL is in the log up to here.
    pub ends: Option<u64>,
}

impl Span {
    /// Whether a change whose record begins here is taken from WAL.
    pub fn has(&self, lsn: u64) -> bool {
        lsn >= self.begins && self.ends.is_none_or(|ends| lsn < ends)
    }
}

/// The span of a relation, if it has one.
pub fn of(source: pg_sys::Oid) -> Option<Span> {
    let mut found = None;
    if let Some(table) = Table::open("wal", pg_sys::AccessShareLock) {
        table.look_up(c"wal_key", source, |t| found = decode(&table, t));
    }
    found
}

/// Whether writers leave the changes of a relation to WAL.
pub fn captures(source: pg_sys::Oid) -> bool {
    of(source).is_some_and(|span| span.ends.is_none())
}

pub fn all() -> Vec<Span> {
    let mut found = Vec::new();
    if let Some(table) = Table::open("wal", pg_sys::AccessShareLock) {
        table.scan(|t| found.extend(decode(&table, t)));
    }
    found
}

/// Whether this database can remember it: the objects of 0.1.0 cannot.
pub fn is_known() -> bool {
    Table::open("wal", pg_sys::AccessShareLock).is_some()
}

fn decode(table: &Table, tuple: pg_sys::HeapTuple) -> Option<Span> {
    // SAFETY: columns are oid, pg_lsn, pg_lsn; pg_lsn is eight bytes by value.
    unsafe {
        let source = table.get(tuple, 1).and_then(|d| pg_sys::Oid::from_datum(d, false))?;
        let begins = table.get(tuple, 2)?.value() as u64;
        Some(Span { source, begins, ends: table.get(tuple, 3).map(|d| d.value() as u64) })
    }
}

pub fn put(span: &Span) -> Result<()> {
    let table = Table::required("wal", pg_sys::RowExclusiveLock)?;
    let lsn = |at: u64| pg_sys::Datum::from(at as usize);
    table.put(c"wal_key", span.source, &[span.source.into_datum(), Some(lsn(span.begins)), span.ends.map(lsn)]);
    invalidate();
    Ok(())
}

pub fn remove(source: pg_sys::Oid) {
    if of(source).is_none() {
        return;
    }
    if let Some(table) = Table::open("wal", pg_sys::RowExclusiveLock) {
        table.delete(|t| decode(&table, t).is_some_and(|span| span.source == source));
        invalidate();
    }
}

/// Who watches the logs sees spans change, too.
fn invalidate() {
    if let Some(table) = Table::open("log", pg_sys::RowExclusiveLock) {
        table.invalidate();
    }
}

/// Up to where this database's logs have what is to be taken from WAL. None: nothing is known, as in a copy of another database.
pub fn confirmed() -> Option<u64> {
    let mut found = None;
    if let Some(table) = Table::open("slot", pg_sys::AccessShareLock) {
        table.look_up(c"slot_key", database(), |t| found = table.get(t, 2).map(|d| d.value() as u64));
    }
    found
}

/// Written by the transaction that writes to the logs.
pub fn confirm(upto: u64) -> Result<()> {
    let table = Table::required("slot", pg_sys::RowExclusiveLock)?;
    table.put(c"slot_key", database(), &[database().into_datum(), Some(pg_sys::Datum::from(upto as usize))]);
    Ok(())
}

/// There is no slot.
pub fn forget_slot() {
    if let Some(table) = Table::open("slot", pg_sys::RowExclusiveLock) {
        table.delete(|_| true);
    }
}

fn database() -> pg_sys::Oid {
    // SAFETY: a plain global.
    unsafe { pg_sys::MyDatabaseId }
}
