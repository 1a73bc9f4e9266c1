//! Statements that write and have not ended yet.
//!
//! Rows written by such a statement are visible to queries inside of it (functions, triggers), but are in no change set before its
//! statement triggers have run. A flush at that moment sees more rows than the change sets have: strategies that add changes to
//! the stored rows would count those rows twice, so they must not be followed.
//! Invariant: an entry is there from before the first row is written until after the statement's triggers have run.
//! Called by the executor and utility hooks, by xact, and read by refresh.

use crate::pg::fault::{self, Fault};
use crate::pg::process::process;
use std::cell::RefCell;
use tviews_core::by_subxact::BySubxact;

process! {
    /// Addresses of the statements' descriptors.
    static OPEN: RefCell<BySubxact<usize>> = const { RefCell::new(BySubxact::new()) };
}

pub fn begin(statement: usize) {
    OPEN.with(|o| o.borrow_mut().push(super::depth(), statement));
}

/// Statements that were begun inside of this statement have ended, too.
pub fn end(statement: usize) {
    OPEN.with(|o| {
        let mut open = o.borrow_mut();
        if open.iter().any(|(_, s)| *s == statement) {
            while open.pop().is_some_and(|s| s != statement) {}
        }
    });
}

/// Whether a statement that writes is under way.
pub fn any() -> bool {
    OPEN.with(|o| !o.borrow().is_empty()) && !fault::on(Fault::IgnoreInFlight)
}

/// Sub-transaction callbacks, see xact.rs.
pub fn sub_commit(level: u32) {
    OPEN.with(|o| o.borrow_mut().release(level));
}

pub fn sub_abort(level: u32) {
    OPEN.with(|o| o.borrow_mut().abort(level, drop));
}

pub fn reset() {
    OPEN.with(|o| o.borrow_mut().clear());
}
