//! Rows on their way into a TVIEW, and places of stored rows: one step of a flush computes them and a later step writes them.
//!
//! Invariant: memory is bounded by work_mem: the first few rows are kept as tuples, which is cheap, further rows in a tuplestore. Both
//! belong to the memory context and resource owner in which the `Rows` was made, so it can be filled while a query runs.
//! Called by the strategies and by apply.

use crate::pg::relation::Relation;
use crate::pg::{silent, slot, tupdesc};
use pgrx::pg_sys::{self, Datum, ItemPointerData};

/// Up to so many rows or places, there is no tuplestore.
const FEW: usize = 64;
const FEW_BYTES: usize = 1 << 16;

/// Memory context and resource owner that rows belong to, also when they are put while a query runs.
#[derive(Clone, Copy)]
pub struct Home {
    context: pg_sys::MemoryContext,
    owner: pg_sys::ResourceOwner,
}

impl Home {
    pub fn here() -> Home {
        // SAFETY: plain globals.
        unsafe { Home { context: pg_sys::CurrentMemoryContext, owner: pg_sys::CurrentResourceOwner } }
    }
}

/// Rows of one type, in the order in which they are put.
pub struct Rows {
    desc: pg_sys::TupleDesc,
    home: Home,
    few: Vec<pg_sys::MinimalTuple>,
    /// Size of the few.
    bytes: usize,
    store: *mut pg_sys::Tuplestorestate,
    slot: *mut pg_sys::TupleTableSlot,
    len: usize,
    next: usize,
    /// In kB.
    memory: i32,
}

impl Rows {
    /// Rows of a relation, which stays open.
    pub fn of(rel: &Relation) -> Rows {
        // SAFETY: the descriptor of an open relation.
        unsafe { Rows::new(rel.tupdesc()) }
    }

    /// # Safety
    /// `desc` outlives the rows.
    pub unsafe fn new(desc: pg_sys::TupleDesc) -> Rows {
        // SAFETY: `desc` outlives the rows, as the caller promises.
        unsafe {
            Rows {
                desc,
                home: Home::here(),
                few: Vec::new(),
                bytes: 0,
                store: std::ptr::null_mut(),
                slot: std::ptr::null_mut(),
                len: 0,
                next: 0,
                memory: pg_sys::work_mem,
            }
        }
    }

    /// Rows that belong to `home` instead of the current context and owner.
    pub fn at(mut self, home: Home) -> Rows {
        self.home = home;
        self
    }

    /// One of so many `Rows` that are filled together and share work_mem.
    pub fn among(mut self, parts: usize) -> Rows {
        self.memory = (self.memory / parts as i32).max(64);
        self
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// Copies a row.
    ///
    /// # Safety
    /// One value for each attribute.
    pub unsafe fn put(&mut self, values: &[Datum], nulls: &[bool]) {
        // SAFETY: One value for each attribute, as the caller promises.
        unsafe {
            self.at_home(|rows| rows.keep(values, nulls));
            self.len += 1;
        }
    }

    /// # Safety
    /// One value and one flag for each attribute of the rows' descriptor.
    unsafe fn keep(&mut self, values: &[Datum], nulls: &[bool]) {
        // SAFETY: one value and one flag for each attribute of the rows' descriptor.
        unsafe {
            if self.store.is_null() && self.few.len() < FEW && self.bytes < FEW_BYTES {
                let tuple = form(self.desc, values, nulls);
                self.bytes += (*tuple).t_len as usize;
                self.few.push(tuple);
                return;
            }
            if self.store.is_null() {
                self.store = pg_sys::tuplestore_begin_heap(true, false, self.memory);
                self.slot = pg_sys::MakeSingleTupleTableSlot(self.desc, &pg_sys::TTSOpsMinimalTuple);
            }
            let (values, nulls) = (values.as_ptr().cast_mut(), nulls.as_ptr().cast_mut());
            pg_sys::tuplestore_putvalues(self.store, self.desc, values, nulls);
        }
    }

    /// The next row, valid until the following call; false at the end.
    ///
    /// # Safety
    /// The slices have one element for each attribute.
    pub unsafe fn next(&mut self, values: &mut [Datum], nulls: &mut [bool]) -> bool {
        // SAFETY: The slices have one element for each attribute, as the caller promises.
        unsafe {
            if self.next >= self.len {
                return false;
            }
            if self.slot.is_null() {
                self.slot =
                    self.at_home(|rows| pg_sys::MakeSingleTupleTableSlot(rows.desc, &pg_sys::TTSOpsMinimalTuple));
            }
            if let Some(tuple) = self.few.get(self.next) {
                silent::ExecStoreMinimalTuple(*tuple, self.slot, false);
            } else if self.store.is_null() || !pg_sys::tuplestore_gettupleslot(self.store, true, false, self.slot) {
                return false;
            }
            self.next += 1;
            let (found, empty) = slot::all(self.slot);
            values.copy_from_slice(found);
            nulls.copy_from_slice(empty);
            true
        }
    }

    /// Runs `f` in the context, and for the resource owner, that these rows belong to.
    fn at_home<T>(&mut self, f: impl FnOnce(&mut Rows) -> T) -> T {
        // SAFETY: the context of the rows lives as long as they do; the one before is restored.
        unsafe {
            let before = (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner);
            pg_sys::CurrentMemoryContext = self.home.context;
            pg_sys::CurrentResourceOwner = self.home.owner;
            let out = f(self);
            (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner) = before;
            out
        }
    }
}

/// # Safety
/// `desc` describes a relation that is open.
unsafe fn form(desc: pg_sys::TupleDesc, values: &[Datum], nulls: &[bool]) -> pg_sys::MinimalTuple {
    // SAFETY: `desc` describes a relation that is open.
    unsafe {
        #[cfg(not(feature = "since_18"))]
        return pg_sys::heap_form_minimal_tuple(desc, values.as_ptr().cast_mut(), nulls.as_ptr().cast_mut());
        #[cfg(feature = "since_18")]
        pg_sys::heap_form_minimal_tuple(desc, values.as_ptr(), nulls.as_ptr(), 0)
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        // SAFETY: ours, freed once.
        unsafe {
            for tuple in &self.few {
                pg_sys::pfree((*tuple).cast());
            }
            if !self.slot.is_null() {
                silent::ExecDropSingleTupleTableSlot(self.slot);
            }
            if !self.store.is_null() {
                pg_sys::tuplestore_end(self.store);
            }
        }
    }
}

/// Places of rows.
pub struct Places {
    few: Vec<ItemPointerData>,
    rows: Rows,
    next: usize,
}

impl Places {
    pub fn new() -> Places {
        // SAFETY: the descriptor lives in the current context, as the rows do.
        unsafe {
            static ONE: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
            // one for the session
            let desc = *ONE.get_or_init(|| {
                let before = pg_sys::MemoryContextSwitchTo(pg_sys::TopMemoryContext);
                let desc = tupdesc::of(1, |desc| {
                    pg_sys::TupleDescInitEntry(desc, 1, c"place".as_ptr(), pg_sys::INT8OID, -1, 0);
                });
                pg_sys::MemoryContextSwitchTo(before);
                desc as usize
            });
            Places { few: Vec::new(), rows: Rows::new(desc as pg_sys::TupleDesc), next: 0 }
        }
    }

    pub fn len(&self) -> usize {
        self.few.len() + self.rows.len()
    }

    pub fn put(&mut self, tid: ItemPointerData) {
        if self.few.len() < FEW {
            self.few.push(tid);
            return;
        }
        // SAFETY: one value for one attribute.
        unsafe { self.rows.put(&[Datum::from(pack(tid))], &[false]) };
    }

    pub fn next(&mut self) -> Option<ItemPointerData> {
        if let Some(tid) = self.few.get(self.next) {
            self.next += 1;
            return Some(*tid);
        }
        let (mut value, mut null) = ([Datum::from(0usize)], [false]);
        // SAFETY: one attribute.
        unsafe { self.rows.next(&mut value, &mut null).then(|| unpack(value[0].value() as i64)) }
    }
}

/// A place as a number.
pub fn pack(tid: ItemPointerData) -> i64 {
    let block = i64::from(tid.ip_blkid.bi_hi) << 16 | i64::from(tid.ip_blkid.bi_lo);
    block << 16 | i64::from(tid.ip_posid)
}

pub fn unpack(place: i64) -> ItemPointerData {
    let ip_blkid = pg_sys::BlockIdData { bi_hi: (place >> 32) as u16, bi_lo: (place >> 16) as u16 };
    ItemPointerData { ip_blkid, ip_posid: place as u16 }
}

/// A row of the TVIEW made from a row of the query, which may have fewer columns: state attributes that the query does not compute are NULL.
pub struct Filled {
    pub values: Vec<Datum>,
    pub nulls: Vec<bool>,
}

impl Filled {
    pub fn new(natts: usize) -> Filled {
        Filled { values: vec![Datum::from(0usize); natts], nulls: vec![true; natts] }
    }

    pub fn fill(&mut self, values: &[Datum], nulls: &[bool]) {
        let n = values.len().min(self.values.len());
        self.values[..n].copy_from_slice(&values[..n]);
        self.nulls[..n].copy_from_slice(&nulls[..n]);
    }
}
