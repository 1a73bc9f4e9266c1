//! One of the extension's own tables, read and written below SPI.
//!
//! Invariant: scans use the catalog snapshot (the latest one), so rows that another transaction committed are seen at once.
//! Source of the calls: access/index/genam.c, catalog/indexing.c.

use crate::pg::error::{Error, Result};
use crate::pg::relation::Relation;
use pgrx::pg_sys;
use std::ffi::{CStr, CString};

pub struct Table(Relation, u32);

impl Drop for Table {
    /// Readers release the lock early, like readers of the server's catalogs: only DROP EXTENSION conflicts with it.
    fn drop(&mut self) {
        if self.1 == pg_sys::AccessShareLock && !std::thread::panicking() {
            // SAFETY: locked by `open`.
            unsafe { pg_sys::UnlockRelationOid(self.oid(), self.1 as i32) };
        }
    }
}

impl Table {
    /// None when the extension is not (or no longer) there.
    pub fn open(name: &str, lockmode: u32) -> Option<Table> {
        let name = CString::new(name).ok()?;
        // SAFETY: syscache look-ups.
        let relid = unsafe {
            let schema = pg_sys::get_namespace_oid(c"tviews".as_ptr(), true);
            if schema == pg_sys::InvalidOid {
                return None;
            }
            pg_sys::get_relname_relid(name.as_ptr(), schema)
        };
        if relid == pg_sys::InvalidOid {
            return None;
        }
        Relation::open(relid, lockmode).map(|rel| Table(rel, lockmode))
    }

    pub fn required(name: &str, lockmode: u32) -> Result<Table> {
        Table::open(name, lockmode).ok_or_else(|| Error::WrongState {
            what: format!("relation tviews.{name} does not exist"),
            hint: Some("Run CREATE EXTENSION pg_tviews in this database.".into()),
        })
    }

    pub fn oid(&self) -> pg_sys::Oid {
        self.0.oid()
    }

    /// Tells every backend's caches that the contents changed.
    pub fn invalidate(&self) {
        // SAFETY: the relation is open.
        unsafe { pg_sys::CacheInvalidateRelcache(self.0.raw()) };
    }

    /// Attribute `n` (from 1) of a tuple of this table; None is NULL, or that the extension's objects are older than the
    /// library and have no such column.
    pub fn get(&self, tuple: pg_sys::HeapTuple, n: i32) -> Option<pg_sys::Datum> {
        if n as usize > self.0.natts() {
            return None;
        }
        let mut null = false;
        // SAFETY: the tuple came from a scan of this table.
        let datum = unsafe { pg_sys::heap_getattr(tuple, n, self.0.tupdesc(), &mut null) };
        (!null).then_some(datum)
    }

    pub fn scan(&self, f: impl FnMut(pg_sys::HeapTuple)) {
        self.scan_where(None, f);
    }

    /// Tuples whose first column is `value`, by the index of this name, which starts with the first column.
    pub fn look_up(&self, index: &CStr, value: pg_sys::Oid, f: impl FnMut(pg_sys::HeapTuple)) {
        // SAFETY: a syscache look-up.
        let index = unsafe { pg_sys::get_relname_relid(index.as_ptr(), self.0.class().relnamespace) };
        self.scan_where(Some((index, value)), f);
    }

    fn scan_where(&self, key: Option<(pg_sys::Oid, pg_sys::Oid)>, mut f: impl FnMut(pg_sys::HeapTuple)) {
        // SAFETY: a scan as of a catalog, with the key's column an oid; it is ended before returning.
        unsafe {
            let mut condition: pg_sys::ScanKeyData = std::mem::zeroed();
            if let Some((_, value)) = key {
                let equal = pg_sys::BTEqualStrategyNumber as u16;
                let function = pg_sys::Oid::from(pg_sys::F_OIDEQ);
                pg_sys::ScanKeyInit(&mut condition, 1, equal, function, pg_sys::Datum::from(value));
            }
            let index = key.map_or(pg_sys::InvalidOid, |(index, _)| index);
            let scan = pg_sys::systable_beginscan(
                self.0.raw(),
                index,
                index != pg_sys::InvalidOid,
                std::ptr::null_mut(),
                i32::from(key.is_some()),
                &mut condition,
            );
            loop {
                let tuple = pg_sys::systable_getnext(scan);
                if tuple.is_null() {
                    break;
                }
                f(tuple);
            }
            pg_sys::systable_endscan(scan);
        }
    }

    pub fn insert(&self, columns: &[Option<pg_sys::Datum>]) {
        let mut values: Vec<_> = columns.iter().map(|c| c.unwrap_or(pg_sys::Datum::from(0usize))).collect();
        let mut nulls: Vec<_> = columns.iter().map(Option::is_none).collect();
        assert_eq!(values.len(), self.0.natts());
        // SAFETY: one value per attribute; the relation is locked for writing.
        unsafe {
            let tuple = pg_sys::heap_form_tuple(self.0.tupdesc(), values.as_mut_ptr(), nulls.as_mut_ptr());
            pg_sys::CatalogTupleInsert(self.0.raw(), tuple);
            pg_sys::CommandCounterIncrement();
        }
    }

    /// Puts a tuple in the place of the one whose first column is `value`, by the index of this name; inserts it when there is none.
    pub fn put(&self, index: &CStr, value: pg_sys::Oid, columns: &[Option<pg_sys::Datum>]) {
        let mut place = None;
        // SAFETY: t_self of a scanned tuple.
        self.look_up(index, value, |tuple| place = Some(unsafe { (*tuple).t_self }));
        let Some(mut place) = place else { return self.insert(columns) };
        let mut values: Vec<_> = columns.iter().map(|c| c.unwrap_or(pg_sys::Datum::from(0usize))).collect();
        let mut nulls: Vec<_> = columns.iter().map(Option::is_none).collect();
        assert_eq!(values.len(), self.0.natts());
        // SAFETY: one value per attribute; the relation is locked for writing.
        unsafe {
            let tuple = pg_sys::heap_form_tuple(self.0.tupdesc(), values.as_mut_ptr(), nulls.as_mut_ptr());
            pg_sys::CatalogTupleUpdate(self.0.raw(), &mut place, tuple);
            pg_sys::CommandCounterIncrement();
        }
    }

    /// Deletes the tuple at a place.
    pub fn delete_at(&self, place: &mut pg_sys::ItemPointerData) {
        // SAFETY: the place of a tuple that a scan has shown; the relation is locked for writing.
        unsafe {
            pg_sys::CatalogTupleDelete(self.0.raw(), place);
            pg_sys::CommandCounterIncrement();
        }
    }

    /// Deletes the tuples for which `which` is true; a tuple deleted meanwhile by another transaction raises 40001.
    pub fn delete(&self, mut which: impl FnMut(pg_sys::HeapTuple) -> bool) {
        self.scan(|tuple| {
            if which(tuple) {
                // SAFETY: t_self of a scanned tuple.
                unsafe { pg_sys::CatalogTupleDelete(self.0.raw(), &mut (*tuple).t_self) };
            }
        });
        // SAFETY: makes the deletions visible to the next scan.
        unsafe { pg_sys::CommandCounterIncrement() };
    }
}
