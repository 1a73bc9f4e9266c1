//! Whether the unlogged contents of a TVIEW survived.
//!
//! `tviews.sentinel` is itself unlogged: crash recovery and promotion empty it together with the TVIEWs, a clean
//! restart keeps both. So "populated, unlogged and without a row here" means "lost". A crash ends all backends,
//! therefore one look per TVIEW, storage and backend life is enough. A standby has no unlogged contents, and does not let
//! anybody read them.

use super::table::Table;
use crate::pg::error::Result;
use pgrx::{FromDatum, IntoDatum, pg_sys};
use std::cell::RefCell;
use std::collections::HashSet;

thread_local! {
    /// (TVIEW, relfilenode) pairs known to be alive and committed by others or by us.
    static ALIVE: RefCell<HashSet<(u32, u32)>> = RefCell::new(HashSet::new());
}

fn node(class: &pg_sys::FormData_pg_class) -> u32 {
    class.relfilenode.to_u32()
}

/// Whether the contents are there. `class` is the pg_class row of a populated TVIEW.
pub fn alive(tview: pg_sys::Oid, class: &pg_sys::FormData_pg_class) -> bool {
    if class.relpersistence as u8 != pg_sys::RELPERSISTENCE_UNLOGGED {
        return true;
    }
    if is_standby() {
        return true;
    }
    let key = (tview.to_u32(), node(class));
    if ALIVE.with(|a| a.borrow().contains(&key)) {
        return true;
    }
    let found = present(tview);
    if found {
        ALIVE.with(|a| a.borrow_mut().insert(key));
    }
    found
}

pub fn is_standby() -> bool {
    // SAFETY: plain getter.
    unsafe { pg_sys::RecoveryInProgress() }
}

fn present(tview: pg_sys::Oid) -> bool {
    let mut found = false;
    if let Some(table) = Table::open("sentinel", pg_sys::AccessShareLock) {
        table.look_up(c"sentinel_pkey", tview, |_| found = true);
    }
    found
}

fn is_for(table: &Table, tuple: pg_sys::HeapTuple, tview: pg_sys::Oid) -> bool {
    // SAFETY: column 1 is oid.
    table.get(tuple, 1).and_then(|d| unsafe { pg_sys::Oid::from_datum(d, false) }) == Some(tview)
}

/// Records that the contents are there, in this transaction.
pub fn raise(tview: pg_sys::Oid) -> Result<()> {
    if !present(tview) {
        let table = Table::required("sentinel", pg_sys::RowExclusiveLock)?;
        table.insert(&[tview.into_datum()]);
    }
    Ok(())
}

pub fn lower(tview: pg_sys::Oid) {
    if let Some(table) = Table::open("sentinel", pg_sys::RowExclusiveLock) {
        table.delete(|t| is_for(&table, t, tview));
    }
}

/// A rolled back population must be looked up again.
pub fn forget() {
    ALIVE.with(|a| a.borrow_mut().clear());
}
