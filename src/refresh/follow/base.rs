//! The command before which everything this transaction has written is in a TVIEW.
//!
//! A snapshot of the first command after the last flush of a TVIEW shows what it reads, and itself, as they were when the TVIEW was exact, which
//! is the state that its change sets start from. A flush before a read is about some TVIEWs only, so each has a command of its own. A flush of
//! a TVIEW is one of all TVIEWs below it: what they have written since is not in that snapshot either, and is in the change sets that
//! they have left for it. Rolling back a sub-transaction undoes its flushes too, so what is remembered follows the sub-transactions.
//! Invariant: `first(t)` is the first command that is not in TVIEW t, in the live sub-transactions (tviews_core::moments).

use crate::pg::fault::{self, Fault};
use pgrx::pg_sys;
use std::cell::RefCell;
use std::collections::BTreeSet;
use tviews_core::moments::Moments;

thread_local! {
    static BASES: RefCell<Moments<pg_sys::CommandId>> = const { RefCell::new(Moments::new()) };
}

/// These TVIEWs are exact now, or all of them.
pub fn set(tviews: Option<&BTreeSet<u32>>) {
    // SAFETY: plain getters; the next command gets a number of its own.
    let (level, command) = unsafe {
        pg_sys::CommandCounterIncrement();
        (pg_sys::GetCurrentTransactionNestLevel() as u32, pg_sys::GetCurrentCommandId(true))
    };
    BASES.with(|b| b.borrow_mut().set(level, tviews, command));
}

pub fn first(tview: pg_sys::Oid) -> pg_sys::CommandId {
    let of = |bases: &Moments<_>| {
        if fault::on(Fault::OneMoment) { bases.last() } else { bases.first(tview.to_u32()) }
    };
    BASES.with(|b| of(&b.borrow())).unwrap_or(0)
}

/// Sub-transaction callbacks, see xact.rs.
pub fn sub_commit(level: u32) {
    BASES.with(|b| b.borrow_mut().release(level));
}

pub fn sub_abort(level: u32) {
    BASES.with(|b| b.borrow_mut().abort(level));
}

pub fn reset() {
    BASES.with(|b| b.borrow_mut().clear());
}
