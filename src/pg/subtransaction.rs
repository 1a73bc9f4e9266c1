//! Work in a sub-transaction of its own that may fail on a value, as a block with EXCEPTION in PL/pgSQL.
//!
//! Invariant: whatever happens, the sub-transaction is over afterwards, and the memory context and the resource owner are those from before. Work
//! that only reads costs no transaction id. Called by refresh. Source: plpgsql/src/pl_exec.c, exec_stmt_block.

use super::original;
use pgrx::pg_sys;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};

/// What `f` gives; None when an expression in it failed. Other errors go on.
///
/// Two levels: when the inner one is rolled back while the transaction commits, its parent must be a sub-transaction. That is what
/// RollbackAndReleaseCurrentSubTransaction asserts, though BeginInternalSubTransaction (xact.c) allows more.
pub fn attempt<T>(f: impl FnOnce() -> T) -> Option<T> {
    // SAFETY: inside a transaction; what was current is put back.
    let (context, owner) = unsafe {
        let before = (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner);
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        pg_sys::CurrentMemoryContext = before.0;
        before
    };
    let done = catch_unwind(AssertUnwindSafe(f));
    let error = if done.is_err() { original::take() } else { std::ptr::null_mut() };
    // SAFETY: the sub-transactions are those begun above: whatever `f` began within them has ended or is rolled back with them.
    unsafe {
        if done.is_ok() {
            pg_sys::ReleaseCurrentSubTransaction();
        } else {
            pg_sys::RollbackAndReleaseCurrentSubTransaction();
        }
        pg_sys::ReleaseCurrentSubTransaction();
        pg_sys::CurrentMemoryContext = context;
        pg_sys::CurrentResourceOwner = owner;
    }
    match done {
        Ok(result) => Some(result),
        // SAFETY: a copy of an error, which nobody else has.
        Err(_) if unsafe { original::is_of_expression(error) } => None,
        Err(panic) => {
            original::put_back(error);
            resume_unwind(panic)
        }
    }
}
