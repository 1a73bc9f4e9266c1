//! Work in a sub-transaction of its own that may fail on a value, as a block with EXCEPTION in PL/pgSQL.
//!
//! Invariant: whatever happens, the sub-transaction is over afterwards, and the memory context and the resource owner are those from before. Work
//! that only reads costs no transaction id. Called by refresh. Source: plpgsql/src/pl_exec.c, exec_stmt_block.

use super::original;
use pgrx::pg_sys;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// The result of `f`, after all work of `f` has been rolled back. An error goes on after that.
pub fn undone<T>(f: impl FnOnce() -> T) -> T {
    match run(f, |_| false) {
        Ok(result) => result,
        Err((panic, error)) => {
            original::put_back(error);
            resume_unwind(panic)
        }
    }
}

/// The result of `f`; None when an expression in it failed. Other errors go on.
pub fn attempt<T>(f: impl FnOnce() -> T) -> Option<T> {
    failed(run(f, |done| done), original::Told::is_of_expression).ok()
}

/// The result of `f`, which parses a text; the error's message when the text is no query. Other errors go on.
pub fn parse<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    failed(run(f, |done| done), original::Told::is_of_text).map_err(|told| told.message)
}

/// The result of `f`, or the error that it ended with, after its work has been rolled back. Errors that are not about the work of `f` go on
/// (cancelled, out of memory, deadlock, cannot serialize), and so do errors for which `more` is true.
pub fn told<T>(more: fn(&original::Told) -> bool, f: impl FnOnce() -> T) -> Result<T, original::Told> {
    failed(run(f, |done| done), |told| !told.is_of_session() && !more(told))
}

/// The same; what has only read is rolled back, too, and so holds no lock any longer.
pub fn told_of_reading<T>(more: fn(&original::Told) -> bool, f: impl FnOnce() -> T) -> Result<T, original::Told> {
    // SAFETY: plain getter.
    let has_written = || unsafe { pg_sys::GetCurrentTransactionIdIfAny() } != pg_sys::InvalidTransactionId;
    failed(run(f, |done| done && has_written()), |told| !told.is_of_session() && !more(told))
}

/// The error of work that failed, when it is `expected`. Others go on.
fn failed<T>(done: Result<T, Failure>, expected: impl Fn(&original::Told) -> bool) -> Result<T, original::Told> {
    done.or_else(|(panic, error)| {
        // SAFETY: null, or a copy of an error that nobody else has.
        match unsafe { original::told(error, &*panic) } {
            Some(told) if expected(&told) => Err(told),
            _ => {
                original::put_back(error);
                resume_unwind(panic)
            }
        }
    })
}

/// The panic of an error, and the kept copy of the error itself.
type Failure = (Box<dyn Any + Send>, *mut pg_sys::ErrorData);

/// Runs `f` in a sub-transaction that is released when `keep` is true of its success, asked inside of it.
///
/// Two levels: when the inner one is rolled back while the transaction commits, its parent must be a sub-transaction:
/// RollbackAndReleaseCurrentSubTransaction asserts it, though BeginInternalSubTransaction (xact.c) allows more.
fn run<T>(f: impl FnOnce() -> T, keep: impl Fn(bool) -> bool) -> Result<T, Failure> {
    // SAFETY: inside a transaction; the context and owner from before are put back.
    let (context, owner) = unsafe {
        let before = (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner);
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        pg_sys::CurrentMemoryContext = before.0;
        before
    };
    let done = catch_unwind(AssertUnwindSafe(f)).map_err(original::settled);
    let error = if done.is_err() { original::take() } else { std::ptr::null_mut() };
    // SAFETY: the sub-transactions are those begun above: whatever `f` began within them has ended or is rolled back with them.
    unsafe {
        if keep(done.is_ok()) {
            pg_sys::ReleaseCurrentSubTransaction();
        } else {
            pg_sys::RollbackAndReleaseCurrentSubTransaction();
        }
        pg_sys::ReleaseCurrentSubTransaction();
        pg_sys::CurrentMemoryContext = context;
        pg_sys::CurrentResourceOwner = owner;
    }
    done.map_err(|panic| (panic, error))
}
