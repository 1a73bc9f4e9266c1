//! Token positions by the server's own scanner: comments, dollar quotes, `E''`, `U&""` and `standard_conforming_strings` are right by
//! construction.
//!
//! Invariant: the user sees nothing of this scan. An error ends the scan and is dropped, for the parser scans the same text again and reports it,
//! after errors of earlier statements; notices (an identifier that is too long) are dropped, too. No catalog is read and no transaction state is
//! touched: strings are parsed in failed transactions, too. The frames have no destructors: the scanner reports errors by jumping.

use std::ffi::{c_char, c_int};

use pgrx::pg_sys;

const ERROR: c_int = pgrx::PgLogLevel::ERROR as c_int;

/// Byte offsets of the tokens, ascending; memory of the current context.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Tokens {
    pub offsets: *mut usize,
    pub count: usize,
}

// Without pgrx's guards: their panics would need frames that unwind. Declared in scanner.h, palloc.h and elog.h.
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
    fn FlushErrorState();
}

/// The tokens of `text`, up to the first error that the scanner finds in it.
///
/// # Safety
/// `text` is a C string.
#[allow(ffi_unwind_calls)] // no destructors here
pub unsafe extern "C-unwind" fn tokens(text: *const c_char) -> Tokens {
    // SAFETY: `text` is a C string, as the caller promises.
    unsafe {
        let mut tokens = Tokens { offsets: std::ptr::null_mut(), count: 0 };
        let result = &raw mut tokens;
        // The stacks that PG_TRY saves, the memory context as plpgsql does, and the settings that say which messages are sent.
        let (stack, callbacks) = (pg_sys::PG_exception_stack, pg_sys::error_context_stack);
        let context = pg_sys::CurrentMemoryContext;
        let to_log = logged();
        let kept = (pg_sys::client_min_messages, *to_log);
        let jumped = cee_scape::call_with_sigsetjmp(false, |jump| {
            pg_sys::PG_exception_stack = (jump as *const cee_scape::SigJmpBufFields).cast_mut().cast();
            pg_sys::client_min_messages = ERROR;
            *to_log = ERROR;
            scan(text, result);
            0
        });
        pg_sys::PG_exception_stack = stack;
        pg_sys::error_context_stack = callbacks;
        (pg_sys::client_min_messages, *to_log) = kept;
        if jumped != 0 {
            // errfinish jumps in ErrorContext.
            pg_sys::CurrentMemoryContext = context;
            FlushErrorState();
        }
        tokens
    }
}

/// The setting that says which messages of this process are logged: one for each kind of process from 19 on.
fn logged() -> *mut c_int {
    let first = (&raw mut pg_sys::log_min_messages).cast::<c_int>();
    #[cfg(not(feature = "since_19"))]
    return first;
    #[cfg(feature = "since_19")]
    // SAFETY: an array with a place for each kind (utils/guc.h).
    unsafe {
        first.add(pg_sys::MyBackendType as usize)
    }
}

/// Scans to the end; errors jump out of it.
///
/// # Safety
/// `text` ends with a NUL; `tokens` points to memory of the caller.
#[allow(ffi_unwind_calls)] // no destructors here
unsafe fn scan(text: *const c_char, tokens: *mut Tokens) {
    // SAFETY: `text` ends with a NUL; `tokens` points to memory of the caller.
    unsafe {
        let mut state = std::mem::zeroed::<pg_sys::core_yy_extra_type>();
        let extra = &raw mut state;
        // An empty list of keywords: every word is an identifier, told apart by its text, so token numbers, which differ by version, do not matter.
        let keywords = std::mem::zeroed::<pg_sys::ScanKeywordList>();
        let scanner = scanner_init(text, extra, &keywords, std::ptr::null());

        let mut capacity = 64;
        (*tokens).offsets = palloc(capacity * size_of::<usize>()).cast();
        let mut value = std::mem::zeroed::<pg_sys::core_YYSTYPE>();
        let mut location: c_int = 0;
        while core_yylex(&mut value, &mut location, scanner) != 0 {
            if (*tokens).count == capacity {
                capacity *= 2;
                (*tokens).offsets = repalloc((*tokens).offsets.cast(), capacity * size_of::<usize>()).cast();
            }
            *(*tokens).offsets.add((*tokens).count) = location as usize;
            (*tokens).count += 1;
        }
        scanner_finish(scanner);
    }
}
