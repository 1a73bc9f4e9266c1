//! The extension's own catalog: the relations that each TVIEW reads, its stages, and whether its unlogged contents survived.
//!
//! `tviews.source` has a row per (TVIEW, base relation); everything else (query, options, storage) is in the server's
//! own catalogs. Invariant: rows are written by DDL hooks in the DDL's transaction, and every write invalidates the
//! relation cache entries of the TVIEW and of the relation; backends' caches listen to these invalidations.
//! Access is by scans below SPI, so it works in any hook and under any privileges.

pub mod audit;
pub mod cache;
pub mod deferred;
pub mod history;
pub mod jobs;
pub mod logs;
pub mod options;
pub mod sentinel;
pub mod stages;
pub mod table;
pub mod wal;

use crate::pg::error::Result;
use crate::pg::relation::Relation;
use pgrx::{FromDatum, IntoDatum, pg_sys};
use table::Table;

/// Columns are attribute numbers of the relation; 0 stands for the whole row, tableoid for "which table of the tree".
#[derive(Debug, Clone)]
pub struct Source {
    pub tview: pg_sys::Oid,
    pub relid: pg_sys::Oid,
    pub columns: Vec<i16>,
    /// Whether all SQL about changes of the relation was read as what it was made from, when the TVIEW was made.
    pub written: bool,
}

/// Whether the extension exists in this database.
pub fn installed() -> bool {
    crate::tam::access_method_oid().is_some()
}

/// All rows that satisfy `keep`, except rows about relations that do not exist here, or about TVIEWs that are none: such rows come from another
/// server, or from a TVIEW that is gone.
pub fn sources(keep: impl Fn(&Source) -> bool) -> Vec<Source> {
    let mut found = Vec::new();
    if let Some(table) = Table::open("source", pg_sys::AccessShareLock) {
        table.scan(|tuple| {
            let source = decode(&table, tuple);
            if keep(&source) && is_here(&source) {
                found.push(source);
            }
        });
    }
    found
}

/// All materialized views stored in our access method: TVIEWs, also those that read no relation, and stages.
pub fn stored() -> Vec<u32> {
    let mut found = Vec::new();
    // SAFETY: a scan of a catalog; the form is read while the tuple lives.
    unsafe {
        let Some(rel) = Relation::open(pg_sys::RelationRelationId, pg_sys::AccessShareLock) else { return found };
        let none = std::ptr::null_mut();
        let scan = pg_sys::systable_beginscan(rel.raw(), pg_sys::InvalidOid, false, none, 0, std::ptr::null_mut());
        loop {
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() {
                break;
            }
            let form = &*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_class>();
            if form.relkind as u8 == pg_sys::RELKIND_MATVIEW {
                found.push(form.oid.to_u32());
            }
        }
        pg_sys::systable_endscan(scan);
        found.retain(|t| crate::tam::is_tview(pg_sys::Oid::from(*t)));
    }
    found
}

fn is_here(source: &Source) -> bool {
    // SAFETY: syscache look-ups, which take any oid.
    unsafe { crate::tam::is_tview(source.tview) && pg_sys::get_rel_relkind(source.relid) != 0 }
}

/// Rows that `sources` leaves out: (TVIEW, relation).
pub fn strangers() -> Vec<(pg_sys::Oid, pg_sys::Oid)> {
    let mut found = Vec::new();
    if let Some(table) = Table::open("source", pg_sys::AccessShareLock) {
        table.scan(|tuple| {
            let source = decode(&table, tuple);
            if !is_here(&source) {
                found.push((source.tview, source.relid));
            }
        });
    }
    found
}

fn decode(table: &Table, tuple: pg_sys::HeapTuple) -> Source {
    let oid = |n| {
        // SAFETY: column n of tviews.source is oid, not null.
        unsafe { table.get(tuple, n).and_then(|d| pg_sys::Oid::from_datum(d, false)) }.unwrap_or(pg_sys::InvalidOid)
    };
    let columns = table
        .get(tuple, 3)
        // SAFETY: column 3 is int2[].
        .and_then(|d| unsafe { Vec::<i16>::from_datum(d, false) })
        .unwrap_or_default();
    // SAFETY: column 4 is boolean.
    let written = table.get(tuple, 4).and_then(|d| unsafe { bool::from_datum(d, false) }).unwrap_or(false);
    Source { tview: oid(1), relid: oid(2), columns, written }
}

/// Registers the sources of a new TVIEW.
pub fn register(sources: &[Source]) -> Result<()> {
    let table = Table::required("source", pg_sys::RowExclusiveLock)?;
    for s in sources {
        let columns = s.columns.clone();
        table.insert(&[s.tview.into_datum(), s.relid.into_datum(), columns.into_datum(), s.written.into_datum()]);
        invalidate(s);
    }
    table.invalidate();
    Ok(())
}

/// Forgets a TVIEW; returns the relations it read.
pub fn unregister(tview: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    let mut freed = Vec::new();
    if let Some(table) = Table::open("source", pg_sys::RowExclusiveLock) {
        table.delete(|tuple| {
            let s = decode(&table, tuple);
            if s.tview == tview {
                invalidate(&s);
                freed.push(s.relid);
            }
            s.tview == tview
        });
        if !freed.is_empty() {
            table.invalidate();
        }
    }
    freed
}

/// Makes every backend forget its facts about all TVIEWs: names in their SQL may have changed.
pub fn invalidate_all() {
    for s in sources(|_| true) {
        invalidate(&s);
    }
    if let Some(table) = Table::open("source", pg_sys::AccessShareLock) {
        table.invalidate();
    }
}

/// Lets creation and removal of TVIEWs move the cache generation; false when there is no extension: its coming moves nothing.
pub fn watch_sources() -> bool {
    let table = Table::open("source", pg_sys::AccessShareLock);
    table.as_ref().inspect(|table| cache::watch_rows(table.oid())).is_some()
}

/// Makes every backend forget its facts about the TVIEW and about the relation.
fn invalidate(s: &Source) {
    // SAFETY: ignores relations that do not exist any more when asked through the syscache.
    unsafe {
        for relid in [s.tview, s.relid] {
            let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::RELOID as i32, pg_sys::Datum::from(relid));
            if !tuple.is_null() {
                pg_sys::CacheInvalidateRelcacheByTuple(tuple);
                pg_sys::ReleaseSysCache(tuple);
            }
        }
    }
}
