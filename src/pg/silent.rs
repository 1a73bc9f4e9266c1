//! Server functions that raise no error, called without a guard.
//!
//! pgrx guards each call of a server function (sigsetjmp, a few globals, the thread), which is more than most of these do. Invariant: none of them reaches
//! ereport(ERROR) with valid arguments; what is left are elogs about misuse, by a caller that holds no reference to what it releases, say.
//! `extern "C"` says so: they do not unwind. Called on the path of each flush. What each does was read in 15 to 18, in the file that is named.

use pgrx::pg_sys;

unsafe extern "C" {
    // access/transam/xact.c
    pub fn GetCurrentTransactionNestLevel() -> i32;
    pub fn IsTransactionState() -> bool;
    pub fn GetCurrentStatementStartTimestamp() -> pg_sys::TimestampTz;
    // access/transam/xlog.c
    pub fn RecoveryInProgress() -> bool;
    // access/common/relation.c: with NoLock, a reference is given back
    pub fn relation_close(relation: pg_sys::Relation, lock: pg_sys::LOCKMODE);
    // executor/execTuples.c: of slots whose attributes are those of their descriptor; pins are given back
    pub fn slot_getsomeattrs_int(slot: *mut pg_sys::TupleTableSlot, attnum: i32);
    pub fn ExecDropSingleTupleTableSlot(slot: *mut pg_sys::TupleTableSlot);
    pub fn ExecStoreMinimalTuple(
        tuple: pg_sys::MinimalTuple,
        slot: *mut pg_sys::TupleTableSlot,
        free: bool,
    ) -> *mut pg_sys::TupleTableSlot;
    // utils/adt/timestamp.c
    pub fn GetCurrentTimestamp() -> pg_sys::TimestampTz;
    // utils/init/miscinit.c
    pub fn GetUserId() -> pg_sys::Oid;
    pub fn GetUserIdAndSecContext(user: *mut pg_sys::Oid, context: *mut i32);
    pub fn SetUserIdAndSecContext(user: pg_sys::Oid, context: i32);
    // utils/misc/guc.c
    pub fn NewGUCNestLevel() -> i32;
    // utils/mmgr/mcxt.c: of contexts without callbacks that raise
    pub fn MemoryContextReset(context: pg_sys::MemoryContext);
    pub fn MemoryContextDelete(context: pg_sys::MemoryContext);
    // utils/sort/tuplestore.c
    pub fn tuplestore_tuple_count(store: *mut pg_sys::Tuplestorestate) -> i64;
    // utils/time/snapmgr.c
    pub fn GetActiveSnapshot() -> pg_sys::Snapshot;
    pub fn PopActiveSnapshot();
}

/// GetCurrentCommandId, without saying that the command id is used, which a parallel worker must not.
///
/// # Safety
/// Inside of a transaction.
pub unsafe fn current_command() -> pg_sys::CommandId {
    unsafe extern "C" {
        fn GetCurrentCommandId(used: bool) -> pg_sys::CommandId;
    }
    // SAFETY: inside of a transaction, as the caller promises.
    unsafe { GetCurrentCommandId(false) }
}
