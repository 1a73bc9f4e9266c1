//! The command before which everything this transaction has written is in the TVIEWs.
//!
//! A snapshot of the first command after the last flush shows base relations and TVIEWs as they were when the TVIEWs were
//! exact, which is the state that change sets start from. Rolling back a sub-transaction undoes its flushes too, so there
//! is one entry per nest level.
//! Invariant: `first()` is the first command that is not in the TVIEWs, in the live sub-transactions.

use pgrx::pg_sys;
use std::cell::RefCell;

thread_local! {
    /// (transaction nest level, command)
    static BASES: RefCell<Vec<(i32, pg_sys::CommandId)>> = const { RefCell::new(Vec::new()) };
}

/// The TVIEWs are exact now.
pub fn set() {
    // SAFETY: plain getters; the next command gets a number of its own.
    let (level, command) = unsafe {
        pg_sys::CommandCounterIncrement();
        (pg_sys::GetCurrentTransactionNestLevel(), pg_sys::GetCurrentCommandId(true))
    };
    BASES.with(|b| {
        let mut bases = b.borrow_mut();
        bases.retain(|(l, _)| *l < level);
        bases.push((level, command));
    });
}

pub fn first() -> pg_sys::CommandId {
    BASES.with(|b| b.borrow().last().map_or(0, |(_, c)| *c))
}

/// The sub-transaction at this level has been rolled back.
pub fn sub_abort(level: i32) {
    BASES.with(|b| b.borrow_mut().retain(|(l, _)| *l < level));
}

/// The sub-transaction at this level has been released into the one below.
pub fn sub_commit(level: i32) {
    BASES.with(|b| {
        let mut bases = b.borrow_mut();
        if let Some((_, command)) = bases.iter().rev().find(|(l, _)| *l == level).copied() {
            bases.retain(|(l, _)| *l < level - 1);
            bases.push((level - 1, command));
        }
    });
}

pub fn reset() {
    BASES.with(|b| b.borrow_mut().clear());
}
