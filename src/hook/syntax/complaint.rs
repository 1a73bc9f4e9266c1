//! A syntax error of ours, reported with its position as the grammar does.

use std::ffi::{c_char, c_int};

/// The message (null for no error) and the byte offset of the error.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Complaint {
    pub message: *const c_char,
    pub offset: c_int,
}

impl Complaint {
    pub const NONE: Complaint = Complaint { message: std::ptr::null(), offset: 0 };
}

// Without pgrx's guards: the report must leave as PostgreSQL's own. Declared in elog.h and pg_wchar.h.
unsafe extern "C-unwind" {
    fn errstart(level: c_int, domain: *const c_char) -> bool;
    fn errcode(code: c_int) -> c_int;
    fn errmsg(format: *const c_char, ...) -> c_int;
    fn errposition(position: c_int) -> c_int;
    fn errfinish(file: *const c_char, line: c_int, function: *const c_char);
    fn pg_mbstrlen_with_len(text: *const c_char, limit: c_int) -> c_int;
}

/// Raises the complaint; does not return.
///
/// # Safety
/// `text` is the query string; called from frames without destructors.
#[allow(ffi_unwind_calls)] // no destructors here
pub unsafe extern "C-unwind" fn raise(text: *const c_char, complaint: Complaint) {
    // SAFETY: the caller promises: `text` is the query string; called from frames without destructors.
    unsafe {
        if errstart(pgrx::PgLogLevel::ERROR as c_int, std::ptr::null()) {
            errcode(pgrx::PgSqlErrorCode::ERRCODE_SYNTAX_ERROR as c_int);
            errmsg(c"%s".as_ptr(), complaint.message);
            errposition(pg_mbstrlen_with_len(text, complaint.offset) + 1);
        }
        errfinish(concat!(file!(), "\0").as_ptr().cast(), line!() as c_int, c"raise".as_ptr());
    }
}
