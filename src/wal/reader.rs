//! The slot, and the stream of WAL behind it, while this process has both.
//!
//! Invariant: transactions come out once, in the order in which they committed, from the position that the caller has confirmed on; the slot is moved
//! by `confirm` only. An error ends the process, and with it the use of the slot.
//! Called by the worker, outside of transactions. Source of the protocol: replication/logical/logicalfuncs.c, replication/walsender.c.

use super::{plugin, slot};
use crate::pg::error::Error;
use pgrx::pg_sys;
use std::ffi::{CStr, c_char};

/// What the server calls through pointers, without a guard in between.
mod raw {
    use pgrx::pg_sys::{TimeLineID, XLogReaderState, XLogRecPtr, XLogSegNo};
    use std::ffi::{c_char, c_int};
    unsafe extern "C-unwind" {
        pub fn read_local_xlog_page(
            state: *mut XLogReaderState,
            page: XLogRecPtr,
            length: c_int,
            target: XLogRecPtr,
            to: *mut c_char,
        ) -> c_int;
        pub fn wal_segment_open(state: *mut XLogReaderState, number: XLogSegNo, timeline: *mut TimeLineID);
        pub fn wal_segment_close(state: *mut XLogReaderState);
    }
}

pub struct Reader {
    ctx: *mut pg_sys::LogicalDecodingContext,
}

impl Reader {
    /// Takes the slot, and shows transactions that have committed from `from` on.
    ///
    /// # Safety
    /// Inside of a transaction: outside of one, the process would count as one whose snapshots vacuum may ignore (logical.c, StartupDecodingContext).
    pub unsafe fn open(from: u64) -> Reader {
        plugin::begin_use();
        // SAFETY: the decoding context outlives the transaction, as what it is made of does.
        unsafe {
            #[cfg(not(feature = "since_18"))]
            pg_sys::ReplicationSlotAcquire(slot::name().as_ptr(), true);
            #[cfg(feature = "since_18")]
            pg_sys::ReplicationSlotAcquire(slot::name().as_ptr(), true, true);
            let context = pg_sys::MemoryContextSwitchTo(pg_sys::TopMemoryContext);
            let mut routine = pg_sys::XLogReaderRoutine {
                page_read: Some(raw::read_local_xlog_page),
                segment_open: Some(raw::wal_segment_open),
                segment_close: Some(raw::wal_segment_close),
            };
            let ctx = pg_sys::CreateDecodingContext(from, std::ptr::null_mut(), false, &mut routine, None, None, None);
            pg_sys::XLogBeginRead((*ctx).reader, (*pg_sys::MyReplicationSlot).data.restart_lsn);
            pg_sys::MemoryContextSwitchTo(context);
            pg_sys::InvalidateSystemCaches();
            Reader { ctx }
        }
    }

    /// Up to where WAL has been read.
    pub fn position(&self) -> u64 {
        // SAFETY: the context lives as long as this.
        unsafe { (*(*self.ctx).reader).EndRecPtr }
    }

    /// Reads one record, if it begins before `upto`, where WAL is on disk; false when there is none.
    pub fn step(&mut self, upto: u64) -> bool {
        if self.position() >= upto {
            return false;
        }
        // SAFETY: the context lives as long as this; outside of a transaction.
        unsafe {
            let reader = (*self.ctx).reader;
            let mut message: *mut c_char = std::ptr::null_mut();
            let record = pg_sys::XLogReadRecord(reader, &mut message);
            if !message.is_null() {
                let message = CStr::from_ptr(message).to_string_lossy().into_owned();
                Error::Internal(format!("could not read WAL: {message}")).raise()
            }
            if !record.is_null() {
                pg_sys::LogicalDecodingProcessRecord(self.ctx, reader);
            }
        }
        true
    }

    /// Lets the server forget WAL that only transactions need which committed before `upto`. What they did is in logs, on disk.
    pub fn confirm(&self, upto: u64) {
        // SAFETY: this process has the slot.
        unsafe { pg_sys::LogicalConfirmReceivedLocation(upto) };
    }

    /// Gives the slot back.
    pub fn close(self) {
        // SAFETY: opened by us, closed once.
        unsafe {
            pg_sys::FreeDecodingContext(self.ctx);
            pg_sys::ReplicationSlotRelease();
        }
    }
}

/// Up to where WAL is on disk.
pub fn flushed() -> u64 {
    // SAFETY: a plain getter; the timeline is not asked for.
    unsafe { pg_sys::GetFlushRecPtr(std::ptr::null_mut()) }
}
