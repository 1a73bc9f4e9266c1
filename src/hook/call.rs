//! A utility statement on its way through the handlers.
//!
//! Invariant: work that a handler leaves for after the statement lives as long as the statement's memory context, and is done at most once,
//! and only when the statement has succeeded. Called by the dispatcher (utility.rs) and by every handler.

use crate::pg::error::Result;
use crate::pg::ext;
use pgrx::pg_sys;

/// Work to do when the statement has succeeded.
type Then = Box<dyn FnOnce() -> Result<()>>;

/// Plain data that lives in the hook's C frame.
#[derive(Clone, Copy)]
pub struct Call {
    pub pstmt: *mut pg_sys::PlannedStmt,
    /// The client has sent the statement itself.
    pub is_top_level: bool,
    /// The handler has done everything.
    pub done: bool,
    /// The completion that the client is told; may be null.
    pub completion: *mut pg_sys::QueryCompletion,
    /// Null when there is no such work.
    then: *mut Option<Then>,
    /// Null when there is no such work.
    last: *mut Vec<Then>,
}

impl Call {
    /// # Safety
    /// The statement that the server is executing, and what it gave to its hook; the call lives no longer.
    pub unsafe fn new(
        pstmt: *mut pg_sys::PlannedStmt,
        context: pg_sys::ProcessUtilityContext::Type,
        completion: *mut pg_sys::QueryCompletion,
    ) -> Call {
        let is_top_level = context == pg_sys::ProcessUtilityContext::PROCESS_UTILITY_TOPLEVEL;
        Call { pstmt, is_top_level, done: false, completion, then: std::ptr::null_mut(), last: std::ptr::null_mut() }
    }

    /// A private copy of the statement's tree, as a `T`, which it is.
    pub fn own_tree<T>(&mut self) -> *mut T {
        // SAFETY: the statement is copied once, into the context of the call.
        unsafe {
            self.pstmt = ext::copy(self.pstmt);
            (*self.pstmt).utilityStmt.cast()
        }
    }

    /// Sets the work of the statement's handler for after the statement, in the place of work set before.
    pub fn then(&mut self, f: impl FnOnce() -> Result<()> + 'static) {
        self.then = keep(Some(Box::new(f)));
    }

    /// Adds work to do behind that of `then`, one after the other.
    pub fn at_last(&mut self, f: impl FnOnce() -> Result<()> + 'static) {
        if self.last.is_null() {
            self.last = keep(Vec::new());
        }
        // SAFETY: kept for the statement, and used by this call only.
        unsafe { (*self.last).push(Box::new(f)) };
    }

    /// The statement has succeeded: does the work.
    pub fn finish(&mut self) -> Result<()> {
        // SAFETY: kept for the statement, and used by this call only.
        let (then, last) = unsafe {
            let then = self.then.as_mut().and_then(Option::take);
            (then, self.last.as_mut().map(std::mem::take).unwrap_or_default())
        };
        then.into_iter().chain(last).try_for_each(|f| f())
    }
}

/// A value that lives as long as the statement's memory context.
fn keep<T>(value: T) -> *mut T {
    pgrx::PgMemoryContexts::CurrentMemoryContext.leak_and_drop_on_delete(value)
}
