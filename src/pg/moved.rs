//! Whether the storage of a table is another one than that which a snapshot knows.
//!
//! Some commands write a table anew so that rows of the new storage look like rows of the command itself: forms of ALTER TABLE, TRUNCATE, and from 19
//! on REPACK (CONCURRENTLY), which readers and writers do not wait for. To a snapshot from before, the table seems to be empty, without an error. The
//! snapshot still sees the old row of pg_class, with the number of the old storage. Invariant: a table that is called unmoved shows the snapshot
//! all rows that it should. CLUSTER, VACUUM FULL and REPACK without CONCURRENTLY keep what snapshots see, but cannot be told apart: these are called
//! moves, too. Called by refresh, population and verification.

use super::syscatalog::CLASS_BY_OID;
use super::{snapshot, syscatalog};
use pgrx::pg_sys;

/// # Safety
/// `snapshot` is an MVCC snapshot, active or registered.
pub unsafe fn since(relid: pg_sys::Oid, snapshot: pg_sys::Snapshot) -> bool {
    // SAFETY: the entry of a system cache is looked at before it is released; the snapshot is live, as the caller promises.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::RELOID as i32, pg_sys::Datum::from(relid));
        if tuple.is_null() {
            return false;
        }
        let node = (*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_class>()).relfilenode;
        let xmin = syscatalog::inserted_by(tuple);
        pg_sys::ReleaseSysCache(tuple);
        // What has no storage of its own, or whose row of pg_class is the one that the snapshot sees.
        if node == pg_sys::InvalidOid || xmin.is_none_or(|xid| snapshot::sees(snapshot, xid)) {
            return false;
        }
        CLASS_BY_OID.find_as(snapshot, &[relid], &[syscatalog::CLASS_FILENODE]) != [[node]]
    }
}
