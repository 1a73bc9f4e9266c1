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

/// `ExecClearTuple`, which is an inline function in C. The kinds of slots of the server free memory and give a pin back, and raise no error
/// (executor/execTuples.c), so there is no guard.
///
/// # Safety
/// `slot` is valid, and of a kind of the server.
pub unsafe fn clear(slot: *mut pg_sys::TupleTableSlot) {
    // SAFETY: `slot` is valid, as the caller promises; the same function, which does not unwind.
    unsafe {
        let callback: Option<unsafe extern "C-unwind" fn(*mut pg_sys::TupleTableSlot)> = (*(*slot).tts_ops).clear;
        let silent: Option<unsafe extern "C" fn(*mut pg_sys::TupleTableSlot)> = std::mem::transmute(callback);
        if let Some(clear) = silent {
            clear(slot);
        }
    }
}
