//! Which TVIEWs follow changes later than at commit, stages among them, and how far they have followed: rows of `tviews.frontier`.
//!
//! Invariant: a row says for which snapshot the contents of the TVIEW and of its stages are exact; it is written by the transaction that writes
//! the contents. A TVIEW without contents has no row. Written with the TVIEW locked against other refreshes.

use super::table::Table;
use super::{Source, history, jobs, options, stages};
use crate::pg::error::{Error, Result};
use pgrx::{FromDatum, IntoDatum, pg_sys};
use std::collections::{BTreeSet, HashMap};
use std::ffi::{CStr, CString};
use tviews_core::frontier::Frontier;
use tviews_core::options::Refresh;

/// How far a TVIEW has followed, and when it got there.
pub struct Reached {
    pub tview: pg_sys::Oid,
    pub frontier: Frontier,
    pub at: pg_sys::TimestampTz,
}

/// The deferred TVIEWs among those that read relations.
pub fn all(sources: &[Source]) -> BTreeSet<u32> {
    let readers: BTreeSet<u32> = sources.iter().map(|s| s.tview.to_u32()).collect();
    let (inner, own): (Vec<u32>, Vec<u32>) = readers.into_iter().partition(|t| stages::is_stage(pg_sys::Oid::from(*t)));
    let mut deferred: BTreeSet<u32> = own.into_iter().filter(|t| is_own(pg_sys::Oid::from(*t))).collect();
    if deferred.is_empty() {
        return deferred;
    }
    let above: HashMap<u32, u32> = stages::all().into_iter().map(|(s, t)| (s.to_u32(), t.to_u32())).collect();
    for stage in inner {
        let mut at = stage;
        while let Some(next) = above.get(&at) {
            at = *next;
        }
        if deferred.contains(&at) {
            deferred.insert(stage);
        }
    }
    deferred
}

/// Whether a TVIEW, or the TVIEW that a stage serves, is deferred.
pub fn is(tview: pg_sys::Oid) -> bool {
    is_own(stages::root(tview))
}

fn is_own(tview: pg_sys::Oid) -> bool {
    options::stored(tview).refresh() != Refresh::Commit
}

/// How far a TVIEW has followed; None: it has no contents.
pub fn reached(tview: pg_sys::Oid) -> Option<Reached> {
    let mut found = None;
    if let Some(table) = Table::open("frontier", pg_sys::AccessShareLock) {
        table.look_up(c"frontier_key", tview, |t| found = decode(&table, t));
    }
    found
}

fn decode(table: &Table, tuple: pg_sys::HeapTuple) -> Option<Reached> {
    // SAFETY: columns are oid, pg_snapshot, xid8, int4, timestamptz; xid8 is eight bytes by value.
    unsafe {
        let tview = table.get(tuple, 1).and_then(|d| pg_sys::Oid::from_datum(d, false))?;
        let text = pg_sys::OidOutputFunctionCall(pg_sys::Oid::from(pg_sys::F_PG_SNAPSHOT_OUT), table.get(tuple, 2)?);
        let known: Frontier = CStr::from_ptr(text).to_str().ok()?.parse().ok()?;
        let own = table.get(tuple, 3).zip(table.get(tuple, 4)).map(|(x, p)| (x.value() as u64, p.value() as i32));
        let at = table.get(tuple, 5).map_or(0, |d| d.value() as pg_sys::TimestampTz);
        let frontier = Frontier::new(known.xmin, known.xmax, known.running, own);
        Some(Reached { tview, frontier, at })
    }
}

/// Notes how far a TVIEW has followed.
pub fn reach(tview: pg_sys::Oid, frontier: &Frontier, at: pg_sys::TimestampTz) -> Result<()> {
    let table = Table::required("frontier", pg_sys::RowExclusiveLock)?;
    let text = CString::new(frontier.to_string()).map_err(|_| Error::Internal("NUL byte in a snapshot".into()))?;
    // SAFETY: the input function of pg_snapshot takes its text; the others are passed by value.
    let snapshot = unsafe {
        let input = pg_sys::Oid::from(pg_sys::F_PG_SNAPSHOT_IN);
        pg_sys::OidInputFunctionCall(input, text.as_ptr().cast_mut(), pg_sys::PG_SNAPSHOTOID, -1)
    };
    let (xid, part) = frontier.own.unzip();
    let columns = [
        tview.into_datum(),
        Some(snapshot),
        xid.map(|x| pg_sys::Datum::from(x as usize)),
        part.into_datum(),
        Some(pg_sys::Datum::from(at)),
    ];
    table.put(c"frontier_key", tview, &columns);
    Ok(())
}

/// A TVIEW is gone, or follows at commit.
pub fn gone(relid: pg_sys::Oid) {
    if reached(relid).is_some() {
        forget(relid);
    }
    jobs::forget(relid);
    history::gone(relid);
}

/// Forgets how far a TVIEW has followed.
pub fn forget(tview: pg_sys::Oid) {
    if let Some(table) = Table::open("frontier", pg_sys::RowExclusiveLock) {
        table.delete(|t| decode(&table, t).is_some_and(|r| r.tview == tview));
    }
}
