//! Two relations that exchange their contents: files, TOAST table, access method, persistence, and what is known of their size.
//!
//! Invariant: a row of pg_class keeps what its number, name, rights and dependents are about, and gets all that says how the files of the other one
//! are read; so nothing is copied, and nothing is built again. Both relations have the same columns, state attributes included, and storage that is
//! older than this transaction, so the server keeps no note of it (relcache.c, rd_newRelfilelocatorSubid).
//! Source: commands/cluster.c, swap_relation_files, and the end of finish_heap_swap, which builds all indexes again while nobody may read.
//! Called by build/beside.

use crate::pg::error::{Error, Result};
use crate::pg::relation::Relation;
use pgrx::pg_sys::{self, Oid};
use std::ffi::{CStr, CString};

/// A row of pg_class that is going to be changed.
struct Row(pg_sys::HeapTuple);

impl Row {
    fn of(relid: Oid) -> Result<Row> {
        let cache = pg_sys::SysCacheIdentifier::RELOID as i32;
        let none = pg_sys::Datum::from(0usize);
        // SAFETY: a look-up, which gives a copy.
        let tuple = unsafe { pg_sys::SearchSysCacheCopy(cache, relid.into(), none, none, none) };
        if tuple.is_null() { Err(Error::NoRelation(relid.to_u32())) } else { Ok(Row(tuple)) }
    }

    fn form(&mut self) -> &mut pg_sys::FormData_pg_class {
        // SAFETY: our own copy of a row of pg_class.
        unsafe { &mut *pg_sys::GETSTRUCT(self.0).cast::<pg_sys::FormData_pg_class>() }
    }
}

/// Exchanges the contents of two relations of one kind: materialized views, or indexes on them. Ends with CommandCounterIncrement.
///
/// # Safety
/// Both are locked ACCESS EXCLUSIVE, or their tables are, and nobody in this session has a scan of them open.
pub unsafe fn exchange(one: Oid, other: Oid) -> Result<()> {
    require_older_storage(one)?;
    require_older_storage(other)?;
    let (mut first, mut second) = (Row::of(one)?, Row::of(other)?);
    let toast = {
        let (a, b) = (first.form(), second.form());
        std::mem::swap(&mut a.relfilenode, &mut b.relfilenode);
        std::mem::swap(&mut a.reltablespace, &mut b.reltablespace);
        std::mem::swap(&mut a.relam, &mut b.relam);
        std::mem::swap(&mut a.relpersistence, &mut b.relpersistence);
        std::mem::swap(&mut a.reltoastrelid, &mut b.reltoastrelid);
        std::mem::swap(&mut a.relpages, &mut b.relpages);
        std::mem::swap(&mut a.reltuples, &mut b.reltuples);
        std::mem::swap(&mut a.relallvisible, &mut b.relallvisible);
        #[cfg(feature = "since_18")]
        std::mem::swap(&mut a.relallfrozen, &mut b.relallfrozen);
        std::mem::swap(&mut a.relfrozenxid, &mut b.relfrozenxid);
        std::mem::swap(&mut a.relminmxid, &mut b.relminmxid);
        // Of indexes that move behind this; a flag without an index does no harm.
        let any = a.relhasindex || b.relhasindex;
        (a.relhasindex, b.relhasindex) = (any, any);
        [(one, a.reltoastrelid), (other, b.reltoastrelid)]
    };
    // SAFETY: both rows are our copies, and are stored as they were read; a TOAST table depends on its table only.
    unsafe {
        let catalog = pg_sys::table_open(pg_sys::RelationRelationId, pg_sys::RowExclusiveLock as i32);
        for row in [&first, &second] {
            pg_sys::CatalogTupleUpdate(catalog, &mut (*row.0).t_self, row.0);
        }
        pg_sys::table_close(catalog, pg_sys::RowExclusiveLock as i32);
        let class = pg_sys::RelationRelationId;
        // Until 16 an open file belongs to one relation, and both entries let go of theirs first (commands/cluster.c, at the end of swap_relation_files).
        #[cfg(not(feature = "since_17"))]
        {
            pg_sys::RelationCloseSmgrByOid(one);
            pg_sys::RelationCloseSmgrByOid(other);
        }
        let present = || toast.into_iter().filter(|(_, toast)| *toast != pg_sys::InvalidOid);
        for (_, toast) in present() {
            pg_sys::deleteDependencyRecordsFor(class, toast, false);
        }
        for (relid, toast) in present() {
            let address = |oid| pg_sys::ObjectAddress { classId: class, objectId: oid, objectSubId: 0 };
            let kind = pg_sys::DependencyType::DEPENDENCY_INTERNAL;
            pg_sys::recordDependencyOn(&address(toast), &address(relid), kind);
        }
        pg_sys::CommandCounterIncrement();
    }
    Ok(())
}

/// Storage that this transaction has made would have to be noted as new for the other relation.
fn require_older_storage(relid: Oid) -> Result<()> {
    let rel = Relation::open(relid, pg_sys::NoLock).ok_or(Error::NoRelation(relid.to_u32()))?;
    // SAFETY: open. 0 is InvalidSubTransactionId.
    let is_new = unsafe {
        #[cfg(feature = "pg15")]
        let new = (*rel.raw()).rd_newRelfilenodeSubid;
        #[cfg(not(feature = "pg15"))]
        let new = (*rel.raw()).rd_newRelfilelocatorSubid;
        new != 0 || (*rel.raw()).rd_createSubid != 0
    };
    match is_new {
        true => Err(Error::Internal(format!("relation {} has storage of this transaction", relid.to_u32()))),
        false => Ok(()),
    }
}

/// Whether two relations have rows of the same layout, state attributes included.
pub fn have_same_layout(one: &Relation, other: &Relation) -> bool {
    one.natts() == other.natts()
        && (0..one.natts()).all(|i| {
            let (a, b) = (one.attribute(i), other.attribute(i));
            (a.atttypid, a.attlen, a.attbyval, a.attalign, a.attisdropped)
                == (b.atttypid, b.attlen, b.attbyval, b.attalign, b.attisdropped)
        })
}

/// Gives the TOAST table of a relation, which another one has had, its usual name.
///
/// # Safety
/// The relation is locked ACCESS EXCLUSIVE, and no other TOAST table has the name.
pub unsafe fn rename_toast(relid: Oid) -> Result<()> {
    let toast = Row::of(relid)?.form().reltoastrelid;
    if toast == pg_sys::InvalidOid {
        return Ok(());
    }
    let name = |suffix: &str| CString::new(format!("pg_toast_{}{suffix}", relid.to_u32())).unwrap_or_default();
    // SAFETY: as the caller promises.
    unsafe {
        let index = pg_sys::toast_get_valid_index(toast, pg_sys::AccessExclusiveLock as i32);
        pg_sys::RenameRelationInternal(toast, name("").as_ptr(), true, false);
        pg_sys::RenameRelationInternal(index, name("_index").as_ptr(), true, true);
        pg_sys::CommandCounterIncrement();
    }
    Ok(())
}

/// Makes an index one of another relation with the same columns, whose contents it fits. Ends with CommandCounterIncrement.
///
/// # Safety
/// Both relations are locked ACCESS EXCLUSIVE.
pub unsafe fn move_index(index: Oid, from: Oid, to: Oid, label: &CStr) {
    // SAFETY: the copies of the rows are stored as they were read; the dependencies of an index on columns keep their numbers.
    unsafe {
        let classes = pg_sys::table_open(pg_sys::RelationRelationId, pg_sys::RowExclusiveLock as i32);
        let absent = pg_sys::Datum::from(0usize);
        let by_oid = pg_sys::SysCacheIdentifier::RELOID as i32;
        let class = pg_sys::SearchSysCacheCopy(by_oid, index.into(), absent, absent, absent);
        if !class.is_null() {
            let form = pg_sys::GETSTRUCT(class).cast::<pg_sys::FormData_pg_class>();
            (*form).relnamespace = pg_sys::get_rel_namespace(to);
            pg_sys::namestrcpy(&mut (*form).relname, label.as_ptr());
            pg_sys::CatalogTupleUpdate(classes, &mut (*class).t_self, class);
        }
        pg_sys::table_close(classes, pg_sys::RowExclusiveLock as i32);
        let catalog = pg_sys::table_open(pg_sys::IndexRelationId, pg_sys::RowExclusiveLock as i32);
        let none = pg_sys::Datum::from(0usize);
        let cache = pg_sys::SysCacheIdentifier::INDEXRELID as i32;
        let tuple = pg_sys::SearchSysCacheCopy(cache, index.into(), none, none, none);
        if !tuple.is_null() {
            (*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_index>()).indrelid = to;
            pg_sys::CatalogTupleUpdate(catalog, &mut (*tuple).t_self, tuple);
        }
        pg_sys::table_close(catalog, pg_sys::RowExclusiveLock as i32);
        let class = pg_sys::RelationRelationId;
        pg_sys::changeDependencyFor(class, index, class, from, to);
        for relid in [index, from, to] {
            pg_sys::CacheInvalidateRelcacheByRelid(relid);
        }
        pg_sys::CommandCounterIncrement();
    }
}
