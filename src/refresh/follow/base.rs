//! For each TVIEW, the first command of this transaction whose writes are not in the TVIEW yet.
//!
//! A snapshot as of that command shows the TVIEW and its sources as they were when the TVIEW was exact: the state that
//! its change sets start from. A flush before a read is about some TVIEWs only, so each TVIEW has a command of its own. A flush of
//! a TVIEW is also a flush of all TVIEWs below it: rows that those have written since are not in that snapshot either, but in the change sets that
//! they have left for the TVIEW. Rolling back a sub-transaction undoes its flushes too, so the commands are remembered by sub-transaction.
//! Invariant: `first(t)` is the first command that is not in TVIEW t, in the live sub-transactions (tviews_core::moments).

use crate::pg::fault::{self, Fault};
use crate::pg::process::process;
use crate::pg::silent;
use pgrx::pg_sys;
use std::cell::RefCell;
use std::collections::BTreeSet;
use tviews_core::moments::Moments;

process! {
    static BASES: RefCell<Moments<pg_sys::CommandId>> = const { RefCell::new(Moments::new()) };
}

/// Notes that these TVIEWs are exact now; None: all.
pub fn set(tviews: Option<&BTreeSet<u32>>) {
    // SAFETY: plain getters; the next command gets a number of its own.
    let (level, command) = unsafe {
        pg_sys::CommandCounterIncrement();
        (silent::GetCurrentTransactionNestLevel() as u32, pg_sys::GetCurrentCommandId(true))
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
