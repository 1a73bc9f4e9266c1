//! The snapshot that maintenance reads with.
//!
//! Invariant: it is the latest snapshot, whatever the isolation level, except for a flush in the middle of a REPEATABLE
//! READ or SERIALIZABLE transaction, which must see the rows that the transaction sees (refresh/README.md).

use super::{silent, together};
use crate::pg::process::process;
use pgrx::pg_sys;
use std::cell::Cell;

process! {
    /// The snapshot of a refresh, which everything is read with until it ends; null outside of one.
    static FIXED: Cell<pg_sys::Snapshot> = const { Cell::new(std::ptr::null_mut()) };
}

/// A snapshot that is active while this lives; popped on drop, left to the server while unwinding.
pub struct Active(());

impl Active {
    /// Makes our own writes visible and pushes the latest snapshot; in a refresh, that of the refresh.
    pub fn latest() -> Active {
        // SAFETY: in a transaction. A fixed snapshot is below on the stack of active ones.
        unsafe {
            match FIXED.get() {
                fixed if fixed.is_null() => together::push_latest_snapshot(),
                fixed => {
                    pg_sys::CommandCounterIncrement();
                    pg_sys::PushCopiedSnapshot(fixed);
                    (*silent::GetActiveSnapshot()).curcid = silent::current_command();
                }
            }
        }
        Active(())
    }

    /// Makes our own writes visible and pushes the latest snapshot, also inside of a refresh.
    pub fn newest() -> Active {
        // SAFETY: in a transaction.
        unsafe {
            together::push_latest_snapshot();
        }
        Active(())
    }

    /// Pushes this snapshot as it was before command `first` of this transaction: rows that the transaction itself has written since are not seen,
    /// rows that others have committed are, as far as this snapshot sees them. Source: access/heap/heapam_visibility.c, curcid.
    pub fn before(&self, first: pg_sys::CommandId) -> Active {
        // SAFETY: the snapshot on top is a copy that nobody else has.
        unsafe {
            pg_sys::PushCopiedSnapshot(self.raw());
            (*silent::GetActiveSnapshot()).curcid = first;
        }
        Active(())
    }

    /// Pushes this snapshot once more.
    pub fn again(&self) -> Active {
        // SAFETY: there is an active snapshot while self lives.
        unsafe { pg_sys::PushCopiedSnapshot(self.raw()) };
        Active(())
    }

    /// Makes our own writes visible and pushes the transaction's own snapshot.
    pub fn of_transaction() -> Active {
        // SAFETY: as above; the command id moves with CommandCounterIncrement.
        unsafe {
            pg_sys::CommandCounterIncrement();
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        }
        Active(())
    }

    pub fn raw(&self) -> pg_sys::Snapshot {
        // SAFETY: there is an active snapshot while self lives.
        unsafe { silent::GetActiveSnapshot() }
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: pushed by us.
            unsafe { silent::PopActiveSnapshot() }
        }
    }
}

/// One snapshot for all that is read until this is dropped, and our own writes with it.
pub struct Fixed {
    _active: Active,
}

impl Fixed {
    /// The latest snapshot.
    pub fn now() -> Fixed {
        FIXED.set(std::ptr::null_mut());
        let active = Active::latest();
        FIXED.set(active.raw());
        Fixed { _active: active }
    }

    /// Whether a snapshot is fixed.
    pub fn is() -> bool {
        !FIXED.get().is_null()
    }
}

impl Drop for Fixed {
    fn drop(&mut self) {
        FIXED.set(std::ptr::null_mut());
    }
}

/// Whether a snapshot sees what another transaction has written, which has committed; of what this transaction has written it may see a part.
///
/// # Safety
/// `snapshot` is a live MVCC snapshot.
pub unsafe fn sees(snapshot: pg_sys::Snapshot, xid: pg_sys::TransactionId) -> bool {
    // SAFETY: live, as the caller promises; both look only.
    unsafe { !pg_sys::TransactionIdIsCurrentTransactionId(xid) && !pg_sys::XidInMVCCSnapshot(xid, snapshot) }
}

/// Whether the transaction is REPEATABLE READ or SERIALIZABLE.
pub fn transaction_keeps_its_snapshot() -> bool {
    // SAFETY: a plain global.
    unsafe { pg_sys::XactIsoLevel >= pg_sys::XACT_REPEATABLE_READ as i32 }
}

/// Whether another transaction has committed since this transaction took the snapshot that it keeps.
pub fn is_behind() -> bool {
    if !transaction_keeps_its_snapshot() {
        return false;
    }
    // SAFETY: both snapshots are the server's own; XidInMVCCSnapshot looks only.
    unsafe {
        let kept = &*pg_sys::GetTransactionSnapshot();
        let latest = pg_sys::GetLatestSnapshot();
        let committed = |xid: pg_sys::TransactionId| {
            !pg_sys::TransactionIdIsCurrentTransactionId(xid)
                && !pg_sys::XidInMVCCSnapshot(xid, latest)
                && pg_sys::TransactionIdDidCommit(xid)
        };
        let running = (0..kept.xcnt as usize).map(|i| *kept.xip.add(i));
        let first = kept.xmax.into_inner();
        let later = (*latest).xmax.into_inner().wrapping_sub(first);
        // Numbers just behind a wraparound are special, and never committed.
        let later = (0..later).map(|n| first.wrapping_add(n)).filter(|n| *n >= FIRST_NORMAL);
        running.chain(later.map(pg_sys::TransactionId::from)).any(committed)
    }
}

/// access/transam.h, FirstNormalTransactionId.
const FIRST_NORMAL: u32 = 3;
