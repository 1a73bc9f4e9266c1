//! Redirects the server's `raw_parser` to ours, and the way back. All that is used of the crate `detour` is used here: it writes into the
//! server's code (docs/internals/decisions/detour.md).
//!
//! Invariant: the way back is known before the jump is written, and is never taken away.

use std::ffi::c_char;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::pg::guc::SYNTAX_WORKS;
use pgrx::pg_sys;
use pgrx::prelude::*;

pub type RawParser = unsafe extern "C-unwind" fn(*const c_char, pg_sys::RawParseMode::Type) -> *mut pg_sys::List;

/// The server's own parser, behind the jump; null until installed.
static TRAMPOLINE: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());

/// Redirects the server's `raw_parser`. Call once, from `_PG_init` in the postmaster: backends inherit it. Where code pages cannot be made
/// writable it logs one warning, and everything but the native syntax works.
pub fn init() {
    if SYNTAX_WORKS.load(Ordering::Relaxed) {
        return;
    }
    if let Err(reason) = install() {
        ereport!(
            WARNING,
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            "pg_tviews cannot provide CREATE TVIEW on this server",
            format!("{reason}. CREATE MATERIALIZED VIEW ... USING tview works.")
        );
    }
}

fn install() -> Result<(), String> {
    // The symbol itself: pg_sys::raw_parser is a Rust wrapper around it.
    // SAFETY: a lookup by name.
    let target = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"raw_parser".as_ptr()) };
    if target.is_null() {
        return Err("The server does not export raw_parser".into());
    }
    // SAFETY: both have the signature of RawParser (parser.h), and the postmaster has one thread.
    unsafe {
        let detour =
            detour::RawDetour::new(target.cast_const().cast(), super::parser::raw_parser as RawParser as *const ())
                .map_err(|e| e.to_string())?;
        // Before the first jump: the detour calls it.
        let trampoline = detour.trampoline().cast_mut();
        TRAMPOLINE.store(trampoline, Ordering::Relaxed);
        let enabled = detour.enable();
        // Dropping it would remove the jump, or, when the jump was written and only the pages' protection could not be put back, the way back.
        std::mem::forget(detour);
        enabled.map_err(|error| error.to_string())?;
        seal(trampoline);
    }
    SYNTAX_WORKS.store(true, Ordering::Relaxed);
    Ok(())
}

/// Takes write access from the page with the way back, which `detour` maps as writable and executable. Where that fails the page stays writable.
///
/// # Safety
/// The detour that owns the page is never changed again.
unsafe fn seal(trampoline: *mut ()) {
    // SAFETY: The detour that owns the page is never changed again, as the caller promises.
    unsafe {
        let size = libc::sysconf(libc::_SC_PAGESIZE) as usize;
        libc::mprotect(trampoline.map_addr(|at| at & !(size - 1)).cast(), size, libc::PROT_READ | libc::PROT_EXEC);
    }
}

/// The server's own `raw_parser`.
///
/// # Safety
/// As for `raw_parser`, and only from our own, for that has been jumped to; from frames without destructors.
#[inline(always)]
#[allow(ffi_unwind_calls)] // the callers' frames have no destructors
pub unsafe fn server_parser(text: *const c_char, mode: pg_sys::RawParseMode::Type) -> *mut pg_sys::List {
    // SAFETY: the caller promises: as for `raw_parser`, and only from our own, for that has been jumped to; from frames without destructors.
    unsafe {
        // SAFETY: set before the detour was enabled, never cleared after.
        let parser = std::mem::transmute::<*mut (), RawParser>(TRAMPOLINE.load(Ordering::Relaxed));
        parser(text, mode)
    }
}
