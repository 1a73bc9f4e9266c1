//! The row-level write path: heap's semantics plus index maintenance, without SPI, triggers or permission checks.
//!
//! Invariant: after each call the heap and every index agree; memory does not grow with the number of rows. Writes carry the current
//! command id, so they become visible to this transaction after CommandCounterIncrement, as the writes of a statement do.
//! Called by refresh.

use crate::pg::memory::Arena;
use crate::pg::silent;
use pgrx::pg_sys;
use pgrx::prelude::*;

use pg_sys::Datum;

/// The result of an update or delete. `Updated` and `Deleted`: a transaction that has committed meanwhile did so to the same row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteResult {
    Ok,
    Updated,
    Deleted,
    Invisible,
}

/// An open TVIEW with its indexes. Close it at the end; when a panic passes, transaction abort cleans up.
pub struct Writer {
    rel: pg_sys::Relation,
    /// The tuple fetched last; holds its page pinned.
    fetched: *mut pg_sys::TupleTableSlot,
    /// State for inserting many rows: keeps the page being filled pinned, extends the relation by several pages. Null for a few rows.
    bulk: pg_sys::BulkInsertState,
    /// Opened for the first row that needs an entry in an index.
    indexes: Option<Indexes>,
    /// Of the row being written.
    memory: Arena,
    closed: bool,
}

/// The indexes of a TVIEW, open.
#[derive(Clone, Copy)]
struct Indexes {
    estate: *mut pg_sys::EState,
    info: *mut pg_sys::ResultRelInfo,
    /// The tuple being written, for index expressions and predicates.
    written: *mut pg_sys::TupleTableSlot,
}

impl Indexes {
    /// # Safety
    /// As for `Writer::open`.
    unsafe fn open(rel: pg_sys::Relation) -> Indexes {
        // SAFETY: as the caller promises.
        unsafe {
            let estate = pg_sys::CreateExecutorState();
            in_context((*estate).es_query_cxt, || {
                let info = pg_sys::palloc0(size_of::<pg_sys::ResultRelInfo>()).cast::<pg_sys::ResultRelInfo>();
                (*info).type_ = pg_sys::NodeTag::T_ResultRelInfo;
                // Range table index 0: nothing in the estate names the relation.
                pg_sys::InitResultRelInfo(info, rel, 0, std::ptr::null_mut(), 0);
                pg_sys::ExecOpenIndices(info, false);
                let written = pg_sys::MakeSingleTupleTableSlot((*rel).rd_att, &raw const pg_sys::TTSOpsHeapTuple);
                Indexes { estate, info, written }
            })
        }
    }

    /// # Safety
    /// Called once, while the relation is open.
    unsafe fn close(self) {
        // SAFETY: as the caller promises.
        unsafe {
            silent::ExecDropSingleTupleTableSlot(self.written);
            pg_sys::ExecCloseIndices(self.info);
            pg_sys::FreeExecutorState(self.estate);
        }
    }
}

/// From this number of rows on, inserts are bulk inserts.
const MANY_ROWS: usize = 100;

impl Writer {
    /// # Safety
    /// `rel` is a TVIEW, open and locked RowExclusive at least, and stays open until `close`.
    pub unsafe fn open(rel: pg_sys::Relation) -> Writer {
        // SAFETY: `rel` is a TVIEW, open and locked RowExclusive at least, and stays open until `close`, as the caller promises.
        unsafe {
            let fetched = pg_sys::MakeSingleTupleTableSlot((*rel).rd_att, &raw const pg_sys::TTSOpsBufferHeapTuple);
            let bulk = std::ptr::null_mut();
            Writer { rel, fetched, bulk, indexes: None, memory: Arena::current(), closed: false }
        }
    }

    /// Announces that so many rows are about to be inserted.
    ///
    /// # Safety
    /// Inside a transaction.
    pub unsafe fn expect(&mut self, rows: usize) {
        // SAFETY: Inside a transaction, as the caller promises.
        unsafe {
            if rows >= MANY_ROWS && self.bulk.is_null() {
                self.bulk = pg_sys::GetBulkInsertState();
            }
        }
    }

    /// # Safety
    /// The slices have one element per attribute whose Datums fit the attributes and stay valid during the call.
    pub unsafe fn insert(&mut self, values: &[Datum], nulls: &[bool]) {
        // SAFETY: The slices have one element per attribute whose Datums fit the attributes and stay valid during the call, as the caller promises.
        unsafe {
            self.per_row(|writer| {
                let tuple = writer.form(values, nulls);
                pg_sys::heap_insert(writer.rel, tuple, pg_sys::GetCurrentCommandId(true), 0, writer.bulk);
                writer.insert_index_tuples(tuple, false);
            });
        }
    }

    /// Replaces the row version at `tid`; a heap-only tuple when no indexed column changes and the page has room.
    ///
    /// # Safety
    /// As [`Self::insert`]; `tid` was read from this relation and its row was visible to the flush's snapshot.
    pub unsafe fn update(&mut self, mut tid: pg_sys::ItemPointerData, values: &[Datum], nulls: &[bool]) -> WriteResult {
        // SAFETY: the caller promises: as [`Self::insert`]; `tid` was read from this relation and its row was visible to the flush's snapshot.
        unsafe {
            self.per_row(|writer| {
                let tuple = writer.form(values, nulls);
                let mut failure = pg_sys::TM_FailureData::default();
                let mut mode = pg_sys::LockTupleMode::LockTupleExclusive;
                #[cfg(not(feature = "pg15"))]
                let mut indexes = pg_sys::TU_UpdateIndexes::TU_None;
                let result = pg_sys::heap_update(
                    writer.rel,
                    &mut tid,
                    tuple,
                    pg_sys::GetCurrentCommandId(true),
                    #[cfg(feature = "since_19")]
                    0,
                    std::ptr::null_mut(),
                    true,
                    &mut failure,
                    &mut mode,
                    #[cfg(not(feature = "pg15"))]
                    &mut indexes,
                );
                if result == pg_sys::TM_Result::TM_Ok {
                    #[cfg(not(feature = "pg15"))]
                    let (any, summarizing) = (
                        indexes != pg_sys::TU_UpdateIndexes::TU_None,
                        indexes == pg_sys::TU_UpdateIndexes::TU_Summarizing,
                    );
                    #[cfg(feature = "pg15")]
                    let (any, summarizing) =
                        ((*(*tuple).t_data).t_infomask2 as u32 & pg_sys::HEAP_ONLY_TUPLE == 0, false);
                    if any {
                        writer.insert_index_tuples(tuple, summarizing);
                    }
                }
                outcome(result)
            })
        }
    }

    /// # Safety
    /// As [`Self::update`].
    pub unsafe fn delete(&mut self, mut tid: pg_sys::ItemPointerData) -> WriteResult {
        // SAFETY: As [`Self::update`], as the caller promises.
        unsafe {
            self.per_row(|writer| {
                let mut failure = pg_sys::TM_FailureData::default();
                let cid = pg_sys::GetCurrentCommandId(true);
                let crosscheck = std::ptr::null_mut();
                #[cfg(not(feature = "since_19"))]
                let result = pg_sys::heap_delete(writer.rel, &mut tid, cid, crosscheck, true, &mut failure, false);
                #[cfg(feature = "since_19")]
                let result = pg_sys::heap_delete(writer.rel, &raw mut tid, cid, 0, crosscheck, true, &mut failure);
                outcome(result)
            })
        }
    }

    /// Reads the row version at `tid` into `values` and `nulls` (state attributes included) if the snapshot sees it. The Datums point into
    /// the pinned page: valid until the next fetch or close. Large values stay TOAST pointers.
    ///
    /// # Safety
    /// `snapshot` is active or registered; the slices have one element per attribute.
    pub unsafe fn fetch_values(
        &mut self,
        tid: pg_sys::ItemPointerData,
        snapshot: pg_sys::Snapshot,
        values: &mut [Datum],
        nulls: &mut [bool],
    ) -> bool {
        // SAFETY: the caller promises: `snapshot` is active or registered; the slices have one element per attribute.
        unsafe {
            if !self.fetch_slot(tid, snapshot) {
                return false;
            }
            let (found, empty) = crate::pg::slot::all(self.fetched);
            values.copy_from_slice(found);
            nulls.copy_from_slice(empty);
            true
        }
    }

    /// Closes the indexes and frees all memory; locks stay until the end of the transaction.
    ///
    /// # Safety
    /// The relation is still open.
    pub unsafe fn close(mut self) {
        // SAFETY: The relation is still open, as the caller promises.
        unsafe {
            self.release();
        }
    }

    /// # Safety
    /// The writer is open: its slot and its buffers are its own.
    unsafe fn release(&mut self) {
        // SAFETY: the writer is open: its slot and its buffers are its own.
        unsafe {
            if std::mem::replace(&mut self.closed, true) {
                return;
            }
            if !self.bulk.is_null() {
                pg_sys::FreeBulkInsertState(self.bulk);
            }
            silent::ExecDropSingleTupleTableSlot(self.fetched);
            if let Some(indexes) = self.indexes.take() {
                indexes.close();
            }
        }
    }

    /// Runs `work` in memory that is reset before the next row.
    ///
    /// # Safety
    /// The context of the row is the writer's own and is reset before the next row.
    unsafe fn per_row<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        // SAFETY: the context of the row is the writer's own and is reset before the next row.
        unsafe {
            self.memory.reset();
            in_context(self.memory.raw(), || work(self))
        }
    }

    /// # Safety
    /// One value and one flag for each attribute of the relation, which is open.
    unsafe fn form(&self, values: &[Datum], nulls: &[bool]) -> pg_sys::HeapTuple {
        // SAFETY: one value and one flag for each attribute of the relation, which is open.
        unsafe { form_tuple(self.rel, values, nulls) }
    }

    /// # Safety
    /// `tuple` is a tuple of that shape.
    unsafe fn insert_index_tuples(&mut self, tuple: pg_sys::HeapTuple, summarizing: bool) {
        // SAFETY: `tuple` is a tuple of that shape.
        unsafe {
            let Indexes { estate, info, written } = match self.indexes {
                Some(indexes) => indexes,
                // Not in the memory of the row.
                None => in_context((*self.memory.raw()).parent, || Indexes::open(self.rel)),
            };
            self.indexes = Some(Indexes { estate, info, written });
            if (*info).ri_NumIndices == 0 {
                return;
            }
            let expressions = (*estate).es_per_tuple_exprcontext;
            if !expressions.is_null() {
                silent::MemoryContextReset((*expressions).ecxt_per_tuple_memory);
            }
            pg_sys::ExecStoreHeapTuple(tuple, written, false);
            // Not as for an UPDATE: that would ask the estate's range table which columns changed, only to pass a hint to the index.
            #[cfg(feature = "pg15")]
            {
                let _ = summarizing;
                pg_sys::ExecInsertIndexTuples(
                    info,
                    written,
                    estate,
                    false,
                    false,
                    std::ptr::null_mut(),
                    std::ptr::null_mut(),
                );
            }
            #[cfg(feature = "since_19")]
            {
                let flags = if summarizing { pg_sys::EIIT_ONLY_SUMMARIZING } else { 0 };
                let none = std::ptr::null_mut();
                pg_sys::ExecInsertIndexTuples(info, estate, flags, written, none, std::ptr::null_mut());
            }
            #[cfg(not(any(feature = "pg15", feature = "since_19")))]
            pg_sys::ExecInsertIndexTuples(
                info,
                written,
                estate,
                false,
                false,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                summarizing,
            );
            // The tuple is freed with the row's memory.
            crate::pg::slot::clear(written);
        }
    }

    /// # Safety
    /// `snapshot` is registered by the caller.
    unsafe fn fetch_slot(&mut self, tid: pg_sys::ItemPointerData, snapshot: pg_sys::Snapshot) -> bool {
        // SAFETY: `snapshot` is registered by the caller.
        unsafe {
            crate::pg::slot::clear(self.fetched);
            let tuple = &raw mut (*self.fetched_buffer_slot()).base.tupdata;
            (*tuple).t_self = tid;
            let mut buffer: pg_sys::Buffer = pg_sys::InvalidBuffer as _;
            if !pg_sys::heap_fetch(self.rel, snapshot, tuple, &mut buffer, false) {
                return false;
            }
            pg_sys::ExecStorePinnedBufferHeapTuple(tuple, self.fetched, buffer);
            true
        }
    }

    fn fetched_buffer_slot(&self) -> *mut pg_sys::BufferHeapTupleTableSlot {
        self.fetched.cast()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: normal flow of control: the transaction is alive and the relation still open.
            unsafe { self.release() }
        }
    }
}

/// Forms a tuple of `rel` in the current memory context. Values of any origin may be TOAST pointers or expanded objects: heap copies them.
///
/// # Safety
/// `rel` is open.
pub(super) unsafe fn form_tuple(rel: pg_sys::Relation, values: &[Datum], nulls: &[bool]) -> pg_sys::HeapTuple {
    // SAFETY: `rel` is open.
    unsafe {
        let desc = (*rel).rd_att;
        assert!(values.len() == (*desc).natts as usize && nulls.len() == values.len(), "one value for each attribute");
        let tuple = pg_sys::heap_form_tuple(desc, values.as_ptr() as *mut Datum, nulls.as_ptr() as *mut bool);
        (*tuple).t_tableOid = (*rel).rd_id;
        tuple
    }
}

/// Runs `work` with `context` current; on error PostgreSQL resets the current context itself.
///
/// # Safety
/// `context` is a live memory context.
unsafe fn in_context<T>(context: pg_sys::MemoryContext, work: impl FnOnce() -> T) -> T {
    // SAFETY: `context` is a live memory context.
    unsafe {
        let caller = pg_sys::MemoryContextSwitchTo(context);
        let result = work();
        pg_sys::MemoryContextSwitchTo(caller);
        result
    }
}

fn outcome(result: pg_sys::TM_Result::Type) -> WriteResult {
    match result {
        pg_sys::TM_Result::TM_Ok => WriteResult::Ok,
        pg_sys::TM_Result::TM_Updated => WriteResult::Updated,
        pg_sys::TM_Result::TM_Deleted => WriteResult::Deleted,
        pg_sys::TM_Result::TM_Invisible => WriteResult::Invisible,
        pg_sys::TM_Result::TM_SelfModified => error!("row of a TVIEW written twice in one command"),
        other => error!("unexpected result {other} of a write to a TVIEW"),
    }
}
