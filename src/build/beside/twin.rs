//! The twin of a materialized view: a TVIEW of the same query, beside it, with the same columns, options and indexes, that catches up.
//!
//! Invariant: a twin depends on its relation, so it is dropped with it, and is found by that. It is in the schema of stages, for pg_dump reads that of what it has found,
//! which may be gone by then; its name ends as that of an index that REINDEX CONCURRENTLY makes, and it can be dropped as any TVIEW. Called by
//! build/beside.

use super::{Becomes, is_logged};
use crate::analyze::query::load;
use crate::build::{adopt, internal, logs};
use crate::catalog::{options, stages};
use crate::pg::error::{Error, Result};
use crate::pg::pinned::Pinned;
use crate::pg::relation::{Relation, attname};
use crate::pg::syscatalog::{DEPEND_BY_REFERENCE, DEPEND_CLASS, DEPEND_OBJECT};
use crate::pg::{ddl, list, name};
use crate::tam;
use pgrx::pg_sys::{self, Oid};
use std::ffi::CString;

/// Makes the twin, without contents; the log of its tables begins with it.
pub fn make(oid: Oid, becomes: Becomes) -> Result<Oid> {
    let rel = Relation::open(oid, pg_sys::AccessShareLock).ok_or(Error::NoRelation(oid.to_u32()))?;
    let class = *rel.class();
    let visible: Vec<_> = (0..rel.natts()).map(|i| rel.attribute(i)).filter(|a| !a.attisdropped).collect();
    let labels: Vec<CString> = visible.iter().map(|a| CString::new(attname(a)).unwrap_or_default()).collect();
    let is_logged = is_logged(oid, becomes);
    let persistence = if is_logged { pg_sys::RELPERSISTENCE_PERMANENT } else { pg_sys::RELPERSISTENCE_UNLOGGED };
    let mut ours = options::stored(oid);
    ours.set_logged(is_logged);
    ours.set_catching_up(true);
    let parameters = options::storage_parameters(oid);
    let parameters: Vec<&str> = parameters.iter().map(String::as_str).collect();
    let method = tam::access_method_oid().ok_or_else(|| Error::Internal("no access method".into()))?;
    let _pinned = Pinned::new(class.relowner);
    // SAFETY: the query is that of a materialized view that is open; names end with a NUL; what is made here is not seen by others yet.
    unsafe {
        let query = load::stored(&rel)?.raw();
        #[cfg(feature = "pg15")]
        without_old_and_new(query);
        let title = CString::new(format!("{}_{}", oid.to_u32(), name::bare(oid))).unwrap_or_default();
        let label = pg_sys::makeObjectName(title.as_ptr(), std::ptr::null(), stages::TWIN.as_ptr());
        let label = std::ffi::CStr::from_ptr(label);
        let schema = pg_sys::get_namespace_oid(stages::SCHEMA.as_ptr(), false);
        let place = (schema, class.reltablespace);
        let twin =
            ddl::create_matview(place, persistence, (label, &labels), class.relowner, method, &parameters, query)?;
        options::store(twin, &ours);
        let auto = pg_sys::DependencyType::DEPENDENCY_AUTO;
        pg_sys::recordDependencyOn(&address(twin), &address(oid), auto);
        for index in list::oids(pg_sys::RelationGetIndexList(rel.raw())) {
            if let Some(index) = Relation::open(index, pg_sys::AccessShareLock) {
                ddl::clone_index(index.raw(), twin, visible.len());
            }
        }
        drop(rel);
        adopt::adopt(twin)?;
        Ok(twin)
    }
}

/// Until 16 the query of a view begins with two relations that nothing refers to, and that are added when it is stored. Source: commands/view.c,
/// UpdateRangeTableOfViewParse.
///
/// # Safety
/// A private copy of a stored query of a view.
#[cfg(feature = "pg15")]
unsafe fn without_old_and_new(query: *mut pg_sys::Query) {
    // SAFETY: as the caller promises.
    unsafe {
        pg_sys::OffsetVarNodes(query.cast(), -2, 0);
        (*query).rtable = pg_sys::list_delete_first_n((*query).rtable, 2);
    }
}

fn address(relid: Oid) -> pg_sys::ObjectAddress {
    pg_sys::ObjectAddress { classId: pg_sys::RelationRelationId, objectId: relid, objectSubId: 0 }
}

/// The twins of a relation that are there.
pub fn of(oid: Oid) -> Vec<Oid> {
    let class = pg_sys::RelationRelationId;
    let dependent = DEPEND_BY_REFERENCE.find(&[class, oid], &[DEPEND_CLASS, DEPEND_OBJECT]);
    let relations = dependent.into_iter().filter(|found| found[0] == class).map(|found| found[1]);
    let is_twin = |t: &Oid| tam::is_tview(*t) && !stages::is_stage(*t) && options::stored(*t).is_catching_up();
    relations.filter(is_twin).collect()
}

/// Drops what a call that did not come to its end has left behind; says whether there was something.
pub fn drop_left(oid: Oid) -> Result<bool> {
    let left = of(oid);
    for twin in &left {
        logs::lock_sources(*twin)?;
        // SAFETY: tables are locked before the TVIEW, as by writers.
        unsafe { pg_sys::LockRelationOid(*twin, pg_sys::AccessExclusiveLock as i32) };
        remove(*twin);
    }
    Ok(!left.is_empty())
}

/// Drops a twin, and its stages if it has any.
pub fn remove(twin: Oid) {
    if name::relation(twin).is_none() {
        return;
    }
    internal::drop(twin);
    // SAFETY: locked ACCESS EXCLUSIVE, and closed.
    unsafe {
        let restrict = pg_sys::DropBehavior::DROP_RESTRICT;
        pg_sys::performDeletion(&address(twin), restrict, pg_sys::PERFORM_DELETION_INTERNAL as i32);
        pg_sys::CommandCounterIncrement();
    }
}
