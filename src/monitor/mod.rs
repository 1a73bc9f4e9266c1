//! The functions of schema `tviews`: what users ask a TVIEW.
//!
//! Each file has the functions of one question. Called from SQL only, except for the counters, which the flush feeds.

mod explain;
mod health;
mod hints;
mod pending;
pub mod stat;
mod verify;
pub mod waits;

use crate::pg::error::{Error, Result};
use crate::pg::relation::Relation;
use crate::pg::{acl, name};
use crate::tam;
use pgrx::pg_sys;

/// Opens a TVIEW that the current user may read, or says why not.
fn open(relid: pg_sys::Oid) -> Result<Relation> {
    let Some(rel) = Relation::open(relid, pg_sys::AccessShareLock) else {
        return Err(Error::NoRelation(relid.to_u32()));
    };
    if !tam::is_tview_relation(rel.raw()) {
        return Err(Error::NotATview(name::bare(relid)));
    }
    Ok(rel)
}

/// SELECT privilege of the current user.
fn may_select(relid: pg_sys::Oid) -> bool {
    // SAFETY: an existing relation.
    unsafe { acl::may_select(relid, pg_sys::GetUserId()) }
}

/// The error that reading the TVIEW would give.
fn check_select(relid: pg_sys::Oid) {
    if !may_select(relid) {
        let no_right = pg_sys::AclResult::ACLCHECK_NO_PRIV;
        // SAFETY: an existing relation.
        unsafe { pg_sys::aclcheck_error(no_right, pg_sys::ObjectType::OBJECT_MATVIEW, pg_sys::get_rel_name(relid)) };
    }
}
