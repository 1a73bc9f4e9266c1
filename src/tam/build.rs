//! Index builds: heap's scans, run while the relation is shown as heap.
//!
//! Called by PostgreSQL for CREATE INDEX, REINDEX (also CONCURRENTLY, and in parallel workers).

use std::ffi::c_void;

use pgrx::pg_sys;

use super::heap::heap_callback;
use super::switch;

pub unsafe extern "C-unwind" fn index_build_range_scan(
    table: pg_sys::Relation,
    index: pg_sys::Relation,
    info: *mut pg_sys::IndexInfo,
    allow_sync: bool,
    any_visible: bool,
    progress: bool,
    start: pg_sys::BlockNumber,
    blocks: pg_sys::BlockNumber,
    callback: pg_sys::IndexBuildCallback,
    callback_state: *mut c_void,
    scan: pg_sys::TableScanDesc,
) -> f64 {
    // SAFETY: `table` and `index` are open; `info` points to memory of the caller; `callback_state` is what the walker was started with; `scan` was
    // begun by the server.
    unsafe {
        switch::begin(table);
        let tuples = heap_callback!(index_build_range_scan(
            table,
            index,
            info,
            allow_sync,
            any_visible,
            progress,
            start,
            blocks,
            callback,
            callback_state,
            scan
        ));
        switch::end();
        tuples
    }
}

pub unsafe extern "C-unwind" fn index_validate_scan(
    table: pg_sys::Relation,
    index: pg_sys::Relation,
    info: *mut pg_sys::IndexInfo,
    snapshot: pg_sys::Snapshot,
    state: *mut pg_sys::ValidateIndexState,
) {
    // SAFETY: `table` and `index` are open; `info` and `state` point to memory of the caller; `snapshot` is registered by the caller.
    unsafe {
        switch::begin(table);
        heap_callback!(index_validate_scan(table, index, info, snapshot, state));
        switch::end();
    }
}
