//! Token positions by the server's own scanner: comments, dollar quotes, `E''`, `U&""` and `standard_conforming_strings` are right by
//! construction.
//!
//! Invariant: no destructors in these frames (the scanner reports errors by jumping), and nothing is reported twice: the parser scans the
//! same text again.

use std::ffi::{c_char, c_int};

use pgrx::pg_sys;

/// Byte offsets of the tokens, ascending; memory of the current context.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Tokens {
    pub offsets: *mut usize,
    pub count: usize,
}

// Without pgrx's guards: users' errors pass unchanged. Declared in scanner.h and palloc.h.
unsafe extern "C-unwind" {
    fn scanner_init(
        text: *const c_char,
        extra: *mut pg_sys::core_yy_extra_type,
        keywords: *const pg_sys::ScanKeywordList,
        keyword_tokens: *const u16,
    ) -> pg_sys::core_yyscan_t;
    fn core_yylex(value: *mut pg_sys::core_YYSTYPE, location: *mut c_int, scanner: pg_sys::core_yyscan_t) -> c_int;
    fn scanner_finish(scanner: pg_sys::core_yyscan_t);
    fn palloc(size: usize) -> *mut std::ffi::c_void;
    fn repalloc(pointer: *mut std::ffi::c_void, size: usize) -> *mut std::ffi::c_void;
}

/// # Safety
/// `text` is a C string; called from frames without destructors.
#[allow(ffi_unwind_calls)] // see the invariant
pub unsafe extern "C-unwind" fn tokens(text: *const c_char) -> Tokens {
    let mut state = std::mem::zeroed::<pg_sys::core_yy_extra_type>();
    let extra = &raw mut state;
    // An empty list of keywords: every word is an identifier, told apart by its text, so token numbers, which differ by version, do not matter.
    let keywords = std::mem::zeroed::<pg_sys::ScanKeywordList>();
    let scanner = scanner_init(text, extra, &keywords, std::ptr::null());
    (*extra).escape_string_warning = false;

    let mut capacity = 64;
    let mut tokens = Tokens { offsets: palloc(capacity * size_of::<usize>()).cast(), count: 0 };
    let mut value = std::mem::zeroed::<pg_sys::core_YYSTYPE>();
    let mut location: c_int = 0;
    while core_yylex(&mut value, &mut location, scanner) != 0 {
        if tokens.count == capacity {
            capacity *= 2;
            tokens.offsets = repalloc(tokens.offsets.cast(), capacity * size_of::<usize>()).cast();
        }
        *tokens.offsets.add(tokens.count) = location as usize;
        tokens.count += 1;
    }
    scanner_finish(scanner);
    tokens
}
