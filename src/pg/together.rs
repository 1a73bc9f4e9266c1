//! Server functions that a flush always calls one after the other, behind one guard.
//!
//! A guard costs more than most calls of one changed row (silent.rs). Invariant: what runs inside has nothing to drop, so an error may leave it by longjmp.
//! Called on the path of each flush.

use super::relation::Relation;
use pgrx::pg_sys::{self, ffi::pg_guard_ffi_boundary as guard};
use std::ffi::c_int;

mod raw {
    use super::*;
    unsafe extern "C-unwind" {
        // storage/lmgr/lmgr.c
        pub fn LockRelationOid(relid: pg_sys::Oid, mode: pg_sys::LOCKMODE);
        // access/common/relation.c
        pub fn try_relation_open(relid: pg_sys::Oid, mode: pg_sys::LOCKMODE) -> pg_sys::Relation;
        // access/index/indexam.c
        #[cfg(not(feature = "since_18"))]
        pub fn index_beginscan(
            heap: pg_sys::Relation,
            index: pg_sys::Relation,
            snapshot: pg_sys::Snapshot,
            keys: c_int,
            orderbys: c_int,
        ) -> pg_sys::IndexScanDesc;
        #[cfg(all(feature = "since_18", not(feature = "since_19")))]
        pub fn index_beginscan(
            heap: pg_sys::Relation,
            index: pg_sys::Relation,
            snapshot: pg_sys::Snapshot,
            instrument: *mut pg_sys::IndexScanInstrumentation,
            keys: c_int,
            orderbys: c_int,
        ) -> pg_sys::IndexScanDesc;
        #[cfg(feature = "since_19")]
        pub fn index_beginscan(
            heap: pg_sys::Relation,
            index: pg_sys::Relation,
            snapshot: pg_sys::Snapshot,
            instrument: *mut pg_sys::IndexScanInstrumentation,
            keys: c_int,
            orderbys: c_int,
            options: u32,
        ) -> pg_sys::IndexScanDesc;
        pub fn index_rescan(
            scan: pg_sys::IndexScanDesc,
            keys: pg_sys::ScanKey,
            count: c_int,
            orderbys: pg_sys::ScanKey,
            norderbys: c_int,
        );
        pub fn index_getnext_slot(
            scan: pg_sys::IndexScanDesc,
            direction: pg_sys::ScanDirection::Type,
            slot: *mut pg_sys::TupleTableSlot,
        ) -> bool;
        // access/transam/xact.c
        pub fn CommandCounterIncrement();
        // utils/time/snapmgr.c
        pub fn GetLatestSnapshot() -> pg_sys::Snapshot;
        pub fn PushActiveSnapshot(snapshot: pg_sys::Snapshot);
    }
}

/// Locks relations in ACCESS SHARE; numbers of relations that have gone are locked for nothing.
#[allow(ffi_unwind_calls)] // inside the guard's closure, which has nothing to drop
pub fn lock_to_read(relids: &[pg_sys::Oid]) {
    // SAFETY: existing relations, or locks that are for nothing.
    unsafe {
        guard(|| {
            let mut at = 0;
            while at < relids.len() {
                raw::LockRelationOid(relids[at], pg_sys::AccessShareLock as pg_sys::LOCKMODE);
                at += 1;
            }
        });
    }
}

/// A scan of an index by keys, with its relations, which are locked by the caller; None when one of them does not exist.
///
/// # Safety
/// The snapshot is active or registered until the scan is closed.
#[allow(ffi_unwind_calls)] // inside the guard's closure, which has nothing to drop
pub unsafe fn begin_scan(
    relid: pg_sys::Oid,
    index: pg_sys::Oid,
    snapshot: pg_sys::Snapshot,
    keys: c_int,
) -> Option<(pg_sys::IndexScanDesc, [Relation; 2])> {
    let no_lock = pg_sys::NoLock as pg_sys::LOCKMODE;
    // SAFETY: as the caller promises; any number may be tried.
    let (scan, relation, index) = unsafe {
        guard(|| {
            let (relation, index) = (raw::try_relation_open(relid, no_lock), raw::try_relation_open(index, no_lock));
            if relation.is_null() || index.is_null() {
                return (std::ptr::null_mut(), relation, index);
            }
            let scan = raw::index_beginscan(
                relation,
                index,
                snapshot,
                #[cfg(feature = "since_18")]
                std::ptr::null_mut(),
                keys,
                0,
                #[cfg(feature = "since_19")]
                pg_sys::ScanOptions::SO_NONE,
            );
            (scan, relation, index)
        })
    };
    // SAFETY: opened just now, or null.
    let both = unsafe { (Relation::opened(relation), Relation::opened(index)) };
    both.0.zip(both.1).map(|(relation, index)| (scan, [relation, index]))
}

/// Starts a scan anew, and puts the first row that it finds into the slot; false when there is none.
///
/// # Safety
/// The scan has so many keys; the slot is of its relation.
#[allow(ffi_unwind_calls)] // inside the guard's closure, which has nothing to drop
pub unsafe fn first(
    scan: pg_sys::IndexScanDesc,
    keys: &mut [pg_sys::ScanKeyData],
    slot: *mut pg_sys::TupleTableSlot,
) -> bool {
    let (keys, count) = (keys.as_mut_ptr(), keys.len() as c_int);
    // SAFETY: as the caller promises.
    unsafe {
        guard(|| {
            raw::index_rescan(scan, keys, count, std::ptr::null_mut(), 0);
            raw::index_getnext_slot(scan, pg_sys::ScanDirection::ForwardScanDirection, slot)
        })
    }
}

/// Makes our own writes visible, and pushes the latest snapshot.
///
/// # Safety
/// In a transaction.
#[allow(ffi_unwind_calls)] // inside the guard's closure, which has nothing to drop
pub unsafe fn push_latest_snapshot() {
    // SAFETY: as the caller promises; GetLatestSnapshot never returns null.
    unsafe {
        guard(|| {
            raw::CommandCounterIncrement();
            raw::PushActiveSnapshot(raw::GetLatestSnapshot());
        });
    }
}
