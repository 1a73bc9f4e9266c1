//! The table access method `tview`: heap storage with hidden per-row state, written only by the flush.
//!
//! Invariant: a relation whose routine is ours is a materialized view, or the transient copy PostgreSQL makes while it rewrites one; its
//! rows are changed through [`write::Writer`] and [`bulk::BulkWriter`] only. See README.md for the picture of the callbacks.
//! Called by refresh (rows), build and hook (storage and state), and PostgreSQL itself (callbacks).

mod attver;
mod build;
pub mod bulk;
mod create;
pub mod exchange;
#[cfg(not(feature = "since_19"))]
mod fetch;
mod heap;
pub mod read;
mod reject;
mod rewrite;
mod routine;
pub mod state;
pub mod storage;
pub mod switch;
pub mod write;

use crate::pg::relation::Relation;
use pgrx::pg_sys;
use std::sync::atomic::AtomicBool;

/// Whether the library was loaded by `shared_preload_libraries`. Without the hooks a TVIEW would be created and never maintained, so the
/// access method refuses new storage while this is false. Set by `_PG_init`.
pub static PRELOADED: AtomicBool = AtomicBool::new(false);

/// Called once from `_PG_init`.
pub fn init() {
    switch::init();
}

/// Oid of the access method in the current database, `None` where the extension is not installed.
///
/// Needs a transaction: it reads the system cache.
pub fn access_method_oid() -> Option<pg_sys::Oid> {
    // SAFETY: a constant C string; missing_ok, so no error for an absent row.
    let oid = unsafe { pg_sys::get_am_oid(c"tview".as_ptr(), true) };
    (oid != pg_sys::InvalidOid).then_some(oid)
}

/// Is this open relation a TVIEW?
pub fn is_tview_relation(rel: &Relation) -> bool {
    // SAFETY: an open relation.
    unsafe { is_ours(rel.raw()) }
}

/// # Safety
/// `rel` is an open relation.
unsafe fn is_ours(rel: pg_sys::Relation) -> bool {
    // SAFETY: as the caller promises.
    unsafe { is_matview(rel) && (routine::is_ours((*rel).rd_tableam) || switch::is_switched(rel)) }
}

/// Is the relation with this oid a TVIEW? False for an oid that does not exist. The answer is as durable as the caller's lock on the relation.
pub fn is_tview(relid: pg_sys::Oid) -> bool {
    // SAFETY: an entry of the cache, released after use.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::RELOID as _, relid.into());
        if tuple.is_null() {
            return false;
        }
        let class = pg_sys::GETSTRUCT(tuple) as pg_sys::Form_pg_class;
        let (kind, am) = ((*class).relkind as u8, (*class).relam);
        pg_sys::ReleaseSysCache(tuple);
        kind == pg_sys::RELKIND_MATVIEW && access_method_oid() == Some(am)
    }
}

/// Does the open relation have `relkind 'm'`?
///
/// # Safety
/// `rel` is open.
unsafe fn is_matview(rel: pg_sys::Relation) -> bool {
    // SAFETY: `rel` is open.
    unsafe { (*(*rel).rd_rel).relkind as u8 == pg_sys::RELKIND_MATVIEW }
}

/// Unquoted name of an open relation, for messages.
///
/// # Safety
/// `rel` is open.
unsafe fn relation_name(rel: pg_sys::Relation) -> String {
    // SAFETY: `rel` is open.
    unsafe { std::ffi::CStr::from_ptr((*(*rel).rd_rel).relname.data.as_ptr()).to_string_lossy().into_owned() }
}
