//! Refuses row writes that are not the library's own.
//!
//! Invariant: a stored TVIEW changes only through [`super::write`] and [`super::bulk`], which call heap directly. PostgreSQL's executor
//! already refuses DML on materialized views; these callbacks stop other extensions and core's REFRESH CONCURRENTLY, which
//! know nothing of state attributes or of TVIEWs that read this TVIEW. Rewrite targets, and a view being filled by the command that creates
//! it (15 and 16 fill in place), are let through.
//! Called by PostgreSQL.
//!
//! The callbacks are frames without destructors, so heap's errors may pass through them without a guard.

use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::heap::heap_callback;
use super::{is_matview, relation_name};

/// Raises the error when `rel` is a stored TVIEW.
///
/// # Safety
/// `rel` is open.
#[inline]
unsafe fn check(rel: pg_sys::Relation) {
    // SAFETY: `rel` is open.
    unsafe {
        if is_matview(rel) && (*rel).rd_createSubid == 0
        /* InvalidSubTransactionId */
        {
            reject(rel);
        }
    }
}

#[cold]
#[pg_guard]
unsafe extern "C-unwind" fn reject(rel: pg_sys::Relation) {
    // SAFETY: `rel` is open.
    unsafe {
        ErrorReport::new(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("cannot change rows of TVIEW \"{}\" directly", relation_name(rel)),
            "reject",
        )
        .set_detail("The rows of a TVIEW follow from its defining query.")
        .set_hint("Change the tables it reads, or use tviews.rebuild().")
        .report(PgLogLevel::ERROR);
    }
}

macro_rules! checked {
    ($($callback:ident ( $($argument:ident : $type:ty),* $(,)? ) $(-> $result:ty)?;)*) => {$(
        pub unsafe extern "C-unwind" fn $callback(rel: pg_sys::Relation, $($argument: $type),*) $(-> $result)? {
            // SAFETY: the server calls this for an open relation of ours, with what heap's callback expects.
            unsafe {
                check(rel);
                heap_callback!($callback(rel, $($argument),*))
            }
        }
    )*};
}

type Slot = *mut pg_sys::TupleTableSlot;
type Bulk = *mut pg_sys::BulkInsertStateData;
#[cfg(feature = "pg15")]
type UpdateIndexes = bool;
#[cfg(not(feature = "pg15"))]
type UpdateIndexes = pg_sys::TU_UpdateIndexes::Type;

#[cfg(not(feature = "since_19"))]
type Options = i32;
#[cfg(feature = "since_19")]
type Options = u32;

checked! {
    tuple_insert(slot: Slot, cid: pg_sys::CommandId, options: Options, bulk: Bulk);
    tuple_insert_speculative(slot: Slot, cid: pg_sys::CommandId, options: Options, bulk: Bulk, token: u32);
    tuple_complete_speculative(slot: Slot, token: u32, succeeded: bool);
    multi_insert(slots: *mut Slot, count: i32, cid: pg_sys::CommandId, options: Options, bulk: Bulk);
}

#[cfg(not(feature = "since_19"))]
checked! {
    tuple_delete(
        tid: pg_sys::ItemPointer, cid: pg_sys::CommandId, snapshot: pg_sys::Snapshot, crosscheck: pg_sys::Snapshot, wait: bool,
        failure: *mut pg_sys::TM_FailureData, changing_partition: bool,
    ) -> pg_sys::TM_Result::Type;
    tuple_update(
        tid: pg_sys::ItemPointer, slot: Slot, cid: pg_sys::CommandId, snapshot: pg_sys::Snapshot, crosscheck: pg_sys::Snapshot,
        wait: bool, failure: *mut pg_sys::TM_FailureData, mode: *mut pg_sys::LockTupleMode::Type, indexes: *mut UpdateIndexes,
    ) -> pg_sys::TM_Result::Type;
}

#[cfg(feature = "since_19")]
checked! {
    tuple_delete(
        tid: pg_sys::ItemPointer, cid: pg_sys::CommandId, options: Options, snapshot: pg_sys::Snapshot, crosscheck: pg_sys::Snapshot, wait: bool,
        failure: *mut pg_sys::TM_FailureData,
    ) -> pg_sys::TM_Result::Type;
    tuple_update(
        tid: pg_sys::ItemPointer, slot: Slot, cid: pg_sys::CommandId, options: Options, snapshot: pg_sys::Snapshot, crosscheck: pg_sys::Snapshot,
        wait: bool, failure: *mut pg_sys::TM_FailureData, mode: *mut pg_sys::LockTupleMode::Type, indexes: *mut UpdateIndexes,
    ) -> pg_sys::TM_Result::Type;
}
