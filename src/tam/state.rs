//! Hidden per-row state in trailing attributes that are marked dropped.
//!
//! Invariant: every dropped attribute of a TVIEW is a state attribute of ours (PostgreSQL cannot drop a column of a materialized view),
//! has the layout of its state's type, and comes after all visible columns. `SELECT *`, `\d`, rows and pg_dump skip them; tuples carry them.
//! A row written before the attributes were added reads as NULL state, which means "rebuild".
//! Called by build and hook (create, alter) and by refresh (layout of a row).

use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use smallvec::SmallVec;

use std::ffi::CString;

use super::attver;
use super::heap::heap_callback;
use crate::pg::ddl;
use crate::pg::tupdesc::{attr as attribute, finalize};

/// Attribute numbers (1-based), ascending.
pub type Attributes = SmallVec<[i16; 2]>;

/// The trailing state attributes of a descriptor.
///
/// # Safety
/// `desc` is valid.
pub unsafe fn state_attributes(desc: pg_sys::TupleDesc) -> Attributes {
    // SAFETY: `desc` is valid, as the caller promises.
    unsafe { (visible_attributes(desc)..(*desc).natts as usize).map(|i| i as i16 + 1).collect() }
}

/// Whether the state attributes have the layout of these types.
///
/// # Safety
/// `desc` is valid.
pub unsafe fn has_layout(desc: pg_sys::TupleDesc, types: &[pg_sys::Oid]) -> bool {
    // SAFETY: `desc` is valid, as the caller promises.
    unsafe {
        let present = state_attributes(desc);
        present.len() == types.len()
            && present.iter().zip(types).all(|(number, of)| {
                let (mut len, mut by_value) = (0, false);
                pg_sys::get_typlenbyval(*of, &mut len, &mut by_value);
                let column = attribute(desc, *number as usize - 1);
                (*column).attlen == len && (*column).attbyval == by_value
            })
    }
}

/// Number of attributes before the trailing state attributes.
///
/// # Safety
/// `desc` is valid.
pub(super) unsafe fn visible_attributes(desc: pg_sys::TupleDesc) -> usize {
    // SAFETY: `desc` is valid, as the caller promises.
    unsafe { (0..(*desc).natts as usize).rev().find(|&i| !(*attribute(desc, i)).attisdropped).map_or(0, |i| i + 1) }
}

/// Types of transition values that are arrays of two: of sums of integers, and of intervals up to 16. These values stay in the row.
const SHORT: [pg_sys::Oid; 2] = [pg_sys::INT8ARRAYOID, pg_sys::INTERVALARRAYOID];

/// Whether a relation needs a TOAST table: for its columns, as in heap, or for state attributes of variable length.
pub unsafe extern "C-unwind" fn needs_toast_table(rel: pg_sys::Relation) -> bool {
    // SAFETY: the server calls this for an open relation of ours.
    unsafe {
        let desc = (*rel).rd_att;
        let is_long = |number: &i16| {
            let state = attribute(desc, *number as usize - 1);
            (*state).attlen == -1 && (*state).attstorage as u8 != pg_sys::TYPSTORAGE_PLAIN
        };
        heap_callback!(relation_needs_toast_table(rel)) || state_attributes(desc).iter().any(is_long)
    }
}

/// Adds a state attribute for each of `types` after the last one; bumps `relnatts`; the change is visible when this returns.
///
/// # Safety
/// The caller holds AccessExclusiveLock on the materialized view, whose rule is already stored (a rule refuses dropped columns).
pub unsafe fn add_state_attributes(rel_oid: pg_sys::Oid, types: &[pg_sys::Oid]) {
    // SAFETY: The caller holds AccessExclusiveLock on the materialized view, whose rule is already stored (a rule refuses dropped columns), as the
    // caller promises.
    unsafe {
        let count = types.len();
        if count == 0 {
            return;
        }
        let rel = pg_sys::relation_open(rel_oid, pg_sys::NoLock as _);
        let first = (*(*rel).rd_att).natts as usize;
        pg_sys::relation_close(rel, pg_sys::NoLock as _);
        let total = first + count;
        if total > pg_sys::MaxHeapAttributeNumber as usize {
            ErrorReport::new(
                PgSqlErrorCode::ERRCODE_TOO_MANY_COLUMNS,
                format!(
                    "a TVIEW can have at most {} columns, including {count} for its state",
                    pg_sys::MaxHeapAttributeNumber
                ),
                "add_state_attributes",
            )
            .report(PgLogLevel::ERROR);
        }

        let desc = pg_sys::CreateTemplateTupleDesc(count as _);
        for (i, of) in types.iter().enumerate() {
            // As RemoveAttributeById (heap.c) leaves a dropped column: the shape of the type, but neither its oid nor a name of one's own.
            let name = format!("........pg.dropped.{}........\0", first + i + 1);
            pg_sys::TupleDescInitEntry(desc, i as i16 + 1, name.as_ptr().cast(), *of, -1, 0);
            let column = attribute(desc, i);
            (*column).attnum = (first + i + 1) as i16;
            (*column).atttypid = pg_sys::InvalidOid;
            (*column).attisdropped = true;
            if SHORT.contains(of) {
                (*column).attstorage = pg_sys::TYPSTORAGE_PLAIN as _;
            }
        }
        insert(rel_oid, desc, total as i16);
        ddl::create_toast_table(rel_oid);
    }
}

/// Adds attributes to a relation, which has so many then.
///
/// # Safety
/// The caller holds AccessExclusiveLock, and has made the descriptor, whose attributes have their numbers.
unsafe fn insert(rel_oid: pg_sys::Oid, desc: pg_sys::TupleDesc, total: i16) {
    // SAFETY: as the caller promises.
    unsafe {
        finalize(desc);
        let catalog = pg_sys::table_open(pg_sys::AttributeRelationId, pg_sys::RowExclusiveLock as _);
        let indexes = pg_sys::CatalogOpenIndexes(catalog);
        insert_attributes(catalog, desc, rel_oid, indexes);
        pg_sys::CatalogCloseIndexes(indexes);
        pg_sys::table_close(catalog, pg_sys::RowExclusiveLock as _);
        set_relnatts(rel_oid, total);
    }
}

/// Gives a relation the state attributes of another one, instead of its own. Both have the same visible columns.
///
/// # Safety
/// The caller holds AccessExclusiveLock on both, and gives `to` storage of this layout.
pub unsafe fn copy_state_attributes(from: pg_sys::Oid, to: pg_sys::Oid) {
    // SAFETY: as the caller promises.
    unsafe {
        remove_state_attributes(to);
        let rel = pg_sys::relation_open(from, pg_sys::NoLock as _);
        let desc = (*rel).rd_att;
        let attributes = state_attributes(desc);
        if attributes.is_empty() {
            pg_sys::relation_close(rel, pg_sys::NoLock as _);
            return;
        }
        let copy = pg_sys::CreateTemplateTupleDesc(attributes.len() as _);
        for (i, number) in attributes.iter().enumerate() {
            pg_sys::TupleDescCopyEntry(copy, i as i16 + 1, desc, *number);
            (*attribute(copy, i)).attnum = *number;
        }
        let total = (*desc).natts as i16;
        pg_sys::relation_close(rel, pg_sys::NoLock as _);
        insert(to, copy, total);
    }
}

/// A visible column.
pub struct Column {
    pub label: CString,
    pub typid: pg_sys::Oid,
    pub typmod: i32,
    pub collation: pg_sys::Oid,
}

/// Adds visible columns behind the existing columns; the change is visible when this returns. As catalog/heap.c, AddNewAttributeTuples.
///
/// # Safety
/// The caller holds AccessExclusiveLock on the materialized view, which has no state attributes, and replaces or empties its storage.
pub unsafe fn append_columns(rel_oid: pg_sys::Oid, columns: &[Column]) {
    // SAFETY: The caller holds AccessExclusiveLock on the materialized view, which has no state attributes, as the caller promises.
    unsafe {
        if columns.is_empty() {
            return;
        }
        let rel = pg_sys::relation_open(rel_oid, pg_sys::NoLock as _);
        let first = (*(*rel).rd_att).natts as usize;
        let all = pg_sys::CreateTemplateTupleDesc((first + columns.len()) as _);
        for i in 0..first {
            pg_sys::TupleDescCopyEntry(all, i as i16 + 1, (*rel).rd_att, i as i16 + 1);
        }
        pg_sys::relation_close(rel, pg_sys::NoLock as _);
        let desc = pg_sys::CreateTemplateTupleDesc(columns.len() as _);
        for (i, column) in columns.iter().enumerate() {
            let number = (first + i + 1) as i16;
            for (of, at) in [(all, number), (desc, i as i16 + 1)] {
                pg_sys::TupleDescInitEntry(of, at, column.label.as_ptr(), column.typid, column.typmod, 0);
                pg_sys::TupleDescInitEntryCollation(of, at, column.collation);
            }
            (*attribute(desc, i)).attnum = number;
        }
        finalize(all);
        finalize(desc);
        pg_sys::CheckAttributeNamesTypes(all, pg_sys::RELKIND_MATVIEW as _, 0);
        let catalog = pg_sys::table_open(pg_sys::AttributeRelationId, pg_sys::RowExclusiveLock as _);
        let indexes = pg_sys::CatalogOpenIndexes(catalog);
        insert_attributes(catalog, desc, rel_oid, indexes);
        pg_sys::CatalogCloseIndexes(indexes);
        pg_sys::table_close(catalog, pg_sys::RowExclusiveLock as _);
        for (i, column) in columns.iter().enumerate() {
            let address =
                |class, object, column| pg_sys::ObjectAddress { classId: class, objectId: object, objectSubId: column };
            let myself = address(pg_sys::RelationRelationId, rel_oid, (first + i + 1) as i32);
            let normal = pg_sys::DependencyType::DEPENDENCY_NORMAL;
            pg_sys::recordDependencyOn(&myself, &address(pg_sys::TypeRelationId, column.typid, 0), normal);
            if column.collation != pg_sys::InvalidOid && column.collation != pg_sys::DEFAULT_COLLATION_OID {
                pg_sys::recordDependencyOn(&myself, &address(pg_sys::CollationRelationId, column.collation, 0), normal);
            }
        }
        set_relnatts(rel_oid, (first + columns.len()) as i16);
        ddl::create_toast_table(rel_oid);
    }
}

/// `InsertPgAttributeTuples` with the attribute versions that newer servers want (see [`super::attver`]).
///
/// # Safety
/// `catalog` is open; `desc` describes a relation that is open.
unsafe fn insert_attributes(
    catalog: pg_sys::Relation,
    desc: pg_sys::TupleDesc,
    rel_oid: pg_sys::Oid,
    indexes: pg_sys::CatalogIndexState,
) {
    // SAFETY: `catalog` is open; `desc` describes a relation that is open.
    unsafe {
        let options = attver::options();
        let count = (*desc).natts as usize;
        #[cfg(any(feature = "pg15", feature = "pg16"))]
        let mut extra = vec![options.unwrap_or(pg_sys::Datum::from(0usize)); count];
        #[cfg(not(any(feature = "pg15", feature = "pg16")))]
        let mut extra = {
            let null = pg_sys::NullableDatum { value: pg_sys::Datum::from(0usize), isnull: true };
            let attoptions = options.map_or(null, |value| pg_sys::NullableDatum { value, isnull: false });
            vec![pg_sys::FormExtraData_pg_attribute { attstattarget: null, attoptions }; count]
        };
        pg_sys::InsertPgAttributeTuples(catalog, desc, rel_oid, extra.as_mut_ptr(), indexes);
    }
}

/// Takes the state attributes away again. Stored rows keep the bytes; they are unreadable until attributes are added again, so the caller
/// rewrites or replaces the storage before that.
///
/// # Safety
/// The caller holds AccessExclusiveLock on the materialized view.
pub unsafe fn remove_state_attributes(rel_oid: pg_sys::Oid) {
    // SAFETY: The caller holds AccessExclusiveLock on the materialized view, as the caller promises.
    unsafe {
        let rel = pg_sys::relation_open(rel_oid, pg_sys::NoLock as _);
        let total = (*(*rel).rd_att).natts as usize;
        let attributes = state_attributes((*rel).rd_att);
        pg_sys::relation_close(rel, pg_sys::NoLock as _);
        if attributes.is_empty() {
            return;
        }
        let catalog = pg_sys::table_open(pg_sys::AttributeRelationId, pg_sys::RowExclusiveLock as _);
        for &attnum in &attributes {
            let tuple = pg_sys::SearchSysCacheCopy(
                pg_sys::SysCacheIdentifier::ATTNUM as _,
                rel_oid.into(),
                attnum.into(),
                0.into(),
                0.into(),
            );
            if !tuple.is_null() {
                pg_sys::CatalogTupleDelete(catalog, &mut (*tuple).t_self);
                pg_sys::heap_freetuple(tuple);
            }
        }
        pg_sys::table_close(catalog, pg_sys::RowExclusiveLock as _);
        set_relnatts(rel_oid, (total - attributes.len()) as i16);
    }
}

/// Writes `pg_class.relnatts`, which also invalidates the relation's cache entry, and makes the catalog changes visible.
///
/// # Safety
/// The copy of the row of `pg_class` is ours until it is stored; the relation is locked as for ALTER TABLE.
unsafe fn set_relnatts(rel_oid: pg_sys::Oid, natts: i16) {
    // SAFETY: the copy of the row of `pg_class` is ours until it is stored; the relation is locked as for ALTER TABLE.
    unsafe {
        let catalog = pg_sys::table_open(pg_sys::RelationRelationId, pg_sys::RowExclusiveLock as _);
        let tuple = pg_sys::SearchSysCacheCopy(
            pg_sys::SysCacheIdentifier::RELOID as _,
            rel_oid.into(),
            0.into(),
            0.into(),
            0.into(),
        );
        if tuple.is_null() {
            error!("cache lookup failed for relation {}", rel_oid.to_u32());
        }
        (*(pg_sys::GETSTRUCT(tuple) as pg_sys::Form_pg_class)).relnatts = natts;
        pg_sys::CatalogTupleUpdate(catalog, &mut (*tuple).t_self, tuple);
        pg_sys::heap_freetuple(tuple);
        pg_sys::table_close(catalog, pg_sys::RowExclusiveLock as _);
        pg_sys::CommandCounterIncrement();
    }
}
