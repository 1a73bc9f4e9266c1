//! Which internal TVIEWs are the stages of a TVIEW: rows of `tviews.stage`.
//!
//! Invariant: rows are written by the DDL that makes or drops the stage, in its transaction.

use super::table::Table;
use crate::pg::error::Result;
use pgrx::{FromDatum, IntoDatum, pg_sys};
use std::ffi::CStr;

/// The schema of stages, and of twins (build/beside). pg_dump and psql skip schemas whose names start like this.
pub const SCHEMA: &CStr = c"pg_toast_tviews";

/// The end of the name of a twin; names of stages end with their number.
pub const TWIN: &CStr = c"ccnew";

struct Row {
    tview: pg_sys::Oid,
    number: i16,
    stage: pg_sys::Oid,
    joined: String,
}

/// A stage as its TVIEW knows it.
pub struct Known {
    pub stage: pg_sys::Oid,
    /// The key by which the stage is joined to other stages, see analyze/split/windows.rs; or empty.
    pub joined: String,
}

fn rows(keep: impl Fn(&Row) -> bool) -> Vec<Row> {
    let mut found = Vec::new();
    if let Some(table) = Table::open("stage", pg_sys::AccessShareLock) {
        table.scan(|t| {
            let row = decode(&table, t);
            if keep(&row) {
                found.push(row);
            }
        });
    }
    found
}

fn decode(table: &Table, tuple: pg_sys::HeapTuple) -> Row {
    // SAFETY: columns are oid, int2, oid, text, not null.
    unsafe {
        let oid = |n| table.get(tuple, n).and_then(|d| pg_sys::Oid::from_datum(d, false)).unwrap_or(pg_sys::InvalidOid);
        let number = table.get(tuple, 2).and_then(|d| i16::from_datum(d, false)).unwrap_or(0);
        let joined = table.get(tuple, 4).and_then(|d| String::from_datum(d, false)).unwrap_or_default();
        Row { tview: oid(1), number, stage: oid(3), joined }
    }
}

/// The stages of a TVIEW, in order.
pub fn of(tview: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    known(tview).into_iter().map(|k| k.stage).collect()
}

/// The stages of a TVIEW, in order, with their keys.
pub fn known(tview: pg_sys::Oid) -> Vec<Known> {
    let mut found = Vec::new();
    if let Some(table) = Table::open("stage", pg_sys::AccessShareLock) {
        table.look_up(c"stage_key", tview, |t| found.push(decode(&table, t)));
    }
    found.sort_by_key(|r| r.number);
    found.into_iter().map(|r| Known { stage: r.stage, joined: r.joined }).collect()
}

/// The TVIEW that a stage belongs to, if it is one.
pub fn parent(stage: pg_sys::Oid) -> Option<pg_sys::Oid> {
    rows(|r| r.stage == stage).pop().map(|r| r.tview)
}

/// The user's TVIEW that a stage serves; a TVIEW that is no stage itself.
pub fn root(tview: pg_sys::Oid) -> pg_sys::Oid {
    let mut at = tview;
    while is_stage(at) {
        let Some(above) = parent(at) else { break };
        at = above;
    }
    at
}

/// Whether a relation is a stage: a TVIEW in the schema of stages that is no twin.
pub fn is_stage(relid: pg_sys::Oid) -> bool {
    // SAFETY: syscache look-ups; a name ends with a NUL.
    unsafe {
        let schema = pg_sys::get_rel_namespace(relid);
        if schema == pg_sys::InvalidOid || schema != pg_sys::get_namespace_oid(SCHEMA.as_ptr(), true) {
            return false;
        }
        let name = pg_sys::get_rel_name(relid);
        name.is_null() || !CStr::from_ptr(name).to_bytes().ends_with(TWIN.to_bytes())
    }
}

pub fn register(tview: pg_sys::Oid, number: i16, stage: pg_sys::Oid, joined: &str) -> Result<()> {
    let table = Table::required("stage", pg_sys::RowExclusiveLock)?;
    table.insert(&[tview.into_datum(), number.into_datum(), stage.into_datum(), joined.into_datum()]);
    table.invalidate();
    Ok(())
}

/// Makes the stages of one TVIEW those of another one, which has none.
pub fn hand_over(from: pg_sys::Oid, to: pg_sys::Oid) -> Result<()> {
    let table = Table::required("stage", pg_sys::RowExclusiveLock)?;
    let mut moved = Vec::new();
    table.delete(|t| {
        let row = decode(&table, t);
        let is_moved = row.tview == from;
        moved.extend(is_moved.then_some(row));
        is_moved
    });
    for row in moved {
        register(to, row.number, row.stage, &row.joined)?;
    }
    Ok(())
}

/// Deletes the rows in which a relation is the TVIEW or the stage.
pub fn unregister(relid: pg_sys::Oid) {
    if let Some(table) = Table::open("stage", pg_sys::RowExclusiveLock) {
        let mut any = false;
        table.delete(|t| {
            let row = decode(&table, t);
            let gone = row.tview == relid || row.stage == relid;
            any |= gone;
            gone
        });
        if any {
            table.invalidate();
        }
    }
}

/// All (stage, TVIEW it belongs to).
pub fn all() -> Vec<(pg_sys::Oid, pg_sys::Oid)> {
    rows(|_| true).into_iter().map(|r| (r.stage, r.tview)).collect()
}
