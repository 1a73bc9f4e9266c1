//! The functions of schema `tviews` by which users inspect TVIEWs.
//!
//! Each file has the functions of one subject. Called from SQL only; flushes count in `src/counters`.

mod capture;
mod changes;
mod explain;
mod free;
mod health;
mod hold;
mod pending;
mod size;
pub mod stat;
mod verify;
pub mod waits;

use crate::pg::error::{Error, Result};
use crate::pg::relation::Relation;
use crate::pg::{acl, name};
use crate::tam;
use pgrx::pg_sys;

/// Opens a TVIEW; an error for any other relation. Privileges are not checked.
fn open(relid: pg_sys::Oid) -> Result<Relation> {
    let Some(rel) = Relation::open(relid, pg_sys::AccessShareLock) else {
        return Err(Error::NoRelation(relid.to_u32()));
    };
    if !tam::is_tview_relation(&rel) {
        return Err(Error::NotATview(name::bare(relid)));
    }
    Ok(rel)
}

/// Whether the current user has SELECT on a relation; not on one that does not exist any more.
fn may_select(relid: pg_sys::Oid) -> bool {
    // SAFETY: plain getter.
    acl::may_select(relid, unsafe { pg_sys::GetUserId() })
}

/// The error that reading the TVIEW would give.
fn check_select(relid: pg_sys::Oid) {
    if !may_select(relid) {
        let no_right = pg_sys::AclResult::ACLCHECK_NO_PRIV;
        // SAFETY: an existing relation.
        unsafe { pg_sys::aclcheck_error(no_right, pg_sys::ObjectType::OBJECT_MATVIEW, pg_sys::get_rel_name(relid)) };
    }
}
