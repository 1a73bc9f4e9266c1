//! Statements that write and have not ended yet.
//!
//! Their rows are visible to queries inside of them (functions, triggers), but are in no change set before their own
//! statement triggers have run. A flush in that moment sees more than the change sets tell: strategies that add changes to
//! what is stored would count those rows twice, so they must not be followed then.
//! Invariant: an entry is there from before the first row is written until after the statement's triggers have run.
//! Called by the executor and utility hooks, by transaction callbacks, and read by refresh.

use crate::pg::fault::{self, Fault};
use std::cell::RefCell;

thread_local! {
    /// (transaction nest level, address of the statement's descriptor)
    static OPEN: RefCell<Vec<(i32, usize)>> = const { RefCell::new(Vec::new()) };
}

pub fn begin(statement: usize) {
    // SAFETY: plain getter.
    let level = unsafe { pgrx::pg_sys::GetCurrentTransactionNestLevel() };
    OPEN.with(|o| o.borrow_mut().push((level, statement)));
}

pub fn end(statement: usize) {
    OPEN.with(|o| {
        let mut open = o.borrow_mut();
        if let Some(at) = open.iter().rposition(|(_, s)| *s == statement) {
            open.truncate(at);
        }
    });
}

/// Whether a statement that writes is under way.
pub fn any() -> bool {
    OPEN.with(|o| !o.borrow().is_empty()) && !fault::on(Fault::IgnoreInFlight)
}

/// A (sub)transaction at this nest level has been rolled back.
pub fn abort(level: i32) {
    OPEN.with(|o| o.borrow_mut().retain(|(l, _)| *l < level));
}
