//! Population: rows into storage that this (sub)transaction has just created.
//!
//! Invariant: rows are written frozen, so the storage must be invisible to everyone else until commit. Indexes are not touched: the
//! caller rebuilds them once at the end ([`super::storage::rebuild_indexes`]), which is cheaper than one insertion a row.
//! Called by build.

use pgrx::pg_sys;

use super::write::form_tuple;

/// As COPY does: up to this many rows, or about this many bytes, a batch.
const BATCH_ROWS: usize = 1000;
const BATCH_BYTES: usize = 64 * 1024;

/// Collects rows and writes them a batch at a time. Call `finish`; when a panic passes, transaction abort cleans up.
pub struct BulkWriter {
    rel: pg_sys::Relation,
    bulk: pg_sys::BulkInsertState,
    /// Slots of the waiting rows, each owning its tuple; `slots.len()` grows to the largest batch.
    slots: Vec<*mut pg_sys::TupleTableSlot>,
    waiting: usize,
    bytes: usize,
    rows: u64,
    /// For slots and waiting tuples; lives as long as the writer.
    memory: pg_sys::MemoryContext,
    /// For heap's allocations while it writes; reset after each batch.
    batch_memory: pg_sys::MemoryContext,
}

impl BulkWriter {
    /// # Safety
    /// `rel` is a TVIEW, locked AccessExclusive, whose storage was created in this subtransaction
    /// ([`super::storage::replace_storage`] or CREATE); it stays open until `finish`.
    pub unsafe fn open(rel: pg_sys::Relation) -> BulkWriter {
        // SAFETY: the caller promises: `rel` is a TVIEW, locked AccessExclusive, whose storage was created in this subtransaction
        // ([`super::storage::replace_storage`] or CREATE); it stays open until `finish`.
        unsafe {
            let memory = new_context(pg_sys::CurrentMemoryContext, c"tview bulk rows");
            let batch_memory = new_context(memory, c"tview bulk batch");
            BulkWriter {
                rel,
                bulk: pg_sys::GetBulkInsertState(),
                slots: Vec::new(),
                waiting: 0,
                bytes: 0,
                rows: 0,
                memory,
                batch_memory,
            }
        }
    }

    /// Takes one row; the values are copied.
    ///
    /// # Safety
    /// The slices have one element for each attribute, state attributes included.
    pub unsafe fn insert(&mut self, values: &[pg_sys::Datum], nulls: &[bool]) {
        // SAFETY: The slices have one element for each attribute, state attributes included, as the caller promises.
        unsafe {
            let caller = pg_sys::MemoryContextSwitchTo(self.memory);
            if self.waiting == self.slots.len() {
                self.slots
                    .push(pg_sys::MakeSingleTupleTableSlot((*self.rel).rd_att, &raw const pg_sys::TTSOpsHeapTuple));
            }
            let tuple = form_tuple(self.rel, values, nulls);
            self.bytes += (*tuple).t_len as usize;
            // The slot owns the tuple and frees its previous tuple.
            pg_sys::ExecStoreHeapTuple(tuple, self.slots[self.waiting], true);
            self.waiting += 1;
            pg_sys::MemoryContextSwitchTo(caller);
            if self.waiting == BATCH_ROWS || self.bytes >= BATCH_BYTES {
                self.flush();
            }
        }
    }

    /// Writes the waiting rows and returns the number of all rows written.
    ///
    /// # Safety
    /// The relation is still open.
    pub unsafe fn finish(mut self) -> u64 {
        // SAFETY: The relation is still open, as the caller promises.
        unsafe {
            self.flush();
            pg_sys::FreeBulkInsertState(self.bulk);
            for &slot in &self.slots {
                pg_sys::ExecDropSingleTupleTableSlot(slot);
            }
            pg_sys::MemoryContextDelete(self.memory);
            self.rows
        }
    }

    /// # Safety
    /// The relation is open and locked until `finish`; the page is ours until it is written.
    unsafe fn flush(&mut self) {
        // SAFETY: the relation is open and locked until `finish`; the page is ours until it is written.
        unsafe {
            if self.waiting == 0 {
                return;
            }
            let options = pg_sys::TABLE_INSERT_FROZEN | pg_sys::TABLE_INSERT_SKIP_FSM;
            let caller = pg_sys::MemoryContextSwitchTo(self.batch_memory);
            pg_sys::heap_multi_insert(
                self.rel,
                self.slots.as_mut_ptr(),
                self.waiting as _,
                pg_sys::GetCurrentCommandId(true),
                options as _,
                self.bulk,
            );
            pg_sys::MemoryContextSwitchTo(caller);
            pg_sys::MemoryContextReset(self.batch_memory);
            self.rows += self.waiting as u64;
            self.waiting = 0;
            self.bytes = 0;
        }
    }
}

/// # Safety
/// `parent` is a live memory context.
unsafe fn new_context(parent: pg_sys::MemoryContext, name: &'static std::ffi::CStr) -> pg_sys::MemoryContext {
    // SAFETY: `parent` is a live memory context.
    unsafe {
        pg_sys::AllocSetContextCreateInternal(
            parent,
            name.as_ptr(),
            pg_sys::ALLOCSET_DEFAULT_MINSIZE as _,
            pg_sys::ALLOCSET_DEFAULT_INITSIZE as _,
            pg_sys::ALLOCSET_DEFAULT_MAXSIZE as _,
        )
    }
}
