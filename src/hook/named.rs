//! The relation that a statement names: looked up once.
//!
//! The server looks names up again when it runs a statement, and may find another relation by then. Invariant: the decision of a handler
//! is about the relation that the statement then changes. So a handler that acts on a relation holds its lock, after rights have been
//! checked, and the tree that the server gets has the relation's own qualified name; a handler that only takes note qualifies the name.
//! Source: catalog/namespace.c, RangeVarGetRelidExtended, whose loop over invalidations is the same.
//! Called by the handlers of statements.

use super::life;
use crate::pg::acl::owns;
use crate::pg::list;
use crate::tam;
use pgrx::pg_sys;
use std::collections::BTreeSet;

/// The relation, without a lock; 0 when there is none.
///
/// # Safety
/// `var` is a live node of a tree of the server.
pub unsafe fn find(var: *const pg_sys::RangeVar) -> pg_sys::Oid {
    // SAFETY: `var` is a live node of a tree of the server.
    unsafe {
        pg_sys::RangeVarGetRelidExtended(
            var,
            pg_sys::NoLock as i32,
            pg_sys::RVROption::RVR_MISSING_OK,
            None,
            std::ptr::null_mut(),
        )
    }
}

/// Makes a name mean this relation only.
///
/// # Safety
/// `var` is a live node of a tree of the server.
pub unsafe fn qualify(var: *mut pg_sys::RangeVar, relid: pg_sys::Oid) {
    // SAFETY: `var` is a live node of a tree of the server.
    unsafe {
        let schema = pg_sys::get_namespace_name(pg_sys::get_rel_namespace(relid));
        if !schema.is_null() {
            (*var).catalogname = std::ptr::null_mut();
            (*var).schemaname = schema;
        }
    }
}

/// The same for a name as DROP has it, a list of strings.
///
/// # Safety
/// `names` is null or a live list of nodes.
pub unsafe fn qualified(names: *mut pg_sys::List, relid: pg_sys::Oid) -> *mut pg_sys::List {
    // SAFETY: `names` is null or a live list of nodes.
    unsafe {
        let schema = pg_sys::get_namespace_name(pg_sys::get_rel_namespace(relid));
        if schema.is_null() {
            return names;
        }
        let last = list::nth::<pg_sys::Node>(names, list::len(names) - 1);
        let list = pg_sys::lappend(std::ptr::null_mut(), pg_sys::makeString(schema).cast());
        pg_sys::lappend(list, last.cast())
    }
}

/// The relations that have to be locked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// The relation.
    Own(u32),
    /// A TVIEW that goes or changes, ACCESS EXCLUSIVE, and before it the tables whose triggers go with it.
    WithSources,
}

/// Looks a relation up by `find`, checks that the user owns it, and locks it: the name means this relation then. 0 when there is none.
pub fn hold(find: impl Fn() -> pg_sys::Oid, lock: Lock) -> pg_sys::Oid {
    // SAFETY: takes locks by OID and looks the name up again, as `RangeVarGetRelidExtended` does.
    unsafe {
        loop {
            let relid = find();
            if relid == pg_sys::InvalidOid {
                return relid;
            }
            check_owner(relid);
            let mode = match lock {
                Lock::Own(mode) => mode,
                Lock::WithSources => {
                    life::lock_sources(&BTreeSet::from([relid.to_u32()]));
                    pg_sys::AccessExclusiveLock
                }
            } as i32;
            pg_sys::LockRelationOid(relid, mode);
            if find() == relid {
                return relid;
            }
            pg_sys::UnlockRelationOid(relid, mode);
        }
    }
}

/// Raises the server's own error when the user is not the owner.
fn check_owner(relid: pg_sys::Oid) {
    // SAFETY: look-ups in system caches; a relation that is gone gives NULL, which the report takes.
    unsafe {
        if !owns(relid) {
            let kind = pg_sys::get_relkind_objtype(pg_sys::get_rel_relkind(relid));
            let kind = if tam::is_tview(relid) { pg_sys::ObjectType::OBJECT_MATVIEW } else { kind };
            let not_owner = pg_sys::AclResult::ACLCHECK_NOT_OWNER;
            pg_sys::aclcheck_error(not_owner, kind, pg_sys::get_rel_name(relid));
        }
    }
}
