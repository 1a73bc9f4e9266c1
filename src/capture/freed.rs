//! Relations that may not need their capture triggers any more: remembered during the DDL statement, checked when it has succeeded.
//!
//! Invariant: relations remembered by a statement or savepoint that was rolled back are forgotten. Called by the DDL hooks and xact.

use super::install;
use crate::pg::process::process;
use crate::pg::silent;
use pgrx::pg_sys;
use std::cell::RefCell;
use std::collections::BTreeSet;
use tviews_core::by_subxact::BySubxact;

process! {
    static FREED: RefCell<BySubxact<u32>> = const { RefCell::new(BySubxact::new()) };
}

/// Remembers that a relation may not need its triggers any more.
pub fn freed(relid: pg_sys::Oid) {
    // SAFETY: plain getter.
    let level = unsafe { silent::GetCurrentTransactionNestLevel() } as u32;
    FREED.with(|f| f.borrow_mut().push(level, relid.to_u32()));
}

/// Takes triggers off relations that no TVIEW reads any more; says whether there may be such.
pub fn clean_up() -> bool {
    let freed = FREED.with(|f| std::mem::take(&mut *f.borrow_mut()));
    let freed: BTreeSet<u32> = freed.iter().map(|(_, relid)| *relid).collect();
    for relid in &freed {
        install::uninstall(pg_sys::Oid::from(*relid));
    }
    !freed.is_empty()
}

/// (Sub-)transaction callbacks, see xact.rs.
pub fn sub_commit(level: u32) {
    FREED.with(|f| f.borrow_mut().release(level));
}

pub fn sub_abort(level: u32) {
    FREED.with(|f| f.borrow_mut().abort(level, drop));
}

pub fn reset() {
    FREED.with(|f| f.borrow_mut().clear());
}
