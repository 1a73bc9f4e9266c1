//! Memory put by for the time when no other memory is left.
//!
//! An error of the server is copied on its way through Rust frames, at each guard that catches it, and unwinding allocates. When there is no memory
//! for that either, the server has errors while it reports errors, and gives up with PANIC (elog.c, ERRORDATA_STACK_SIZE); and Rust ends the process
//! when a small allocation fails. So a block is set aside whenever work of ours begins, and freed as soon as "out of memory" is reported or an
//! allocation fails. Invariant: code that needed the block gets an error at the next row or frame (`check`, `require`); collections that grow
//! with the data ask before they grow (`memory::enough`).
//! Called by callback (frames), receiver, and Rust's own allocations (allocator.rs).

use super::error::Error;
use std::ffi::{c_char, c_int};
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering::Relaxed};

/// Address space only, until it is used. A memory context that has grown asks for blocks of a megabyte at least (utils/mmgr/aset.c), and an error is
/// copied into one context and then into another. Large enough to be given back to the operating system at once when it is freed.
const BYTES: usize = 4 << 20;

static BLOCK: AtomicPtr<libc::c_void> = AtomicPtr::new(std::ptr::null_mut());
/// An allocation has been made from the memory of the block.
static USED: AtomicBool = AtomicBool::new(false);

mod raw {
    use super::*;
    unsafe extern "C-unwind" {
        // utils/elog.h
        pub fn errstart(level: c_int, domain: *const c_char) -> bool;
        pub fn errcode(code: c_int) -> c_int;
        pub fn errmsg(format: *const c_char, ...) -> c_int;
        pub fn errfinish(file: *const c_char, line: c_int, function: *const c_char);
        pub fn geterrcode() -> c_int;
    }
}

/// Puts the block by, if it is not there; false when there is no memory for it.
pub fn keep() -> bool {
    if !BLOCK.load(Relaxed).is_null() {
        return true;
    }
    // SAFETY: any time.
    let block = unsafe { libc::malloc(BYTES) };
    BLOCK.store(block, Relaxed);
    USED.store(false, Relaxed);
    !block.is_null()
}

/// Frees the block; false when it is not there.
fn release() -> bool {
    let block = BLOCK.swap(std::ptr::null_mut(), Relaxed);
    // SAFETY: the block came from malloc, and nobody else has it.
    unsafe { libc::free(block) };
    !block.is_null()
}

/// As `keep`; an error when there is no memory for the block.
///
/// # Safety
/// Called from a C frame without destructors, outside of guards.
#[allow(ffi_unwind_calls)] // the frame has no destructors
pub unsafe fn require() {
    if keep() {
        return;
    }
    // SAFETY: as ereport(ERROR) does it; ErrorContext has room for this much.
    unsafe {
        if raw::errstart(pgrx::PgLogLevel::ERROR as c_int, std::ptr::null()) {
            raw::errcode(pgrx::PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY as c_int);
            raw::errmsg(c"out of memory".as_ptr());
            raw::errfinish(c"reserve.rs".as_ptr(), 0, c"require".as_ptr());
        }
    }
}

/// Raises "out of memory" when an allocation of Rust had to be made from the memory of the block.
pub fn check() {
    if USED.swap(false, Relaxed) {
        Error::OutOfMemory.raise();
    }
}

/// For callbacks of error contexts: the error that is being reported may be that there is no memory.
#[allow(ffi_unwind_calls)] // the frame has no destructors
pub fn on_error() {
    // SAFETY: an error is being reported.
    if unsafe { raw::geterrcode() } == pgrx::PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY as c_int {
        release();
    }
}

/// What an allocation has given, or what it gives when the memory of the block is free.
pub fn or_from_reserve(first: *mut u8, again: impl FnOnce() -> *mut u8) -> *mut u8 {
    if !first.is_null() || !release() {
        return first;
    }
    USED.store(true, Relaxed);
    again()
}
