//! The difference between stored rows and computed rows, as multisets, byte for byte.
//!
//! Stored rows are kept by a hash of their bytes (128 bits with a random key), computed rows are looked up one by one: a hit pairs the two.
//! Stored rows without a partner are deleted, computed rows without one are inserted. Equal rows are one entry of the table with a list of places:
//! entries of their own would all collide. Invariant: memory is bounded by the limit for a hash table of the server (hash_mem): a
//! table that would grow beyond it is written to disk in parts by hash, like the computed rows from then on, and the parts are compared one after the
//! other. Called by strategies full and keyed (partitions of windows).

use crate::pg::error::Result;
use crate::pg::memory::{Arena, InArena, enough, hash_mem};
use crate::pg::relation::Relation;
use crate::pg::row_hash::RowHash;
use crate::pg::{slot, tupdesc};
use crate::refresh::follow::apply::Changes;
use crate::refresh::follow::rows::{Home, Rows, pack, unpack};
use allocator_api2::vec::Vec as ArenaVec;
use hashbrown::hash_table::{Entry, HashTable};
use pgrx::pg_sys::{self, Datum, ItemPointerData};

/// How many parts there are on disk.
const PARTS: usize = 64;

/// A stored row.
struct Stored {
    hash: u128,
    place: i64,
}

/// Stored rows that are equal: the place of the last row, and the index of the row before it in `others`, counted from 1; 0: none.
struct Equal {
    hash: u128,
    place: i64,
    before: usize,
}

/// The table is dropped before the context that it lives in.
struct Table {
    entries: HashTable<Equal, InArena>,
    /// Place of a row, and the index of the row before it.
    others: ArenaVec<(i64, usize), InArena>,
    _arena: Arena,
}

impl Table {
    fn new() -> Table {
        let arena = Arena::of_transaction(c"tviews stored rows");
        let entries = HashTable::new_in(arena.allocator());
        Table { entries, others: ArenaVec::new_in(arena.allocator()), _arena: arena }
    }

    fn add(&mut self, Stored { hash, place }: Stored) {
        enough(self.entries.try_reserve(1, |e| e.hash as u64));
        enough(self.others.try_reserve(1));
        match self.entries.entry(hash as u64, |e| e.hash == hash, |e| e.hash as u64) {
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                self.others.push((known.place, known.before));
                (known.place, known.before) = (place, self.others.len());
            }
            Entry::Vacant(free) => {
                free.insert(Equal { hash, place, before: 0 });
            }
        }
    }

    /// Removes one row with this hash.
    fn take(&mut self, hash: u128) -> bool {
        let Entry::Occupied(mut found) = self.entries.entry(hash as u64, |e| e.hash == hash, |e| e.hash as u64) else {
            return false;
        };
        match found.get().before.checked_sub(1) {
            Some(before) => {
                let last = found.get_mut();
                (last.place, last.before) = self.others[before];
            }
            None => {
                found.remove();
            }
        }
        true
    }

    /// Calls `f` for all rows.
    fn each(&self, mut f: impl FnMut(Stored)) {
        for Equal { hash, place, before } in self.entries.iter() {
            let (mut place, mut before) = (*place, *before);
            f(Stored { hash: *hash, place });
            while before > 0 {
                (place, before) = self.others[before - 1];
                f(Stored { hash: *hash, place });
            }
        }
    }

    fn bytes(&self) -> usize {
        self.entries.capacity() * (size_of::<Equal>() + 1) + self.others.capacity() * size_of::<(i64, usize)>()
    }
}

/// Rows on disk, by hash.
struct Part {
    /// Two halves of the hash, and the place.
    stored: Rows,
    computed: Rows,
}

pub struct Difference<'a> {
    rel: &'a Relation,
    hash: RowHash,
    table: Table,
    parts: Vec<Part>,
    changes: Changes,
    pub unchanged: u64,
    /// Descriptor of a stored row on disk.
    desc: pg_sys::TupleDesc,
    home: Home,
}

impl<'a> Difference<'a> {
    /// Only the first `selected` attributes are compared.
    pub fn new(rel: &'a Relation, selected: usize) -> Difference<'a> {
        // SAFETY: lives in the current context, as the rows on disk do.
        let desc = unsafe {
            tupdesc::of(3, |desc| {
                for (number, label) in [c"high", c"low", c"place"].into_iter().enumerate() {
                    pg_sys::TupleDescInitEntry(desc, number as i16 + 1, label.as_ptr(), pg_sys::INT8OID, -1, 0);
                }
            })
        };
        let hash = RowHash::new(rel, selected);
        let (table, changes) = (Table::new(), Changes::new(rel));
        Difference { rel, hash, table, parts: Vec::new(), changes, unchanged: 0, desc, home: Home::here() }
    }

    /// Adds a stored row. All stored rows come before computed rows.
    pub fn stored(&mut self, values: &[Datum], nulls: &[bool], tid: ItemPointerData) {
        let stored = Stored { hash: self.hash.of(values, nulls), place: pack(tid) };
        if !self.parts.is_empty() {
            return self.put(&stored);
        }
        self.table.add(stored);
        if self.table.bytes() > hash_mem() {
            // SAFETY: the descriptor lives as long as the difference.
            let part = || unsafe {
                let at_home = |rows: Rows| rows.among(PARTS).at(self.home);
                Part { stored: at_home(Rows::new(self.desc)), computed: at_home(Rows::of(self.rel)) }
            };
            self.parts = (0..PARTS).map(|_| part()).collect();
            let table = std::mem::replace(&mut self.table, Table::new());
            table.each(|stored| self.put(&stored));
        }
    }

    fn put(&mut self, stored: &Stored) {
        let halves = [(stored.hash >> 64) as i64, stored.hash as i64, stored.place];
        // SAFETY: three values for three attributes.
        unsafe { self.parts[part_of(stored.hash)].stored.put(&halves.map(Datum::from), &[false; 3]) };
    }

    /// Adds a computed row: one value for each attribute.
    pub fn computed(&mut self, values: &[Datum], nulls: &[bool]) {
        let hash = self.hash.of(values, nulls);
        // SAFETY: one value for each attribute.
        unsafe {
            if !self.parts.is_empty() {
                self.parts[part_of(hash)].computed.put(values, nulls);
            } else if self.table.take(hash) {
                self.unchanged += 1;
            } else {
                self.changes.inserts.put(values, nulls);
            }
        }
    }

    /// The changes that turn the stored rows into the computed rows, and the number of unchanged rows.
    pub fn finish(mut self) -> Result<(Changes, u64)> {
        let n = self.rel.natts();
        let (mut values, mut nulls) = (vec![Datum::from(0usize); n], vec![true; n]);
        for mut part in std::mem::take(&mut self.parts) {
            let (mut stored, mut never) = ([Datum::from(0usize); 3], [false; 3]);
            // SAFETY: rows are read as they were put.
            unsafe {
                while part.stored.next(&mut stored, &mut never) {
                    pgrx::check_for_interrupts!();
                    let [high, low, place] = stored.map(|d| d.value() as i64);
                    let hash = u128::from(high as u64) << 64 | u128::from(low as u64);
                    self.table.add(Stored { hash, place });
                }
                while part.computed.next(&mut values, &mut nulls) {
                    pgrx::check_for_interrupts!();
                    self.computed(&values, &nulls);
                }
            }
            self.drain();
        }
        self.drain();
        self.one_update(&mut values, &mut nulls);
        Ok((self.changes, self.unchanged))
    }

    /// Deletes the stored rows that are left in the table.
    fn drain(&mut self) {
        let (table, deletes) = (&mut self.table, &mut self.changes.deletes);
        table.each(|stored| deletes.put(unpack(stored.place)));
        table.entries.clear();
        table.others.clear();
    }

    /// Turns a single delete and a single insert into an update.
    fn one_update(&mut self, values: &mut [Datum], nulls: &mut [bool]) {
        if self.changes.deletes.len() != 1 || self.changes.inserts.len() != 1 {
            return;
        }
        let mut only = std::mem::replace(&mut self.changes, Changes::new(self.rel));
        // SAFETY: one value for each attribute.
        unsafe {
            if let (Some(tid), true) = (only.deletes.next(), only.inserts.next(values, nulls)) {
                self.changes.update(tid, values, nulls);
            }
        }
    }
}

fn part_of(hash: u128) -> usize {
    (hash >> 64) as usize % PARTS
}

/// Calls `f` for every stored row that the snapshot sees: values, null flags, place.
#[allow(ffi_unwind_calls)] // inside the guard's closure, which has nothing to drop
pub fn each_stored(rel: &Relation, snapshot: pg_sys::Snapshot, mut f: impl FnMut(&[Datum], &[bool], ItemPointerData)) {
    use pgrx::pg_sys::ffi::pg_guard_ffi_boundary as guard;
    // SAFETY: a sequential scan through the access method's own callbacks; values are looked at before the next row.
    unsafe {
        let routine = &*(*rel.raw()).rd_tableam;
        let (Some(begin), Some(next), Some(end)) = (routine.scan_begin, routine.scan_getnextslot, routine.scan_end)
        else {
            return;
        };
        let flags = pg_sys::ScanOptions::SO_TYPE_SEQSCAN
            | pg_sys::ScanOptions::SO_ALLOW_STRAT
            | pg_sys::ScanOptions::SO_ALLOW_PAGEMODE;
        let (raw, null) = (rel.raw(), std::ptr::null_mut());
        let scan = guard(|| begin(raw, snapshot, 0, null, std::ptr::null_mut(), flags));
        let row = pg_sys::MakeSingleTupleTableSlot(rel.tupdesc(), &pg_sys::TTSOpsBufferHeapTuple);
        while guard(|| next(scan, pg_sys::ScanDirection::ForwardScanDirection, row)) {
            pgrx::check_for_interrupts!();
            let (values, nulls) = slot::all(row);
            f(values, nulls, (*row).tts_tid);
        }
        pg_sys::ExecDropSingleTupleTableSlot(row);
        guard(|| end(scan));
    }
}
