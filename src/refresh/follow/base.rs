//! The command before which everything this transaction has written is in a TVIEW.
//!
//! A snapshot of the first command after the last flush of a TVIEW shows what it reads, and itself, as they were when the TVIEW was exact, which
//! is the state that its change sets start from. A flush before a read is about some TVIEWs only, so each has a command of its own. A flush of
//! a TVIEW is one of all TVIEWs below it: what they have written since is not in that snapshot either, and is in the change sets that
//! they have left for it. Rolling back a sub-transaction undoes its flushes too, so what is remembered follows the sub-transactions.
//! Invariant: `first(t)` is the first command that is not in TVIEW t, in the live sub-transactions.

use crate::pg::fault::{self, Fault};
use pgrx::pg_sys;
use std::cell::RefCell;
use std::collections::BTreeSet;
use tviews_core::by_subxact::BySubxact;

/// Instead of a TVIEW: each of them.
const ALL: u32 = 0;

thread_local! {
    static BASES: RefCell<BySubxact<(u32, pg_sys::CommandId)>> = const { RefCell::new(BySubxact::new()) };
}

/// These TVIEWs are exact now, or all of them.
pub fn set(tviews: Option<&BTreeSet<u32>>) {
    // SAFETY: plain getters; the next command gets a number of its own.
    let (level, command) = unsafe {
        pg_sys::CommandCounterIncrement();
        (pg_sys::GetCurrentTransactionNestLevel() as u32, pg_sys::GetCurrentCommandId(true))
    };
    BASES.with(|b| {
        let mut bases = b.borrow_mut();
        match tviews {
            Some(tviews) => tviews.iter().for_each(|t| bases.push(level, (*t, command))),
            None => bases.push(level, (ALL, command)),
        }
        forget(&mut bases);
    });
}

/// Leaves out what a newer one of the same level makes useless.
fn forget(bases: &mut BySubxact<(u32, pg_sys::CommandId)>) {
    let (mut of_level, mut newer) = (0, BTreeSet::new());
    let mut needed = Vec::new();
    for (level, (tview, _)) in bases.iter().rev() {
        if level != of_level {
            (of_level, newer) = (level, BTreeSet::new());
        }
        needed.push(!newer.contains(&ALL) && newer.insert(*tview));
    }
    bases.retain(|_, _| needed.pop() == Some(true));
}

pub fn first(tview: pg_sys::Oid) -> pg_sys::CommandId {
    let of = |t: u32| t == ALL || t == tview.to_u32() || fault::on(Fault::OneMoment);
    BASES.with(|b| b.borrow().iter().rev().find(|(_, (t, _))| of(*t)).map_or(0, |(_, (_, command))| *command))
}

/// Sub-transaction callbacks, see xact.rs.
pub fn sub_commit(level: u32) {
    BASES.with(|b| b.borrow_mut().release(level));
}

pub fn sub_abort(level: u32) {
    BASES.with(|b| b.borrow_mut().abort(level, drop));
}

pub fn reset() {
    BASES.with(|b| b.borrow_mut().clear());
}
