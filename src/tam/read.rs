//! Reading row versions by their place, state attributes included.
//!
//! Called by refresh.

use pgrx::pg_sys::{self, ffi::pg_guard_ffi_boundary as guard};

pub struct Reader {
    rel: pg_sys::Relation,
    slot: *mut pg_sys::TupleTableSlot,
}

impl Reader {
    /// # Safety
    /// `rel` is a TVIEW, open until `close`.
    pub unsafe fn open(rel: pg_sys::Relation) -> Reader {
        // SAFETY: `rel` is a TVIEW, open until `close`, as the caller promises.
        unsafe {
            Reader {
                rel,
                slot: pg_sys::MakeSingleTupleTableSlot((*rel).rd_att, &raw const pg_sys::TTSOpsBufferHeapTuple),
            }
        }
    }

    /// Values and null flags of the row version at `tid`, if the snapshot sees it; valid until the next fetch.
    ///
    /// # Safety
    /// `snapshot` is active or registered.
    #[allow(ffi_unwind_calls)] // inside the guard's closure, which has nothing to drop
    pub unsafe fn fetch(
        &mut self,
        mut tid: pg_sys::ItemPointerData,
        snapshot: pg_sys::Snapshot,
    ) -> Option<(&[pg_sys::Datum], &[bool])> {
        // SAFETY: `snapshot` is active or registered, as the caller promises.
        unsafe {
            let fetch = (*(*self.rel).rd_tableam).tuple_fetch_row_version?;
            let (rel, slot) = (self.rel, self.slot);
            let found = guard(|| fetch(rel, &mut tid, snapshot, slot));
            found.then(|| crate::pg::slot::all(slot))
        }
    }

    /// # Safety
    /// Called once, while nothing unwinds.
    pub unsafe fn close(self) {
        // SAFETY: Called once, while nothing unwinds, as the caller promises.
        unsafe {
            pg_sys::ExecDropSingleTupleTableSlot(self.slot);
        }
    }
}
