//! The routine itself: a copy of heap's with the callbacks that must differ, and its SQL-callable handler.
//!
//! Invariant: the address is constant for the life of the backend, so it identifies our relations.
//! Called by PostgreSQL through `pg_am.amhandler`.

use std::sync::OnceLock;

use pgrx::pg_sys;
use pgrx::prelude::*;

#[cfg(not(feature = "since_19"))]
use super::fetch;
use super::{build, create, heap, reject, rewrite, state};

static ROUTINE: OnceLock<pg_sys::TableAmRoutine> = OnceLock::new();

/// Is this the routine of the access method `tview`?
pub fn is_ours(routine: *const pg_sys::TableAmRoutine) -> bool {
    ROUTINE.get().is_some_and(|ours| std::ptr::eq(ours, routine))
}

pub fn routine() -> &'static pg_sys::TableAmRoutine {
    ROUTINE.get_or_init(|| {
        let mut routine = *heap::routine();
        routine.tuple_insert = Some(reject::tuple_insert);
        routine.tuple_insert_speculative = Some(reject::tuple_insert_speculative);
        routine.tuple_complete_speculative = Some(reject::tuple_complete_speculative);
        routine.multi_insert = Some(reject::multi_insert);
        routine.tuple_delete = Some(reject::tuple_delete);
        routine.tuple_update = Some(reject::tuple_update);
        #[cfg(feature = "pg15")]
        {
            routine.relation_set_new_filenode = Some(create::relation_set_new_filelocator);
        }
        #[cfg(not(feature = "pg15"))]
        {
            routine.relation_set_new_filelocator = Some(create::relation_set_new_filelocator);
        }
        #[cfg(not(feature = "since_19"))]
        {
            routine.index_fetch_tuple = Some(fetch::index_fetch_tuple);
        }
        routine.relation_copy_for_cluster = Some(rewrite::relation_copy_for_cluster);
        routine.index_build_range_scan = Some(build::index_build_range_scan);
        routine.index_validate_scan = Some(build::index_validate_scan);
        routine.relation_needs_toast_table = Some(state::needs_toast_table);
        routine.relation_toast_am = Some(relation_toast_am);
        routine
    })
}

/// TOAST tables stay heap: heap's own callback would name the access method of the main relation.
unsafe extern "C-unwind" fn relation_toast_am(_rel: pg_sys::Relation) -> pg_sys::Oid {
    pg_sys::HEAP_TABLE_AM_OID
}

/// `CREATE ACCESS METHOD tview TYPE TABLE HANDLER tviews.am_handler`
#[unsafe(no_mangle)]
#[pg_guard]
pub extern "C-unwind" fn tviews_am_handler(_fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    pg_sys::Datum::from(std::ptr::from_ref(routine()))
}

/// Version 1 calling convention of [`tviews_am_handler`], read by fmgr.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_finfo_tviews_am_handler() -> &'static pg_sys::Pg_finfo_record {
    const V1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &V1
}
