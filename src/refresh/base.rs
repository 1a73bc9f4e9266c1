//! The command before which everything this transaction has written is in the TVIEWs.
//!
//! A snapshot of the first command after the last flush shows base relations and TVIEWs as they were when the TVIEWs were
//! exact, which is the state that change sets start from. Rolling back a sub-transaction undoes its flushes too, so what is
//! remembered follows the sub-transactions.
//! Invariant: `first()` is the first command that is not in the TVIEWs, in the live sub-transactions.

use pgrx::pg_sys;
use std::cell::RefCell;
use tviews_core::by_subxact::BySubxact;

thread_local! {
    static BASES: RefCell<BySubxact<pg_sys::CommandId>> = const { RefCell::new(BySubxact::new()) };
}

/// The TVIEWs are exact now.
pub fn set() {
    // SAFETY: plain getters; the next command gets a number of its own.
    let (level, command) = unsafe {
        pg_sys::CommandCounterIncrement();
        (pg_sys::GetCurrentTransactionNestLevel() as u32, pg_sys::GetCurrentCommandId(true))
    };
    BASES.with(|b| {
        let mut bases = b.borrow_mut();
        // one for each level is enough
        bases.abort(level, drop);
        bases.push(level, command);
    });
}

pub fn first() -> pg_sys::CommandId {
    BASES.with(|b| b.borrow().last().copied().unwrap_or(0))
}

/// Sub-transaction callbacks, see xact.rs.
pub fn sub_commit(level: u32) {
    BASES.with(|b| {
        let mut bases = b.borrow_mut();
        bases.release(level);
        let newest = bases.last().copied();
        bases.retain(|l, command| l < level - 1 || Some(*command) == newest);
    });
}

pub fn sub_abort(level: u32) {
    BASES.with(|b| b.borrow_mut().abort(level, drop));
}

pub fn reset() {
    BASES.with(|b| b.borrow_mut().clear());
}
