//! Whether the unlogged contents of a TVIEW survived.
//!
//! `tviews.sentinel` is itself unlogged: crash recovery and promotion empty it together with the TVIEWs, a clean
//! restart keeps both. So "populated, unlogged and without a row in `tviews.sentinel`" means "lost". A crash ends all backends,
//! therefore one look per TVIEW, storage and backend life is enough. A standby has no unlogged contents, and refuses
//! reads of unlogged relations.
//!
//! The row is as old as the contents: a snapshot that does not see the row does not see the contents (`seen_by`).

use super::table::Table;
use crate::pg::error::Result;
use crate::pg::process::process;
use crate::pg::silent;
use pgrx::{FromDatum, IntoDatum, pg_sys};
use rustc_hash::FxHashMap;
use std::cell::RefCell;

process! {
    /// (TVIEW, relfilenode) pairs known to be alive and committed by others or by us, with the transaction that wrote the contents.
    static ALIVE: RefCell<FxHashMap<(u32, u32), u64>> = RefCell::new(FxHashMap::default());
}

/// The contents are older than every snapshot.
const ALWAYS: u64 = 0;

/// A snapshot is fewer transactions than this behind the newest one: the server stops before.
const REACH: u64 = 1 << 31;

fn node(class: &pg_sys::FormData_pg_class) -> u32 {
    class.relfilenode.to_u32()
}

/// Whether the contents are there. `class` is the pg_class row of a populated TVIEW.
pub fn alive(tview: pg_sys::Oid, class: &pg_sys::FormData_pg_class) -> bool {
    since(tview, class).is_some()
}

/// Whether a snapshot sees the contents: not when they are lost, or when another transaction computed them anew after the snapshot was taken.
///
/// # Safety
/// `snapshot` is a live MVCC snapshot.
pub unsafe fn seen_by(tview: pg_sys::Oid, class: &pg_sys::FormData_pg_class, snapshot: pg_sys::Snapshot) -> bool {
    let Some(written) = since(tview, class) else { return false };
    if written == ALWAYS || next().saturating_sub(written) > REACH {
        return true;
    }
    let xid = pg_sys::TransactionId::from(written as u32);
    // SAFETY: `snapshot` is a live MVCC snapshot, as the caller promises.
    unsafe { pg_sys::TransactionIdIsCurrentTransactionId(xid) || !pg_sys::XidInMVCCSnapshot(xid, snapshot) }
}

/// The transaction that wrote the contents, with its epoch; None when they are lost.
fn since(tview: pg_sys::Oid, class: &pg_sys::FormData_pg_class) -> Option<u64> {
    if class.relpersistence as u8 != pg_sys::RELPERSISTENCE_UNLOGGED || is_standby() {
        return Some(ALWAYS);
    }
    let key = (tview.to_u32(), node(class));
    if let Some(written) = ALIVE.with(|a| a.borrow().get(&key).copied()) {
        return Some(written);
    }
    let written = present(tview)?;
    ALIVE.with(|a| a.borrow_mut().insert(key, written));
    Some(written)
}

/// The next transaction, with its epoch.
fn next() -> u64 {
    // SAFETY: plain getter.
    unsafe { pg_sys::ReadNextFullTransactionId().value }
}

/// The transaction that inserted a tuple, with its epoch. Source: access/htup_details.h, HeapTupleHeaderGetXmin.
///
/// # Safety
/// `tuple` is a live heap tuple.
unsafe fn inserted_by(tuple: pg_sys::HeapTuple) -> u64 {
    // SAFETY: `tuple` is a live heap tuple, as the caller promises.
    let (frozen, xid) = unsafe {
        let header = &*(*tuple).t_data;
        let frozen = pg_sys::HEAP_XMIN_FROZEN as u16;
        (header.t_infomask & frozen == frozen, u64::from(header.t_choice.t_heap.t_xmin.into_inner()))
    };
    if frozen {
        return ALWAYS;
    }
    let next = next();
    let here = next & !u64::from(u32::MAX) | xid;
    if here < next { here } else { here.saturating_sub(1 << 32) }
}

pub fn is_standby() -> bool {
    // SAFETY: plain getter.
    unsafe { silent::RecoveryInProgress() }
}

fn present(tview: pg_sys::Oid) -> Option<u64> {
    let mut found = None;
    if let Some(table) = Table::open("sentinel", pg_sys::AccessShareLock) {
        // SAFETY: the tuple is one of a scan that goes on.
        table.look_up(c"sentinel_pkey", tview, |tuple| found = Some(unsafe { inserted_by(tuple) }));
    }
    found
}

fn is_for(table: &Table, tuple: pg_sys::HeapTuple, tview: pg_sys::Oid) -> bool {
    // SAFETY: column 1 is oid.
    table.get(tuple, 1).and_then(|d| unsafe { pg_sys::Oid::from_datum(d, false) }) == Some(tview)
}

/// Records that the contents are there, in this transaction.
pub fn raise(tview: pg_sys::Oid) -> Result<()> {
    if present(tview).is_none() {
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

/// Forgets all entries: a population may have been rolled back.
pub fn forget() {
    ALIVE.with(|a| a.borrow_mut().clear());
}
