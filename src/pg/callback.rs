//! One error context callback for all hooks: adds the cursor position of a refused construct and the context line
//! `flush of TVIEW schema.name`, before it `stage name` for an error in a stage.
//!
//! Why static state: pgrx raises errors again when all Rust frames are unwound, so data for the report must outlive these
//! frames. The hooks push `Frame` in a C-unwind frame without destructors, outside of the guarded code.
//! Invariant: the position is cleared whenever a frame is pushed and when it is used; the name when its flush is over,
//! or when its (sub)transaction has aborted.

use super::tree::Text;
use super::{name, reserve};
use crate::pg::process::process;
use pgrx::pg_sys;
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::rc::Rc;

process! {
    static POSITION: Cell<c_int> = const { Cell::new(0) };
    static FLUSHING: RefCell<Option<Flushing>> = const { RefCell::new(None) };
}

unsafe extern "C-unwind" {
    fn errposition(cursorpos: c_int) -> c_int;
    fn set_errcontext_domain(domain: *const c_char) -> c_int;
    fn errcontext_msg(fmt: *const c_char, ...) -> c_int;
}

/// Text of the statement whose hook is running, or null. It is found by the server's stack of error contexts, so it is gone with the
/// hook's frame, however the frame ended.
pub fn source() -> *const c_char {
    // SAFETY: entries of the stack are in frames that are still there.
    unsafe {
        let mut entry = pg_sys::error_context_stack;
        while !entry.is_null() {
            if (*entry).callback.is_some_and(|c| std::ptr::fn_addr_eq(c, report as Callback)) {
                return (*entry).arg.cast();
            }
            entry = (*entry).previous;
        }
    }
    std::ptr::null()
}

/// `source` as a text of the server.
pub fn source_text() -> Text {
    // SAFETY: null, or the text of the statement that is executed.
    unsafe { Text::new(source().cast_mut()) }
}

type Callback = unsafe extern "C-unwind" fn(*mut c_void);

/// Makes the next error point at byte `location` of the statement being executed.
pub fn set_error_location(location: i32) {
    let source = source();
    if location < 0 || source.is_null() {
        return;
    }
    // SAFETY: the query string of the statement whose hook is on the stack.
    unsafe {
        let text = CStr::from_ptr(source);
        if location as usize <= text.to_bytes().len() {
            POSITION.set(pg_sys::pg_mbstrlen_with_len(source, location) + 1);
        }
    }
}

/// What errors of a flush name.
pub struct Names {
    tview: CString,
    stage: Option<CString>,
    /// The role with whose rights the flush runs.
    owner: String,
}

impl Names {
    /// `root`: the user's TVIEW; `oid`: the TVIEW or the stage that is flushed.
    pub fn of(root: pg_sys::Oid, oid: pg_sys::Oid, owner: String) -> Option<Names> {
        let shown = |oid| name::relation(oid).and_then(|n| CString::new(n).ok());
        let stage = if oid == root { None } else { shown(oid) };
        Some(Names { tview: shown(root)?, stage, owner })
    }
}

/// The TVIEW that is being flushed, for readers of the flush's errors.
#[derive(Clone)]
pub struct Flushing {
    names: Rc<Names>,
    /// The user who writes may not read the TVIEW, and so not see its rows in errors.
    pub hidden: bool,
}

impl Flushing {
    pub fn of(names: Rc<Names>) -> Flushing {
        Flushing { names, hidden: false }
    }
}

/// Sets the flush for the context lines; `None` when the flush is done.
pub fn set_flushing(flushing: Option<Flushing>) {
    FLUSHING.with(|f| *f.borrow_mut() = flushing);
}

/// The rights with which the flush of an error runs, as a text.
pub fn rights() -> Option<String> {
    FLUSHING.with(|f| match f.try_borrow().as_deref() {
        Ok(Some(f)) => Some(format!(
            "The flush of TVIEW {} runs with the rights of role \"{}\", its owner.",
            f.names.tview.to_string_lossy(),
            f.names.owner
        )),
        _ => None,
    })
}

/// The TVIEW whose errors must not be shown as they are.
pub fn hidden() -> Option<String> {
    FLUSHING.with(|f| match f.try_borrow().as_deref() {
        Ok(Some(f)) if f.hidden => Some(f.names.tview.to_string_lossy().into_owned()),
        _ => None,
    })
}

/// Nothing is being reported or flushed any more.
pub fn forget() {
    POSITION.set(0);
    set_flushing(None);
}

/// An `ErrorContextCallback` to be kept in the frame of the calling hook.
pub struct Frame(pg_sys::ErrorContextCallback);

impl Frame {
    pub fn new() -> Frame {
        // SAFETY: plain old data, filled in by push().
        Frame(unsafe { std::mem::zeroed() })
    }

    /// # Safety
    /// `self` must stay where it is until `pop`, or until an error unwinds past it.
    pub unsafe fn push(&mut self, source: *const c_char) {
        // SAFETY: `self` must stay where it is until `pop`, or until an error unwinds past it, as the caller promises.
        unsafe {
            POSITION.set(0);
            self.0.previous = pg_sys::error_context_stack;
            self.0.callback = Some(report);
            reserve::keep();
            self.0.arg = source.cast_mut().cast();
            pg_sys::error_context_stack = &mut self.0;
        }
    }

    /// # Safety
    /// The frame is on top of the stack.
    pub unsafe fn pop(&mut self) {
        // SAFETY: The frame is on top of the stack, as the caller promises.
        unsafe {
            pg_sys::error_context_stack = self.0.previous;
        }
    }
}

/// For guarded code that the server calls in the middle of a statement: holds memory for an error, and frees the memory when there is one.
pub struct Ready<'a>(&'a mut Frame);

impl Ready<'_> {
    /// Ends with the value, also by unwinding.
    pub fn with(frame: &mut Frame) -> Ready<'_> {
        // SAFETY: plain globals; the frame stays where it is as long as it is borrowed.
        unsafe {
            frame.0.previous = pg_sys::error_context_stack;
            frame.0.callback = Some(ready);
            pg_sys::error_context_stack = &mut frame.0;
        }
        reserve::keep();
        Ready(frame)
    }
}

impl Drop for Ready<'_> {
    fn drop(&mut self) {
        // SAFETY: pushed by `with`.
        unsafe { pg_sys::error_context_stack = self.0.0.previous };
    }
}

unsafe extern "C-unwind" fn ready(_arg: *mut c_void) {
    reserve::on_error();
}

#[allow(ffi_unwind_calls)] // the names are in server memory; the frame has no destructors
unsafe extern "C-unwind" fn report(_arg: *mut c_void) {
    // SAFETY: called by the server while it reports an error; the entry below ours is the one from before.
    unsafe {
        reserve::on_error();
        let position = POSITION.replace(0);
        if position > 0 {
            errposition(position);
        }
        // Copied into server memory first: errcontext_msg may raise, and must not pass a frame with destructors.
        let (stage, name) = flushing();
        set_errcontext_domain(std::ptr::null());
        if !stage.is_null() {
            errcontext_msg(c"stage %s".as_ptr(), stage);
        }
        if !name.is_null() {
            errcontext_msg(c"flush of TVIEW %s".as_ptr(), name);
        }
    }
}

/// Names of the stage and of the TVIEW, or null.
fn flushing() -> (*const c_char, *const c_char) {
    // SAFETY: pstrdup in the error context, which is current while callbacks run.
    let copy = |s: &CString| unsafe { pg_sys::pstrdup(s.as_ptr()).cast_const() };
    FLUSHING.with(|f| match f.try_borrow().as_deref() {
        Ok(Some(f)) => (f.names.stage.as_ref().map_or(std::ptr::null(), copy), copy(&f.names.tview)),
        _ => (std::ptr::null(), std::ptr::null()),
    })
}
