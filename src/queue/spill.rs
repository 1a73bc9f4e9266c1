//! The part of a change set that did not fit in memory: a server tuplestore of (weight, image).
//!
//! Invariant: the store belongs to the transaction's memory context and resource owner, so an abort frees its files; it is only touched
//! while that transaction lives. At the end of a (sub)transaction nothing is read or closed: a store that is dropped then is closed
//! by the next statement that spills, or before commit (`bury`).

use crate::pg::process::process;
use crate::pg::{ending, guc, tupdesc};
use pgrx::pg_sys;
use std::cell::RefCell;

process! {
    /// Dropped stores, to be closed.
    static DEAD: RefCell<Vec<*mut pg_sys::Tuplestorestate>> = const { RefCell::new(Vec::new()) };
}

/// Closes the stores that were dropped at the end of sub-transactions.
pub fn bury() {
    while let Some(store) = DEAD.with(|d| d.borrow_mut().pop()) {
        // SAFETY: of this transaction, closed once.
        unsafe { pg_sys::tuplestore_end(store) };
    }
}

/// The transaction has ended, and with it all stores.
pub fn reset() {
    DEAD.with(|d| d.borrow_mut().clear());
}

pub struct Spill {
    store: *mut pg_sys::Tuplestorestate,
    desc: pg_sys::TupleDesc,
    len: usize,
}

impl Spill {
    pub fn new() -> Spill {
        Spill::among(1)
    }

    /// One of so many stores that are filled together and share the memory.
    pub fn among(parts: usize) -> Spill {
        bury();
        // SAFETY: context and owner are switched back; they exist while a transaction does.
        unsafe {
            let context = pg_sys::MemoryContextSwitchTo(pg_sys::TopTransactionContext);
            let owner = pg_sys::CurrentResourceOwner;
            pg_sys::CurrentResourceOwner = pg_sys::TopTransactionResourceOwner;
            let memory = match guc::CHANGE_BUFFER_MEMORY.get() {
                n if n < 0 => pg_sys::work_mem,
                n => n,
            };
            let memory = (memory / parts as i32).max(64);
            let store = pg_sys::tuplestore_begin_heap(false, false, memory);
            let desc = tupdesc::of(2, |desc| {
                pg_sys::TupleDescInitEntry(desc, 1, c"weight".as_ptr(), pg_sys::INT8OID, -1, 0);
                pg_sys::TupleDescInitEntry(desc, 2, c"image".as_ptr(), pg_sys::BYTEAOID, -1, 0);
            });
            pg_sys::CurrentResourceOwner = owner;
            pg_sys::MemoryContextSwitchTo(context);
            Spill { store, desc, len: 0 }
        }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn put(&mut self, image: &[u64], weight: i64) {
        let bytes = image.len() * 8;
        // SAFETY: the varlena is 4-byte header plus payload; tuplestore_putvalues copies it.
        unsafe {
            let varlena = pg_sys::palloc(bytes + 4).cast::<u8>();
            pgrx::set_varsize_4b(varlena.cast(), (bytes + 4) as i32);
            std::ptr::copy_nonoverlapping(image.as_ptr().cast::<u8>(), varlena.add(4), bytes);
            let values = [pg_sys::Datum::from(weight), pg_sys::Datum::from(varlena)];
            let nulls = [false, false];
            pg_sys::tuplestore_putvalues(self.store, self.desc, values.as_ptr().cast_mut(), nulls.as_ptr().cast_mut());
            pg_sys::pfree(varlena.cast());
        }
        self.len += 1;
    }

    pub fn each(&self, mut f: impl FnMut(&[u64], i64)) {
        // SAFETY: the slot is ours; datums are copied before the next row.
        unsafe {
            let slot = pg_sys::MakeSingleTupleTableSlot(self.desc, &pg_sys::TTSOpsMinimalTuple);
            pg_sys::tuplestore_rescan(self.store);
            while pg_sys::tuplestore_gettupleslot(self.store, true, false, slot) {
                pgrx::check_for_interrupts!();
                let (values, _) = crate::pg::slot::all(slot);
                let weight = values[0].value() as i64;
                let datum = values[1];
                let varlena = pg_sys::pg_detoast_datum(datum.cast_mut_ptr());
                let bytes = pgrx::varsize_any_exhdr(varlena);
                let mut image = vec![0u64; bytes / 8];
                let data = pgrx::vardata_any(varlena).cast::<u8>();
                std::ptr::copy_nonoverlapping(data, image.as_mut_ptr().cast::<u8>(), bytes);
                f(&image, weight);
                if varlena.cast::<u8>() != datum.cast_mut_ptr() {
                    pg_sys::pfree(varlena.cast());
                }
            }
            pg_sys::ExecDropSingleTupleTableSlot(slot);
        }
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        if ending::process_exits() {
            return;
        }
        if ending::is() || std::thread::panicking() {
            DEAD.with(|d| d.borrow_mut().push(self.store));
        } else {
            // SAFETY: the transaction lives, as it does not end.
            unsafe { pg_sys::tuplestore_end(self.store) };
        }
    }
}
