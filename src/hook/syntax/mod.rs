//! Native syntax: makes `CREATE TVIEW` and its relatives acceptable to an unmodified server's parser.
//!
//! Invariant: text without a TVIEW statement reaches the server's parser unchanged, errors of the parser reach the user unchanged, and every
//! position in a tree or message refers to the text as the user wrote it.
//! Called by PostgreSQL for every query string, from `init` on. See README.md.

mod complaint;
mod header;
mod rewrite;
mod scan;
mod search;

use std::ffi::{c_char, CStr};
use std::sync::atomic::{AtomicPtr, Ordering};

use pgrx::pg_sys;
use pgrx::prelude::*;

use complaint::Complaint;
use header::Header;

type RawParser = unsafe extern "C-unwind" fn(*const c_char, pg_sys::RawParseMode::Type) -> *mut pg_sys::List;

/// The server's own parser, behind the jump; null until installed.
static TRAMPOLINE: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());

/// Redirects the server's `raw_parser` to [`raw_parser`]. Call once, from `_PG_init` in the postmaster: backends inherit it. Where code pages
/// cannot be made writable it logs one warning, and everything but the native syntax works.
pub fn init() {
    if installed() {
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

/// Is the native syntax available in this process?
pub fn installed() -> bool {
    !TRAMPOLINE.load(Ordering::Relaxed).is_null()
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
        let detour = detour::RawDetour::new(target.cast_const().cast(), raw_parser as RawParser as *const ())
            .map_err(|e| e.to_string())?;
        // Before the first jump: the detour calls it.
        TRAMPOLINE.store(detour.trampoline().cast_mut(), Ordering::Relaxed);
        if let Err(error) = detour.enable() {
            TRAMPOLINE.store(std::ptr::null_mut(), Ordering::Relaxed);
            return Err(error.to_string());
        }
        // Dropping it would remove the jump.
        std::mem::forget(detour);
    }
    Ok(())
}

/// What every query string goes through instead of the server's `raw_parser`. No destructors here or in [`parse`]: PostgreSQL's errors jump
/// over both frames.
unsafe extern "C-unwind" fn raw_parser(text: *const c_char, mode: pg_sys::RawParseMode::Type) -> *mut pg_sys::List {
    if mode == pg_sys::RawParseMode::RAW_PARSE_DEFAULT && search::may_concern_tviews(CStr::from_ptr(text).to_bytes()) {
        return parse(text, mode);
    }
    server_parser(text, mode)
}

#[inline(always)]
#[allow(ffi_unwind_calls)] // the callers' frames have no destructors
unsafe fn server_parser(text: *const c_char, mode: pg_sys::RawParseMode::Type) -> *mut pg_sys::List {
    // SAFETY: set before the detour was enabled, never cleared after.
    let parser = std::mem::transmute::<*mut (), RawParser>(TRAMPOLINE.load(Ordering::Relaxed));
    parser(text, mode)
}

#[cold]
unsafe extern "C-unwind" fn parse(text: *const c_char, mode: pg_sys::RawParseMode::Type) -> *mut pg_sys::List {
    let tokens = scan::tokens(text);
    let prepared = prepare(text, tokens);
    let trees = server_parser(prepared.text, mode);
    let complaint = convert(text, trees, prepared);
    if !complaint.message.is_null() {
        complaint::raise(text, complaint);
    }
    trees
}

/// The text to parse and the TVIEW statements in it; memory of the current context.
#[derive(Clone, Copy)]
#[repr(C)]
struct Prepared {
    text: *const c_char,
    headers: *const Header,
    count: usize,
}

#[pg_guard]
unsafe extern "C-unwind" fn prepare(text: *const c_char, tokens: scan::Tokens) -> Prepared {
    let bytes = CStr::from_ptr(text).to_bytes();
    let mut copy = bytes.to_vec();
    let headers = header::overwrite(&mut copy, std::slice::from_raw_parts(tokens.offsets, tokens.count));
    if headers.is_empty() {
        return Prepared { text, headers: std::ptr::null(), count: 0 };
    }
    let parsed = pg_sys::palloc0(copy.len() + 1).cast::<u8>();
    std::ptr::copy_nonoverlapping(copy.as_ptr(), parsed, copy.len());
    let kept = pg_sys::palloc0(size_of_val(headers.as_slice())).cast::<Header>();
    std::ptr::copy_nonoverlapping(headers.as_ptr(), kept, headers.len());
    Prepared { text: parsed.cast(), headers: kept, count: headers.len() }
}

#[pg_guard]
unsafe extern "C-unwind" fn convert(text: *const c_char, trees: *mut pg_sys::List, prepared: Prepared) -> Complaint {
    let headers = if prepared.count == 0 { &[] } else { std::slice::from_raw_parts(prepared.headers, prepared.count) };
    for header in headers {
        if let Err(message) = rewrite::statement(trees, header, CStr::from_ptr(text).count_bytes()) {
            return Complaint::syntax(message.as_ptr(), header.word as i32);
        }
    }
    rewrite::unlogged_matviews(trees);
    Complaint::NONE
}
