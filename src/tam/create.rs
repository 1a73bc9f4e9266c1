//! New storage: which relations may have it, and how it is made.
//!
//! Invariant: only a materialized view, or the transient relation of a rewrite of one, ever gets storage of this access method; and no
//! TVIEW comes into being while the hooks that maintain it are not loaded.
//! Called by PostgreSQL for CREATE, rewrites and new relfilenodes.

use std::ffi::CStr;
use std::sync::atomic::Ordering;

use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::heap::heap_callback;
use super::{PRELOADED, is_matview, relation_name};
use crate::pg::callback::{Frame, Ready};

#[cfg(not(feature = "pg15"))]
use pg_sys::RelFileLocator;
#[cfg(feature = "pg15")]
use pg_sys::RelFileNode as RelFileLocator;

unsafe extern "C-unwind" {
    /// storage_xlog.h; exported by the server, not in pgrx's bindings.
    fn log_smgrcreate(locator: *const RelFileLocator, fork: pg_sys::ForkNumber::Type);
}

pub unsafe extern "C-unwind" fn relation_set_new_filelocator(
    rel: pg_sys::Relation,
    locator: *const RelFileLocator,
    persistence: std::ffi::c_char,
    freeze_xid: *mut pg_sys::TransactionId,
    min_multi: *mut pg_sys::MultiXactId,
) {
    // SAFETY: `rel` is open; `locator`, `freeze_xid` and `min_multi` point to memory of the caller.
    unsafe {
        if is_matview(rel) {
            matview_set_new_filelocator(rel, locator, persistence, freeze_xid, min_multi);
            return;
        }
        require_rewrite_target(rel);
        #[cfg(feature = "pg15")]
        heap_callback!(relation_set_new_filenode(rel, locator, persistence, freeze_xid, min_multi));
        #[cfg(not(feature = "pg15"))]
        heap_callback!(relation_set_new_filelocator(rel, locator, persistence, freeze_xid, min_multi));
    }
}

/// As heap's callback, which from 17 on asserts that an unlogged relation is no materialized view: an unlogged TVIEW needs its init fork too.
/// The init fork is logged at once, so that crash recovery finds it even if the checkpoint after creation has passed.
#[pg_guard]
unsafe extern "C-unwind" fn matview_set_new_filelocator(
    rel: pg_sys::Relation,
    locator: *const RelFileLocator,
    persistence: std::ffi::c_char,
    freeze_xid: *mut pg_sys::TransactionId,
    min_multi: *mut pg_sys::MultiXactId,
) {
    let mut frame = Frame::new();
    let _ready = Ready::with(&mut frame);
    // SAFETY: `rel` is open; `locator`, `freeze_xid` and `min_multi` point to memory of the caller.
    unsafe {
        require_hooks(rel);
        *freeze_xid = pg_sys::RecentXmin;
        *min_multi = pg_sys::GetOldestMultiXactId();
        let storage = pg_sys::RelationCreateStorage(*locator, persistence, true);
        if persistence as u8 == pg_sys::RELPERSISTENCE_UNLOGGED {
            pg_sys::smgrcreate(storage, pg_sys::ForkNumber::INIT_FORKNUM, false);
            // Inside the guard's closure, which has nothing to drop.
            #[allow(ffi_unwind_calls)]
            pg_sys::ffi::pg_guard_ffi_boundary(|| log_smgrcreate(locator, pg_sys::ForkNumber::INIT_FORKNUM));
        }
        pg_sys::smgrclose(storage);
    }
}

/// # Safety
/// `rel` is open.
unsafe fn require_hooks(rel: pg_sys::Relation) {
    // SAFETY: `rel` is open.
    unsafe {
        if PRELOADED.load(Ordering::Relaxed) || pg_sys::IsBinaryUpgrade {
            return;
        }
        ErrorReport::new(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("cannot create storage for TVIEW \"{}\" while pg_tviews is not preloaded", relation_name(rel)),
            "require_hooks",
        )
        .set_hint("Add pg_tviews to shared_preload_libraries and restart the server.")
        .report(PgLogLevel::ERROR);
    }
}

/// Anything that is not a materialized view must be the target of a rewrite of one.
#[pg_guard]
unsafe extern "C-unwind" fn require_rewrite_target(rel: pg_sys::Relation) {
    // SAFETY: `rel` is open.
    unsafe {
        let Some(source) = rewritten_matview(rel) else {
            ErrorReport::new(
                PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
                "access method \"tview\" stores materialized views only",
                "require_rewrite_target",
            )
            .set_detail(format!("Relation \"{}\" is not a materialized view.", relation_name(rel)))
            .set_hint("Use CREATE TVIEW or CREATE MATERIALIZED VIEW, or another access method.")
            .report(PgLogLevel::ERROR);
            return;
        };
        if !source.is_tview {
            require_hooks(rel); // ALTER MATERIALIZED VIEW ... SET ACCESS METHOD tview
        }
    }
}

struct Source {
    is_tview: bool,
}

/// cluster.c, make_new_heap, calls its relation `pg_temp_<oid of the original>`; `relrewrite` is only set after its storage exists. A
/// rewrite holds a lock on the original against writers; a user who creates a table of that name does not.
///
/// # Safety
/// `rel` is open.
unsafe fn rewritten_matview(rel: pg_sys::Relation) -> Option<Source> {
    // SAFETY: `rel` is open.
    unsafe {
        let name = CStr::from_ptr((*(*rel).rd_rel).relname.data.as_ptr()).to_str().ok()?;
        let oid: u32 = name.strip_prefix("pg_temp_")?.parse().ok()?;
        let original = pg_sys::RelationIdGetRelation(oid.into());
        if original.is_null() {
            return None;
        }
        let found = (is_matview(original)
            && pg_sys::CheckRelationLockedByMe(original, pg_sys::ExclusiveLock as _, true))
        .then(|| Source { is_tview: super::is_ours(original) });
        pg_sys::RelationClose(original);
        found
    }
}
