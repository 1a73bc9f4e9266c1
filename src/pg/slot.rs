//! Values of a tuple slot.

use super::silent;
use pgrx::pg_sys;

/// All values and null flags of a slot; valid until the slot changes. Source: executor/tuptable.h, slot_getallattrs.
///
/// # Safety
/// `slot` holds a tuple.
pub unsafe fn all<'a>(slot: *mut pg_sys::TupleTableSlot) -> (&'a [pg_sys::Datum], &'a [bool]) {
    // SAFETY: `slot` holds a tuple, as the caller promises.
    unsafe {
        let n = (*(*slot).tts_tupleDescriptor).natts;
        if i32::from((*slot).tts_nvalid) < n {
            silent::slot_getsomeattrs_int(slot, n);
        }
        (
            std::slice::from_raw_parts((*slot).tts_values, n as usize),
            std::slice::from_raw_parts((*slot).tts_isnull, n as usize),
        )
    }
}

/// `ExecClearTuple`, which is an inline function in C.
///
/// # Safety
/// `slot` is valid.
#[allow(ffi_unwind_calls)] // inside the guard's closure, which has nothing to drop
pub unsafe fn clear(slot: *mut pg_sys::TupleTableSlot) {
    // SAFETY: `slot` is valid, as the caller promises.
    unsafe {
        if let Some(callback) = (*(*slot).tts_ops).clear {
            pg_sys::ffi::pg_guard_ffi_boundary(|| callback(slot));
        }
    }
}
