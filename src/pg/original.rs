//! Errors of users' expressions inside a flush, kept as the server raised them.
//!
//! pgrx turns an error into a Rust panic and leaves the error on the server's stack of five until its guard, where all frames are
//! unwound, throws it again. Who catches the panic on the way must take the error from that stack (`settled`): the sixth is a PANIC of the server.
//! So the SQL of a flush runs inside `keep`, which copies the server's `ErrorData` before pgrx sees the error, and the hooks run inside
//! `shield`, which hands the copy to their C frame for `ReThrowError`. An error that was caught and not kept is raised anew, with the context of where
//! that happens: lines about SQL of ours are lost. Invariant: a kept error is taken by the first shield that the same panic reaches.

use super::callback;
use crate::pg::process::process;
use pgrx::pg_sys::panic::{CaughtError, ErrorReport, ErrorReportWithLevel};
use pgrx::pg_sys::{self, ffi::pg_guard_ffi_boundary};
use pgrx::{PgLogLevel, PgSqlErrorCode};
use std::any::Any;
use std::cell::Cell;
use std::ffi::{CStr, CString, c_char};

process! {
    static KEPT: Cell<*mut pg_sys::ErrorData> = const { Cell::new(std::ptr::null_mut()) };
    /// The kept error is of a statement of the user, and needs no word about our SQL.
    static OF_USER: Cell<bool> = const { Cell::new(false) };
}

mod raw {
    use pgrx::pg_sys;
    unsafe extern "C-unwind" {
        pub fn ReThrowError(edata: *mut pg_sys::ErrorData) -> !;
        pub fn CopyErrorData() -> *mut pg_sys::ErrorData;
        pub fn pg_re_throw() -> !;
    }
}

/// Runs a server function; an error is copied, without the context line `SQL statement "…"` of SPI, and then
/// raised as usual. `line` is that context line, or null.
///
/// # Safety
/// As for `pg_guard_ffi_boundary`: `f` only calls server functions and owns nothing.
#[allow(ffi_unwind_calls)] // `f` owns nothing, and what jumps is caught here or by the guard
pub unsafe fn keep<T: Copy>(line: *const c_char, f: impl Fn() -> T) -> T {
    // SAFETY: As for `pg_guard_ffi_boundary`: `f` only calls server functions and owns nothing, as the caller promises.
    unsafe {
        KEPT.set(std::ptr::null_mut());
        let context = pg_sys::CurrentMemoryContext;
        pg_guard_ffi_boundary(|| {
            let stack = pg_sys::PG_exception_stack;
            let callbacks = pg_sys::error_context_stack;
            let mut result = std::mem::MaybeUninit::<T>::uninit();
            let jumped = cee_scape::call_with_sigsetjmp(false, |jump| {
                pg_sys::PG_exception_stack = (jump as *const cee_scape::SigJmpBufFields).cast_mut().cast();
                result.write(f());
                0
            });
            pg_sys::PG_exception_stack = stack;
            pg_sys::error_context_stack = callbacks;
            if jumped == 0 {
                return result.assume_init();
            }
            pg_sys::CurrentMemoryContext = pg_sys::TopTransactionContext;
            let error = raw::CopyErrorData();
            pg_sys::CurrentMemoryContext = context;
            remove_line((*error).context, line);
            if !(*error).context.is_null() && *(*error).context == 0 {
                (*error).context = std::ptr::null_mut();
            }
            KEPT.set(error);
            raw::pg_re_throw()
        })
    }
}

/// Runs a statement of the user for a function of ours; an error is copied, and raised as usual.
///
/// # Safety
/// As for `keep`.
pub unsafe fn keep_of_user<T: Copy>(f: impl Fn() -> T) -> T {
    OF_USER.set(true);
    // SAFETY: As for `keep`, as the caller promises.
    let result = unsafe { keep(std::ptr::null(), f) };
    OF_USER.set(false);
    result
}

/// Cuts `line` and one line break out of `text`, in place.
///
/// # Safety
/// `text` and `line` end with a NUL.
unsafe fn remove_line(text: *mut c_char, line: *const c_char) {
    // SAFETY: `text` and `line` end with a NUL.
    unsafe {
        if text.is_null() || line.is_null() {
            return;
        }
        let at = libc::strstr(text, line);
        if at.is_null() {
            return;
        }
        let mut rest = at.add(libc::strlen(line));
        if *rest == b'\n' as c_char {
            rest = rest.add(1);
        }
        libc::memmove(at.cast(), rest.cast(), libc::strlen(rest) + 1);
    }
}

/// The context line that SPI adds for a statement.
pub fn spi_line(sql: &CStr) -> std::ffi::CString {
    let line = [b"SQL statement \"".as_slice(), sql.to_bytes(), b"\""].concat();
    std::ffi::CString::new(line).unwrap_or_default()
}

/// Runs the Rust part of a hook. Gives a kept error for the hook's C frame to rethrow, or null; other panics go on.
pub fn shield(f: impl FnOnce()) -> *mut pg_sys::ErrorData {
    KEPT.set(std::ptr::null_mut());
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)) {
        Ok(()) => std::ptr::null_mut(),
        Err(panic) => {
            let panic = settled(panic);
            let kept = KEPT.replace(std::ptr::null_mut());
            if let Some(tview) = callback::hidden() {
                hide(&tview, kept, &*panic);
            }
            if kept.is_null() {
                std::panic::resume_unwind(panic);
            }
            // SAFETY: a kept error is ours.
            unsafe { explain(&mut *kept) };
            kept
        }
    }
}

/// A panic that was caught, when the error behind it, if it is one of the server, is no longer on the server's stack.
pub fn settled(panic: Box<dyn Any + Send>) -> Box<dyn Any + Send> {
    match panic.downcast::<CaughtError>() {
        Ok(caught) => match *caught {
            CaughtError::PostgresError(report) => {
                taken();
                Box::new(CaughtError::ErrorReport(report))
            }
            other => Box::new(other),
        },
        Err(panic) => panic,
    }
}

/// Takes the errors from the server's stack: they have been caught.
pub fn taken() {
    // SAFETY: no error of the server is on its way through C frames while Rust frames run.
    unsafe { pg_sys::FlushErrorState() };
}

/// Adds to an error of our SQL: which role lacks rights for an expression, and where names were looked for. The user cannot know either.
fn explain(error: &mut pg_sys::ErrorData) {
    if error.sqlerrcode == PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE as i32
        && error.detail.is_null()
        && let Some(rights) = callback::rights()
    {
        error.detail = lasting(&rights);
    }
    if !OF_USER.replace(false) && is_of_names(error.sqlerrcode) {
        error.hint = lasting(
            "TVIEWs are maintained under the search_path pg_catalog, whoever writes. A function that names something without a schema \
             needs a path of its own: ALTER FUNCTION … SET search_path = ….",
        );
    }
}

/// A text in memory that lives as long as copies of errors do.
fn lasting(text: &str) -> *mut c_char {
    // SAFETY: the context exists inside of transactions.
    unsafe {
        let text = CString::new(text).unwrap_or_default();
        pg_sys::MemoryContextStrdup(pg_sys::TopTransactionContext, text.as_ptr())
    }
}

/// As `shield`, for functions called by a query of ours: the error is not hidden yet.
pub fn carry(f: impl FnOnce()) -> *mut pg_sys::ErrorData {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)) {
        Ok(()) => std::ptr::null_mut(),
        Err(panic) => match (take(), settled(panic)) {
            (kept, panic) if kept.is_null() => std::panic::resume_unwind(panic),
            (kept, _) => kept,
        },
    }
}

/// Classes of SQLSTATEs whose messages are not about the values of rows.
const ABOUT_NO_ROW: &[&[u8; 2]] = &[b"0A", b"25", b"40", b"53", b"54", b"55", b"57", b"58", b"XX"];

/// SQLSTATE and message of an error.
pub struct Told {
    code: i32,
    pub message: String,
    pub hint: Option<String>,
}

impl Told {
    /// Whether the error is about the session or the transaction, not about the work done in it.
    pub fn is_of_session(&self) -> bool {
        [b"40", b"53", b"57", b"58"].iter().any(|c| self.code & 0xfff == class(c))
    }
}

impl Told {
    /// Whether a limit was exceeded: nested too deeply, as a function that calls itself is.
    pub fn is_of_limits(&self) -> bool {
        self.code & 0xfff == class(b"54")
    }

    /// Whether an expression has no value for some row: data exceptions, cardinality violations, errors of users' functions.
    pub fn is_of_expression(&self) -> bool {
        [b"21", b"22", b"38", b"39", b"P0"].iter().any(|c| self.code & 0xfff == class(c))
    }

    /// Whether the error is about the text of a statement, or about a value written in it.
    pub fn is_of_text(&self) -> bool {
        [b"0A", b"22", b"42"].iter().any(|c| self.code & 0xfff == class(c))
    }

    /// Whether a function, a type, a relation or a schema was not found by its name.
    pub fn is_of_names(&self) -> bool {
        is_of_names(self.code)
    }
}

fn is_of_names(code: i32) -> bool {
    use PgSqlErrorCode::*;
    [ERRCODE_UNDEFINED_FUNCTION, ERRCODE_UNDEFINED_OBJECT, ERRCODE_UNDEFINED_TABLE, ERRCODE_INVALID_SCHEMA_NAME]
        .iter()
        .any(|c| code == *c as i32)
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match &self.hint {
            Some(hint) => write!(f, "{}. {hint}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// SQLSTATE and message of an error that was caught; None for a panic that is no error of the server.
///
/// # Safety
/// `kept` is null or a kept error.
pub unsafe fn told(kept: *const pg_sys::ErrorData, panic: &(dyn Any + Send)) -> Option<Told> {
    // SAFETY: `kept` is null or a kept error, whose texts are C strings or null.
    unsafe {
        let text = |s: *const c_char| (!s.is_null()).then(|| CStr::from_ptr(s).to_string_lossy().into_owned());
        match kept.as_ref() {
            Some(e) => {
                Some(Told { code: e.sqlerrcode, message: text(e.message).unwrap_or_default(), hint: text(e.hint) })
            }
            None => report_of(panic).map(|report| Told {
                code: report.sql_error_code() as i32,
                message: report.message().to_string(),
                hint: report.hint().map(str::to_string),
            }),
        }
    }
}

/// Replaces an error that may show rows of a TVIEW by another error with its SQLSTATE, and writes its message to the server's log. Does
/// nothing to an error that may be shown.
fn hide(tview: &str, kept: *mut pg_sys::ErrorData, panic: &(dyn Any + Send)) {
    // SAFETY: null or a kept error.
    let Some(Told { code, message, .. }) = (unsafe { told(kept, panic) }) else { return };
    if ABOUT_NO_ROW.iter().any(|c| code & 0xfff == class(c)) {
        return;
    }
    let instead = format!("could not compute TVIEW {tview}");
    let detail = "What is wrong is shown to those who may read the TVIEW, and in the server log.";
    let log = format!("error in the flush of TVIEW {tview}, of which the user is told its SQLSTATE only: {message}");
    ErrorReport::new(PgSqlErrorCode::from(code), log, "hide").report(PgLogLevel::LOG_SERVER_ONLY);
    if kept.is_null() {
        ErrorReport::new(PgSqlErrorCode::from(code), instead, "hide").set_detail(detail).report(PgLogLevel::ERROR);
        return;
    }
    // SAFETY: the copy is ours, and its texts live as long as it does.
    unsafe {
        let nothing = std::ptr::null_mut();
        let error = &mut *kept;
        (error.message, error.detail) = (lasting(&instead), lasting(detail));
        (error.detail_log, error.hint, error.internalquery) = (nothing, nothing, nothing);
        (error.schema_name, error.table_name, error.column_name) = (nothing, nothing, nothing);
        (error.datatype_name, error.constraint_name) = (nothing, nothing);
        error.context = lasting(&format!("flush of TVIEW {tview}"));
    }
}

/// The report that an error is on its way through Rust frames, in the forms that pgrx gives it.
pub fn report_of(panic: &(dyn Any + Send)) -> Option<&ErrorReportWithLevel> {
    if let Some(caught) = panic.downcast_ref::<CaughtError>() {
        let (CaughtError::PostgresError(report)
        | CaughtError::ErrorReport(report)
        | CaughtError::RustPanic { ereport: report, .. }) = caught;
        return Some(report);
    }
    panic.downcast_ref::<ErrorReportWithLevel>()
}

/// The error that was kept last, or null; the caller owns it.
pub fn take() -> *mut pg_sys::ErrorData {
    OF_USER.set(false);
    KEPT.replace(std::ptr::null_mut())
}

/// Keeps an error for the next shield that the panic reaches.
pub fn put_back(error: *mut pg_sys::ErrorData) {
    KEPT.set(error);
}

fn class(code: &[u8; 2]) -> i32 {
    i32::from(code[0] - b'0') + (i32::from(code[1] - b'0') << 6)
}

/// Raises a kept error again, exactly as it was; does nothing for null.
///
/// # Safety
/// Called from a C frame without destructors.
#[allow(ffi_unwind_calls)] // the frame has no destructors
pub unsafe fn rethrow(error: *mut pg_sys::ErrorData) {
    // SAFETY: Called from a C frame without destructors, as the caller promises.
    unsafe {
        if !error.is_null() {
            raw::ReThrowError(error);
        }
    }
}
