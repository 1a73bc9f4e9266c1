//! The replication slot of a database.
//!
//! Invariant: our slot has the name of its database's number, so no two databases share one, and a copy of a database has none. What is read of it
//! here was so a moment ago. Source: replication/slot.c, slotfuncs.c.

use crate::pg::error::{Error, Result};
use crate::pg::guc;
use pgrx::{IntoDatum, pg_sys};
use std::ffi::{CStr, CString};

/// The slot's name.
pub fn name() -> CString {
    // SAFETY: a plain global.
    name_of(unsafe { pg_sys::MyDatabaseId }.to_u32())
}

fn name_of(database: u32) -> CString {
    CString::new(format!("pg_tviews_{database}")).unwrap_or_default()
}

#[derive(Debug, Clone, Copy)]
pub struct Slot {
    /// From where on WAL is kept.
    pub restart: u64,
    /// Transactions that committed before are not shown again.
    pub confirmed: u64,
    /// The server has taken away WAL, or rows of catalogs, that it needs.
    pub is_lost: bool,
    /// Our database's, with our plugin.
    pub is_ours: bool,
    /// A process has it.
    pub is_active: bool,
}

/// The slot of this database; None: there is none.
pub fn find() -> Option<Slot> {
    // SAFETY: a plain global.
    find_of(unsafe { pg_sys::MyDatabaseId }.to_u32())
}

/// The slot of a database.
fn find_of(database: u32) -> Option<Slot> {
    // SAFETY: the array of slots is in shared memory; what is read may be a moment old, words are read as a whole.
    unsafe {
        let slot = pg_sys::SearchNamedReplicationSlot(name_of(database).as_ptr(), true);
        if slot.is_null() {
            return None;
        }
        let data = &raw const (*slot).data;
        let plugin = CStr::from_ptr((&raw const (*data).plugin.data).cast());
        #[cfg(feature = "pg15")]
        let is_lost = (*data).invalidated_at != 0;
        #[cfg(not(feature = "pg15"))]
        let is_lost = (*data).invalidated != pg_sys::ReplicationSlotInvalidationCause::RS_INVAL_NONE;
        Some(Slot {
            restart: (*data).restart_lsn,
            confirmed: (*data).confirmed_flush,
            is_lost: is_lost || (*data).restart_lsn == 0,
            is_ours: (*data).database.to_u32() == database && plugin == c"pg_tviews",
            #[cfg(not(feature = "since_19"))]
            is_active: (*slot).active_pid != 0,
            #[cfg(feature = "since_19")]
            is_active: (*slot).active_proc != pg_sys::INVALID_PROC_NUMBER,
        })
    }
}

/// Makes the slot; waits until the transactions that run now have ended. In a transaction that has written nothing.
pub fn create() -> Result<()> {
    let name = name().into_string().unwrap_or_default();
    let name = name_datum(&name)?;
    let plugin = name_datum("pg_tviews")?;
    let no = false.into_datum().unwrap_or(pg_sys::Datum::from(0usize));
    let function = pg_sys::Oid::from(pg_sys::F_PG_CREATE_LOGICAL_REPLICATION_SLOT);
    // SAFETY: the function of the server with arguments of its types: name, name, temporary, two_phase, and from 17 on failover.
    unsafe {
        #[cfg(not(feature = "since_17"))]
        pg_sys::OidFunctionCall4Coll(function, pg_sys::InvalidOid, name, plugin, no, no);
        #[cfg(feature = "since_17")]
        pg_sys::OidFunctionCall5Coll(function, pg_sys::InvalidOid, name, plugin, no, no, no);
    }
    Ok(())
}

fn name_datum(text: &str) -> Result<pg_sys::Datum> {
    let text = CString::new(text).map_err(|_| Error::Internal("a name with NUL".into()))?;
    let (function, of) = (pg_sys::Oid::from(pg_sys::F_NAMEIN), pg_sys::Datum::from(text.as_ptr()));
    // SAFETY: the server copies the text into the current memory context.
    unsafe { Ok(pg_sys::OidFunctionCall1Coll(function, pg_sys::InvalidOid, of)) }
}

/// Drops the slot, if there is one of ours that nobody has.
pub fn drop() {
    if find().is_some_and(|slot| !slot.is_active) {
        // SAFETY: by name, without waiting.
        unsafe { pg_sys::ReplicationSlotDrop(name().as_ptr(), true) };
    }
}

/// Drops the slot of a database that no process can be started for, when it keeps more than it may. Its tables get triggers again, and what reads
/// them is computed anew, when there is a process.
pub fn limit(database: u32) {
    let most = guc::MAX_SLOT_RETAINED.get() as u64 * 1024 * 1024;
    let is_too_much = |slot: &Slot| slot.is_ours && !slot.is_active && retained(slot) > most;
    if most > 0 && find_of(database).is_some_and(|slot| is_too_much(&slot)) {
        pgrx::log!(
            "replication slot {:?} keeps more than pg_tviews.max_slot_retained and is dropped",
            name_of(database)
        );
        // SAFETY: by name, without waiting.
        unsafe { pg_sys::ReplicationSlotDrop(name_of(database).as_ptr(), true) };
    }
}

/// Gives back a slot that an error has left with this process; one that was being made goes.
pub fn release() {
    // SAFETY: outside of a transaction, as in the main loop of a session after an error (tcop/postgres.c).
    unsafe {
        if !pg_sys::MyReplicationSlot.is_null() {
            pg_sys::ReplicationSlotRelease();
        }
    }
}

/// Where the next record of WAL begins, or, at the beginning of a page, where the last one ended. Source: access/transam/xlog.c,
/// XLogBytePosToRecPtr and XLogBytePosToEndRecPtr: the first counts the header of a page that nothing has been written to.
pub fn end_of_wal() -> u64 {
    // SAFETY: plain getters.
    let (at, segment) = unsafe { (pg_sys::GetXLogInsertRecPtr(), pg_sys::wal_segment_size as u64) };
    let offset = at % u64::from(pg_sys::XLOG_BLCKSZ);
    let page = at - offset;
    let header = if page % segment == 0 { LONG_HEADER } else { SHORT_HEADER };
    if offset == header { page } else { at }
}

/// access/xlog_internal.h, SizeOfXLogShortPHD and SizeOfXLogLongPHD.
const SHORT_HEADER: u64 = 24;
const LONG_HEADER: u64 = 40;

/// Whether the server lets our plugin be loaded: a setting of the minor releases of 2026. Source: replication/logical.c, LoadOutputPlugin.
pub fn is_plugin_allowed() -> bool {
    // SAFETY: the text is copied; a setting that does not exist is NULL. The list is one of names.
    unsafe {
        let listed = pg_sys::GetConfigOption(c"output_plugin_libraries".as_ptr(), true, false);
        if listed.is_null() {
            return true;
        }
        let listed = CStr::from_ptr(listed).to_string_lossy();
        listed.split(',').any(|word| word.trim().trim_matches('"') == "pg_tviews")
    }
}

/// Whether WAL has what decoding needs.
pub fn is_wal_logical() -> bool {
    // SAFETY: a plain global.
    unsafe { pg_sys::wal_level >= pg_sys::WalLevel::WAL_LEVEL_LOGICAL as i32 }
}

/// Bytes of WAL that the slot keeps.
pub fn retained(slot: &Slot) -> u64 {
    end_of_wal().saturating_sub(slot.restart)
}
