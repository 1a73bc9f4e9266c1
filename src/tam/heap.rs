//! PostgreSQL's own heap routine, and how its callbacks are called.
//!
//! Invariant: heap's callbacks are called from `extern "C-unwind"` frames that hold nothing with a destructor. PostgreSQL's jump may pass
//! over such a frame, so no guard is needed, and users' errors keep their context, position and constraint name.

use std::sync::OnceLock;

use pgrx::pg_sys;

/// Heap's routine: a constant of the server.
pub fn routine() -> &'static pg_sys::TableAmRoutine {
    static HEAP: OnceLock<&'static pg_sys::TableAmRoutine> = OnceLock::new();
    // SAFETY: GetHeapamTableAmRoutine returns the address of a constant that lives as long as the server.
    HEAP.get_or_init(|| unsafe { &*pg_sys::GetHeapamTableAmRoutine() })
}

/// Calls `heap::routine().$callback`.
macro_rules! heap_callback {
    ($callback:ident ( $($argument:expr),* $(,)? )) => {
        match $crate::tam::heap::routine().$callback {
            #[allow(ffi_unwind_calls)] // the frame has no destructors
            Some(callback) => callback($($argument),*),
            None => std::process::abort(), // heap implements every callback used here (tableamapi.c asserts most)
        }
    };
}
pub(crate) use heap_callback;
