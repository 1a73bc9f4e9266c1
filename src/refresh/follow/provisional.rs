//! Keys of rows that a transaction has written under its own snapshot, by TVIEW.
//!
//! A flush in the middle of a REPEATABLE READ or SERIALIZABLE transaction computes from the tables as they were when the transaction
//! began, with its own changes. The rows it writes hold for this transaction only: other transactions may have changed the tables, unseen, before the
//! flush took its locks. Their changes may have left a written key without rows, and no key that is dirty at commit
//! would lead to it; where no unique index prevents it, they may even have written a row with the same key.
//! Invariant: at commit, every key that was written like this is recomputed with the latest snapshot, and has one row at most.
//! Rolled back savepoints need no care: a key too many costs its recomputation. Called by apply, keyed and ways.

use crate::pg::process::process;
use crate::queue::changes::{ChangeSet, Image};
use pgrx::pg_sys;
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use tviews_core::queue::Absorb;

process! {
    static WRITTEN: RefCell<FxHashMap<u32, ChangeSet>> = RefCell::new(FxHashMap::default());
}

/// Remembers a key, an image of the TVIEW's row type.
pub fn add(tview: pg_sys::Oid, key: Image) {
    WRITTEN.with(|w| w.borrow_mut().entry(tview.to_u32()).or_default().add_image(&key, 1));
}

/// The keys that were written; None when there are none.
pub fn of(tview: pg_sys::Oid) -> Option<ChangeSet> {
    WRITTEN.with(|w| {
        let written = w.borrow();
        let mut keys = ChangeSet::default();
        keys.absorb(written.get(&tview.to_u32())?);
        Some(keys)
    })
}

/// Whether keys were written.
pub fn any(tview: pg_sys::Oid) -> bool {
    WRITTEN.with(|w| w.borrow().contains_key(&tview.to_u32()))
}

pub fn end_of_transaction() {
    WRITTEN.with(|w| w.borrow_mut().clear());
}
