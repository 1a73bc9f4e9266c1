//! Replacing a TVIEW's storage as a whole: population, rebuild, SET LOGGED and SET UNLOGGED.
//!
//! Invariant: relation, TOAST table and indexes always have the same persistence, and new files that vanish if the transaction aborts.
//! Called by build and hook.

use std::ffi::c_char;

use pgrx::pg_sys;

use super::switch;

/// Gives the TVIEW new, empty storage with the given persistence (`b'p'` or `b'u'`); its indexes are empty and valid afterwards.
/// Ends with CommandCounterIncrement.
///
/// # Safety
/// `rel` is locked AccessExclusive and nobody in this session has a scan of it open (CheckTableNotInUse). Not in binary upgrade.
pub unsafe fn replace_storage(rel: pg_sys::Relation, persistence: u8) {
    // SAFETY: the caller promises: `rel` is locked AccessExclusive and nobody in this session has a scan of it open (CheckTableNotInUse). Not in binary
    // upgrade.
    unsafe {
        new_files(rel, persistence);
        let toast = (*(*rel).rd_rel).reltoastrelid;
        if toast != pg_sys::InvalidOid {
            let toast = pg_sys::relation_open(toast, pg_sys::AccessExclusiveLock as _);
            new_files(toast, persistence);
            pg_sys::table_close(toast, pg_sys::NoLock as _);
        }
        rebuild_indexes((*rel).rd_id, persistence);
    }
}

/// Builds every index of the relation and of its TOAST table again, with the given persistence. Unique violations are errors.
/// Ends with CommandCounterIncrement.
///
/// # Safety
/// The relation is locked AccessExclusive and none of its indexes is in use by this session.
pub unsafe fn rebuild_indexes(rel_oid: pg_sys::Oid, persistence: u8) {
    // SAFETY: The relation is locked AccessExclusive and none of its indexes is in use by this session, as the caller promises.
    unsafe {
        let rel = pg_sys::relation_open(rel_oid, pg_sys::NoLock as _);
        let toast = (*(*rel).rd_rel).reltoastrelid;
        pg_sys::relation_close(rel, pg_sys::NoLock as _);
        // Not by REINDEX_REL_PROCESS_TOAST: the two levels may not both suppress the use of their indexes (index.c, SetReindexPending).
        if toast != pg_sys::InvalidOid {
            rebuild_own_indexes(toast, persistence);
        }
        rebuild_own_indexes(rel_oid, persistence);
        pg_sys::CommandCounterIncrement();
    }
}

/// Tells the planner how many rows there are, as an index build does (index_update_stats in index.c): without it and without
/// indexes, a relation of one row passes for ten full pages until it is analysed (table_block_relation_estimate_size in
/// tableam.c).
///
/// # Safety
/// The relation is locked AccessExclusive, and its pg_class row was not updated by the current command.
pub unsafe fn set_row_count(rel: pg_sys::Relation, rows: u64) {
    // SAFETY: The relation is locked AccessExclusive, and its pg_class row was not updated by the current command, as the caller promises.
    unsafe {
        let pages = pg_sys::RelationGetNumberOfBlocksInFork(rel, pg_sys::ForkNumber::MAIN_FORKNUM);
        let (xid, multixact) = (pg_sys::InvalidTransactionId, pg_sys::MultiXactId::from(0u32));
        let (no, null) = (false, std::ptr::null_mut());
        // In a transaction that goes on, has_index = false is not stored.
        #[cfg(not(feature = "since_18"))]
        pg_sys::vac_update_relstats(rel, pages, rows as f64, 0, no, xid, multixact, null, null, true);
        #[cfg(feature = "since_18")]
        pg_sys::vac_update_relstats(rel, pages, rows as f64, 0, 0, no, xid, multixact, null, null, true);
    }
}

/// As finish_heap_swap (cluster.c): while an index is built, expressions that read the relation must not use indexes that are not built yet.
///
/// # Safety
/// The relation is locked exclusively and open nowhere else in this session.
unsafe fn rebuild_own_indexes(rel_oid: pg_sys::Oid, persistence: u8) {
    // SAFETY: the relation is locked exclusively and open nowhere else in this session.
    unsafe {
        let persistence = if persistence == pg_sys::RELPERSISTENCE_UNLOGGED {
            pg_sys::REINDEX_REL_FORCE_INDEXES_UNLOGGED
        } else {
            pg_sys::REINDEX_REL_FORCE_INDEXES_PERMANENT
        };
        let flags = pg_sys::REINDEX_REL_SUPPRESS_INDEX_USE | pg_sys::REINDEX_REL_CHECK_CONSTRAINTS | persistence;
        let mut params = pg_sys::ReindexParams::default();
        #[cfg(any(feature = "pg15", feature = "pg16"))]
        pg_sys::reindex_relation(rel_oid, flags as _, &mut params);
        #[cfg(not(any(feature = "pg15", feature = "pg16")))]
        pg_sys::reindex_relation(std::ptr::null(), rel_oid, flags as _, &mut params);
    }
}

/// # Safety
/// `rel` is open.
unsafe fn new_files(rel: pg_sys::Relation, persistence: u8) {
    // SAFETY: `rel` is open.
    unsafe {
        // The heap asserts that an unlogged relation is no materialized view (create.rs).
        let is_log = super::is_matview(rel) && !super::is_ours(rel);
        if is_log {
            switch::begin_as_ours(rel);
        }
        #[cfg(feature = "pg15")]
        pg_sys::RelationSetNewRelfilenode(rel, persistence as c_char);
        #[cfg(not(feature = "pg15"))]
        pg_sys::RelationSetNewRelfilenumber(rel, persistence as c_char);
        if is_log {
            switch::end();
        }
    }
}
