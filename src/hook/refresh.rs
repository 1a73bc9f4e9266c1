//! REFRESH MATERIALIZED VIEW and REFRESH TVIEW: apply pending changes, populate, or empty.
//!
//! Invariant: a populated TVIEW without pending changes is left alone: no lock that blocks anybody.

use super::named;
use crate::build::{online, populate};
use crate::catalog::options;
use crate::hook::call::Call;
use crate::hook::life::is_marked;
use crate::hook::refresh::populate::persistence;
use crate::pg::acl::maintains;
use crate::pg::error::{Error, Result};
use crate::pg::name;
use crate::pg::relation::Relation;
use crate::refresh::flush::{self, lost};
use crate::tam;
use pgrx::{pg_guard, pg_sys};
use std::ffi::{CStr, c_void};

pub fn before(call: &mut Call) -> Result<()> {
    // SAFETY: `call` holds the statement that the server is executing.
    unsafe {
        let stmt = (*call.pstmt).utilityStmt.cast::<pg_sys::RefreshMatViewStmt>();
        let marked = is_marked((*stmt).relation);
        let oid = named::find((*stmt).relation);
        if oid == pg_sys::InvalidOid || !tam::is_tview(oid) {
            if marked && oid != pg_sys::InvalidOid {
                return Err(Error::NotATview(name::bare(oid)));
            }
            return Ok(());
        }
        call.done = true;
        let flags = pg_sys::RVROption::RVR_MISSING_OK;
        let lock = pg_sys::AccessShareLock as i32;
        let oid =
            pg_sys::RangeVarGetRelidExtended((*stmt).relation, lock, flags, Some(check_right), std::ptr::null_mut());
        if oid == pg_sys::InvalidOid {
            return Err(Error::NoSuchRelation(
                CStr::from_ptr((*(*stmt).relation).relname).to_string_lossy().into_owned(),
            ));
        }
        if !tam::is_tview(oid) {
            return Err(Error::NotATview(name::bare(oid)));
        }
        run(oid, (*stmt).skipData, (*stmt).concurrent, call.is_top_level)
    }
}

/// Checks the right before the relation is locked, each time that the name is looked up.
#[pg_guard]
unsafe extern "C-unwind" fn check_right(
    _var: *const pg_sys::RangeVar,
    oid: pg_sys::Oid,
    _old: pg_sys::Oid,
    _arg: *mut c_void,
) {
    // SAFETY: the server's look-up of the name has just found `oid`, under its lock if it has one.
    unsafe {
        if oid != pg_sys::InvalidOid && !maintains(oid) {
            let not_owner = pg_sys::AclResult::ACLCHECK_NOT_OWNER;
            pg_sys::aclcheck_error(not_owner, pg_sys::ObjectType::OBJECT_MATVIEW, pg_sys::get_rel_name(oid));
        }
    }
}

/// Follows what has changed. Logs are emptied where no transaction block goes on to hold their locks.
fn deferred(oid: pg_sys::Oid) -> Result<()> {
    flush::deferred::refresh(oid, flush::deferred::By::Statement)?;
    // SAFETY: plain getter.
    if unsafe { !pg_sys::IsTransactionBlock() } {
        flush::deferred::trim(oid)?;
    }
    Ok(())
}

fn run(oid: pg_sys::Oid, skip_data: bool, concurrent: bool, is_top_level: bool) -> Result<()> {
    let populated = {
        let Some(rel) = Relation::open(oid, pg_sys::NoLock) else { return Ok(()) };
        rel.class().relispopulated
    };
    if skip_data {
        if concurrent {
            return Err(Error::InvalidDefinition(
                "REFRESH options CONCURRENTLY and WITH NO DATA cannot be used together".into(),
                None,
            ));
        }
        return populate::empty(oid);
    }
    let ours = options::stored(oid);
    let is_deferred = ours.refresh() != options::Refresh::Commit;
    if concurrent && (ours.is_catching_up() || !populated && !is_deferred) {
        online::refuse_block(is_top_level)?;
        return online::populate(oid);
    }
    if ours.is_catching_up() {
        return online::finish(oid);
    }
    if populated {
        if is_deferred {
            return deferred(oid);
        }
        lost::recover(oid)?;
        return Ok(());
    }
    // Storage that other transactions can see is never written frozen: always new storage.
    populate::populate(oid, persistence(oid), false)?;
    Ok(())
}
