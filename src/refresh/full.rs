//! Strategy full: recompute everything, write the difference.
//!
//! The stored rows are hashed (128 bits with a random key, over the detoasted bytes of every attribute), the query's
//! rows are looked up one by one: a hit pairs the two and nothing is written; what is left over on either side is
//! deleted or inserted. Memory: about 40 bytes a stored row; rows to insert go through a tuplestore.
//! Invariant: afterwards the stored multiset of rows equals the query's, byte for byte.

use super::apply::Change;
use super::tview::Size;
use super::Job;
use crate::pg::error::Result;
use crate::pg::pinned::Paths;
use crate::pg::relation::Relation;
use crate::pg::slot;
use crate::pg::snapshot::Active;
use crate::pg::spi::Session;
use pgrx::pg_sys::{self, ffi::pg_guard_ffi_boundary as guard};
use siphasher::sip128::{Hasher128, SipHasher13};
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};

type Tids = Vec<pg_sys::ItemPointerData>;

impl Job<'_> {
    pub(super) fn full(&mut self) -> Result<()> {
        self.done.full_recomputes = 1;
        let snapshot = self.snapshot();
        let session = Session::open();
        let hash = RowHash::new(self.rel, self.tview.selected);
        let mut stored = stored_rows(self.rel, &snapshot, &hash);
        let natts = self.rel.natts();
        // SAFETY: the store lives in the SPI procedure context, ended with the session at the latest.
        let missing = unsafe { Missing::new(self.rel) };
        let _planning = Paths::any();
        let plan = self.tview.plan(&session, &self.tview.query, Size::WHOLE)?;
        let mut values = vec![pg_sys::Datum::from(0usize); natts];
        let mut nulls = vec![true; natts];
        let mut unchanged = 0;
        session.stream(&plan, 500, |rows| {
            for row in 0..rows.len() {
                rows.deform(row, &mut values, &mut nulls);
                match stored.get_mut(&hash.of(&values, &nulls)) {
                    Some(tids) if !tids.is_empty() => {
                        tids.pop();
                        unchanged += 1;
                    }
                    // SAFETY: one value per attribute.
                    _ => unsafe { missing.put(&values, &nulls) },
                }
            }
        });
        self.done.rows_unchanged = unchanged;
        let surplus: Tids = stored.into_values().flatten().collect();
        self.write_difference(surplus, &missing, &snapshot)
    }

    fn write_difference(&mut self, surplus: Tids, missing: &Missing, snapshot: &Active) -> Result<()> {
        let (deleted, inserted) = (surplus.len(), missing.len());
        let update = deleted == 1 && inserted == 1;
        let mut changes = Vec::with_capacity(deleted);
        for tid in &surplus {
            changes.push(if update { Change::Update(*tid, ()) } else { Change::Delete(*tid) });
        }
        if !update {
            changes.extend((0..inserted).map(|_| Change::Insert(())));
        }
        // SAFETY: rows are read in the order in which apply() asks for them.
        unsafe {
            missing.rewind();
            self.apply(changes, snapshot, &mut |_, values, nulls| {
                if update {
                    missing.rewind();
                }
                missing.next(values, nulls);
            })
        }
    }
}

/// Hash of a row's bytes.
pub(super) struct RowHash {
    attributes: Vec<(bool, i16)>,
    hasher: SipHasher13,
}

impl RowHash {
    /// Of the first `selected` attributes: state that nothing computes any more does not matter.
    pub(super) fn new(rel: &Relation, selected: usize) -> RowHash {
        let random = std::collections::hash_map::RandomState::new();
        let attributes =
            (0..rel.natts().min(selected)).map(|i| rel.attribute(i)).map(|a| (a.attbyval, a.attlen)).collect();
        RowHash { attributes, hasher: SipHasher13::new_with_keys(random.hash_one(0u8), random.hash_one(1u8)) }
    }

    pub(super) fn of(&self, values: &[pg_sys::Datum], nulls: &[bool]) -> u128 {
        let mut h = self.hasher;
        for (i, (byval, len)) in self.attributes.iter().enumerate() {
            h.write_u8(u8::from(nulls[i]));
            if nulls[i] {
                continue;
            }
            if *byval {
                h.write_u64(values[i].value() as u64);
                continue;
            }
            // SAFETY: a non-null by-reference datum of the attribute's type.
            unsafe {
                match *len {
                    -1 => {
                        let given = values[i].cast_mut_ptr::<pg_sys::varlena>();
                        let plain = pg_sys::pg_detoast_datum_packed(given);
                        let n = pgrx::varsize_any_exhdr(plain);
                        h.write_u64(n as u64);
                        h.write(std::slice::from_raw_parts(pgrx::vardata_any(plain).cast(), n));
                        if plain != given {
                            pg_sys::pfree(plain.cast());
                        }
                    }
                    -2 => h.write(std::ffi::CStr::from_ptr(values[i].cast_mut_ptr()).to_bytes_with_nul()),
                    n => h.write(std::slice::from_raw_parts(values[i].cast_mut_ptr(), n as usize)),
                }
            }
        }
        h.finish128().as_u128()
    }
}

/// All stored rows by hash.
fn stored_rows(rel: &Relation, snapshot: &Active, hash: &RowHash) -> HashMap<u128, Tids> {
    let mut found: HashMap<u128, Tids> = HashMap::new();
    // SAFETY: a sequential scan through the access method's own callbacks; values are looked at before the next row.
    unsafe {
        let routine = &*(*rel.raw()).rd_tableam;
        let (Some(begin), Some(next), Some(end)) = (routine.scan_begin, routine.scan_getnextslot, routine.scan_end)
        else {
            return found;
        };
        let flags = pg_sys::ScanOptions::SO_TYPE_SEQSCAN
            | pg_sys::ScanOptions::SO_ALLOW_STRAT
            | pg_sys::ScanOptions::SO_ALLOW_PAGEMODE;
        let (raw, snap, null) = (rel.raw(), snapshot.raw(), std::ptr::null_mut());
        let scan = guard(|| begin(raw, snap, 0, null, std::ptr::null_mut(), flags));
        let slot = pg_sys::MakeSingleTupleTableSlot(rel.tupdesc(), &pg_sys::TTSOpsBufferHeapTuple);
        while guard(|| next(scan, pg_sys::ScanDirection::ForwardScanDirection, slot)) {
            let (values, nulls) = slot::all(slot);
            found.entry(hash.of(values, nulls)).or_default().push((*slot).tts_tid);
        }
        pg_sys::ExecDropSingleTupleTableSlot(slot);
        guard(|| end(scan));
    }
    found
}

/// Rows that the query has and the TVIEW lacks.
struct Missing {
    store: *mut pg_sys::Tuplestorestate,
    desc: pg_sys::TupleDesc,
    slot: *mut pg_sys::TupleTableSlot,
}

impl Missing {
    unsafe fn new(rel: &Relation) -> Missing {
        let desc = rel.tupdesc();
        Missing {
            store: pg_sys::tuplestore_begin_heap(true, false, pg_sys::work_mem),
            desc,
            slot: pg_sys::MakeSingleTupleTableSlot(desc, &pg_sys::TTSOpsMinimalTuple),
        }
    }

    fn len(&self) -> usize {
        // SAFETY: the store is open.
        unsafe { pg_sys::tuplestore_tuple_count(self.store) as usize }
    }

    unsafe fn put(&self, values: &[pg_sys::Datum], nulls: &[bool]) {
        pg_sys::tuplestore_putvalues(self.store, self.desc, values.as_ptr().cast_mut(), nulls.as_ptr().cast_mut());
    }

    unsafe fn rewind(&self) {
        pg_sys::tuplestore_rescan(self.store);
    }

    unsafe fn next(&self, values: &mut [pg_sys::Datum], nulls: &mut [bool]) {
        if pg_sys::tuplestore_gettupleslot(self.store, true, false, self.slot) {
            let (found, empty) = slot::all(self.slot);
            values.copy_from_slice(found);
            nulls.copy_from_slice(empty);
        }
    }
}

impl Drop for Missing {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: ours, ended once.
            unsafe {
                pg_sys::ExecDropSingleTupleTableSlot(self.slot);
                pg_sys::tuplestore_end(self.store);
            }
        }
    }
}
