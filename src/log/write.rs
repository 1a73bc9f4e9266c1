//! Writing what a transaction has changed to the logs.
//!
//! Invariant: when a transaction commits, the rows that it has written to the log of a relation sum to what it has done to the relation, in the
//! columns that deferred TVIEWs use. Called before commit, when everything else has been flushed, and by a refresh, which follows what its own
//! transaction has written before. What is read from WAL is written by src/wal, with the number of the transaction that did it.

use super::board;
use super::relation::{AT, COLUMNS, IMAGE, PART, WEIGHT, XID};
use crate::capture::trigger::ImageBuilder;
use crate::catalog::cache;
use crate::catalog::logs::{self, Log};
use crate::pg::memory::Arena;
use crate::pg::process::process;
use crate::pg::relation::Relation;
use crate::pg::slot;
use crate::pg::snapshot::Active;
use crate::pg::varlena;
use crate::queue;
use crate::queue::changes::{ChangeSet, Image};
use pgrx::pg_sys;
use rustc_hash::FxHashMap;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

process! {
    /// Parts that this transaction has written.
    static PARTS: Cell<i32> = const { Cell::new(0) };
    /// Where relations are logged, and the state of the caches in which this was looked up.
    static CACHE: RefCell<(u64, FxHashMap<u32, Option<Log>>)> = RefCell::default();
}

/// How many parts this transaction has written.
pub fn parts() -> i32 {
    PARTS.get()
}

/// The transaction has ended.
pub fn reset() {
    PARTS.set(0);
}

/// Writes all that is to be logged.
pub fn write() {
    if queue::is_logged() {
        return;
    }
    PARTS.set(PARTS.get() + 1);
    for (relid, sets) in queue::take_logged() {
        // A relation that was marked as changed entirely, and that no deferred TVIEW reads, has no log.
        let Some(to) = open(relid) else { continue };
        // SAFETY: opened for writing; images are rows of the relation.
        unsafe { append(relid, &to, &sets) };
    }
}

/// The log of a relation, open for writing.
pub fn open(relid: u32) -> Option<Relation> {
    loop {
        let log = look_up(relid)?;
        // Emptied or dropped by another transaction, it is another one by the time that it is locked.
        let rel = Relation::open(log.written(), pg_sys::RowExclusiveLock);
        if look_up(relid) == Some(log) {
            return rel;
        }
    }
}

fn look_up(relid: u32) -> Option<Log> {
    let generation = cache::generation();
    let known = CACHE.with_borrow(|(at, known)| known.get(&relid).filter(|_| *at == generation).copied());
    if let Some(known) = known {
        return known;
    }
    let is_watched = logs::watch();
    let generation = cache::generation();
    let log = logs::of(pg_sys::Oid::from(relid));
    if log.is_some() {
        board::want();
    }
    if !is_watched {
        return log;
    }
    CACHE.with_borrow_mut(|(at, known)| {
        if *at != generation {
            (*at, *known) = (generation, FxHashMap::default());
        }
        known.insert(relid, log);
    });
    log
}

/// # Safety
/// The log is open for writing; the sets have row images of the relation.
unsafe fn append(relid: u32, to: &Relation, sets: &[Rc<ChangeSet>]) {
    let is_everything = sets.iter().any(|set| set.is_everything());
    // SAFETY: as the caller promises; values live until they have been written.
    unsafe {
        let by =
            By { xid: pg_sys::GetTopFullTransactionId().value, at: pg_sys::GetCurrentTimestamp(), part: PARTS.get() };
        let mut writer = Writer::open(to, by);
        if is_everything {
            writer.put(None, &[]);
        }
        for set in sets.iter().filter(|_| !is_everything) {
            set.each(|tuple, weight| {
                let minimal = &*tuple;
                let has_external = u32::from(minimal.t_infomask) & pg_sys::HEAP_HASEXTERNAL != 0;
                match has_external.then(|| writer.memory.enter(|| fetched(relid, tuple))).flatten() {
                    Some(image) => {
                        let (_, bytes, _) = image.align_to::<u8>();
                        writer.put(Some(weight), bytes);
                    }
                    None => {
                        let bytes = std::slice::from_raw_parts(tuple.cast::<u8>(), minimal.t_len as usize);
                        writer.put(Some(weight), bytes);
                    }
                }
            });
        }
        writer.finish();
    }
}

/// An image with its values in it: TOAST tables forget values that are deleted.
///
/// # Safety
/// The image is a row of the relation.
unsafe fn fetched(relid: u32, tuple: pg_sys::MinimalTuple) -> Option<Image> {
    let rel = Relation::open(pg_sys::Oid::from(relid), pg_sys::AccessShareLock)?;
    // SAFETY: as the caller promises; values fetched are freed with the slot's context.
    unsafe {
        let row = pg_sys::MakeSingleTupleTableSlot(rel.tupdesc(), &pg_sys::TTSOpsMinimalTuple);
        pg_sys::ExecStoreMinimalTuple(tuple, row, false);
        let (values, nulls) = slot::all(row);
        let mut image = ImageBuilder::new(rel.tupdesc());
        for i in 0..rel.natts() {
            let value = (!nulls[i]).then(|| match rel.attribute(i).attlen {
                -1 => varlena::fetched(values[i]),
                _ => values[i],
            });
            image.set(i, value);
        }
        let image = image.image();
        pg_sys::ExecDropSingleTupleTableSlot(row);
        Some(image)
    }
}

/// Whose changes they are.
#[derive(Debug, Clone, Copy)]
pub struct By {
    pub xid: u64,
    /// When they were made, or committed.
    pub at: pg_sys::TimestampTz,
    pub part: i32,
}

/// Appends rows to a log.
pub struct Writer<'a> {
    to: &'a Relation,
    bulk: pg_sys::BulkInsertState,
    memory: Arena,
    /// Held while rows are written that may have values in a TOAST table. Source: access/heap/heapam.c, AssertHasSnapshotForToast.
    _snapshot: Option<Active>,
    by: By,
    rows: usize,
}

impl Writer<'_> {
    /// # Safety
    /// The log is open for writing until `finish`.
    pub unsafe fn open(to: &Relation, by: By) -> Writer<'_> {
        // SAFETY: in a transaction; as the caller promises.
        unsafe {
            Writer {
                to,
                bulk: std::ptr::null_mut(),
                memory: Arena::current(),
                _snapshot: (!pg_sys::HaveRegisteredOrActiveSnapshot()).then(Active::of_transaction),
                by,
                rows: 0,
            }
        }
    }

    /// # Safety
    /// As for `open`.
    pub unsafe fn put(&mut self, weight: Option<i64>, image: &[u8]) {
        // SAFETY: one value for each column of a log; the tuple is freed with its context.
        unsafe {
            if self.rows == MANY {
                self.bulk = pg_sys::GetBulkInsertState();
            }
            self.rows += 1;
            let (to, bulk, by) = (self.to, self.bulk, self.by);
            self.memory.enter(|| insert(to, bulk, by, weight, image));
            self.memory.reset();
        }
    }

    /// What follows is of another transaction.
    pub fn go_on_as(&mut self, by: By) {
        self.by = by;
    }

    /// # Safety
    /// As for `open`.
    pub unsafe fn finish(self) {
        // SAFETY: opened by us, and closed once.
        unsafe {
            if !self.bulk.is_null() {
                pg_sys::FreeBulkInsertState(self.bulk);
            }
            pg_sys::CommandCounterIncrement();
        }
    }
}

/// From so many rows on a page is kept pinned.
const MANY: usize = 8;

/// # Safety
/// The log is open for writing.
unsafe fn insert(to: &Relation, bulk: pg_sys::BulkInsertState, by: By, weight: Option<i64>, image: &[u8]) {
    // SAFETY: as the caller promises; one value for each column of a log.
    unsafe {
        let (mut values, mut nulls) = ([pg_sys::Datum::from(0usize); COLUMNS], [false; COLUMNS]);
        values[XID] = pg_sys::Datum::from(by.xid as usize);
        values[AT] = pg_sys::Datum::from(by.at);
        values[PART] = pg_sys::Datum::from(by.part);
        match weight {
            Some(weight) => {
                values[WEIGHT] = pg_sys::Datum::from(weight);
                let varlena = pg_sys::palloc(image.len() + 4).cast::<u8>();
                pgrx::set_varsize_4b(varlena.cast(), (image.len() + 4) as i32);
                std::ptr::copy_nonoverlapping(image.as_ptr(), varlena.add(4), image.len());
                values[IMAGE] = pg_sys::Datum::from(varlena);
            }
            None => (nulls[WEIGHT], nulls[IMAGE]) = (true, true),
        }
        let tuple = pg_sys::heap_form_tuple(to.tupdesc(), values.as_mut_ptr(), nulls.as_mut_ptr());
        pg_sys::heap_insert(to.raw(), tuple, pg_sys::GetCurrentCommandId(true), 0, bulk);
    }
}
