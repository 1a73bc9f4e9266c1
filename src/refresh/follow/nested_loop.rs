//! Runs a nested loop over indexes (analyze/rules/nested_loop): the rows that a row is joined to, without SQL.
//!
//! Invariant: rows are those that the snapshot sees; the owner of the TVIEW is the current user, and the settings of maintenance are in force, as for
//! the SQL. A loop stops at a number of rows for which SQL has better plans. Source: access/index/indexam.c, executor/nodeIndexscan.c.
//! Called by keyed.rs and fold.

use crate::analyze::rules::nested_loop::Step;
use crate::pg::error::{Error, Result};
use crate::pg::fault::{self, Fault};
use crate::pg::relation::Relation;
use crate::pg::silent;
use crate::pg::slot;
use crate::pg::together;
use crate::refresh::plan::machine::{Evaluation, Kept, Lookup, Machine};
use pgrx::pg_sys::{self, Datum};
use std::cell::Cell;
use std::ffi::c_int;
use std::mem::offset_of;

/// From so many rows on SQL is better: it can read the tables in another way.
const MANY: usize = 1000;

/// A relation while the loop looks rows up in it.
struct Scan {
    scan: pg_sys::IndexScanDesc,
    relation: Relation,
    _index: Relation,
}

/// A loop that is being run. Closed at the end; when a panic passes, transaction abort cleans up.
pub struct Running<'a> {
    of: &'a Kept,
    machine: Machine,
    scans: Vec<Scan>,
    /// Rows looked at.
    visited: usize,
    /// Places of the frame, and what two rows have there that go one way.
    both: Option<[Bound; 2]>,
    /// What is shown of one row, and room for the next.
    row: Cell<Vec<Option<Datum>>>,
}

/// Places of the frame, and values.
type Bound = Vec<(usize, Option<Datum>)>;

/// What a loop shows.
pub enum Shown<'a> {
    /// The values of `NestedLoop::reached`.
    Reached(&'a [Option<Datum>]),
    Row(Found<'a>),
}

/// A row of the loop.
pub struct Found<'a> {
    pub values: &'a [Option<Datum>],
    /// The row of the last relation; null when the loop has no steps.
    slot: *mut pg_sys::TupleTableSlot,
    /// Which of two rows that go one way it belongs to.
    pub of: usize,
}

/// The columns of a row image; they point into it.
pub struct Deformed {
    values: Vec<Datum>,
    nulls: Vec<bool>,
}

impl Deformed {
    /// # Safety
    /// The image is a minimal tuple of this row type. Source: access/htup_details.h, MINIMAL_TUPLE_OFFSET.
    pub unsafe fn of(image: &[u64], desc: pg_sys::TupleDesc) -> Deformed {
        // SAFETY: a minimal tuple is the end of a tuple, whose beginning heap_deform_tuple does not look at.
        unsafe {
            let natts = (*desc).natts as usize;
            let (mut values, mut nulls) = (vec![Datum::from(0usize); natts], vec![true; natts]);
            let minimal = image.as_ptr().cast::<pg_sys::MinimalTupleData>();
            let header = image.as_ptr().cast::<u8>().wrapping_sub(OFFSET).cast_mut();
            let len = (*minimal).t_len + OFFSET as u32;
            let mut tuple = pg_sys::HeapTupleData { t_len: len, t_data: header.cast(), ..Default::default() };
            pg_sys::heap_deform_tuple(&mut tuple, desc, values.as_mut_ptr(), nulls.as_mut_ptr());
            Deformed { values, nulls }
        }
    }

    /// Attribute number `att`, from 1.
    pub fn get(&self, att: i16) -> Option<Datum> {
        let at = att as usize - 1;
        (!self.nulls[at]).then(|| self.values[at])
    }
}

/// By so much a tuple begins before its minimal tuple.
const OFFSET: usize =
    offset_of!(pg_sys::HeapTupleHeaderData, t_infomask2) - offset_of!(pg_sys::MinimalTupleData, t_infomask2);

impl Found<'_> {
    /// Place and columns of the row of the last relation.
    pub fn stored(&self) -> Option<(pg_sys::ItemPointerData, &[Datum], &[bool])> {
        if self.slot.is_null() {
            return None;
        }
        // SAFETY: the slot holds the row that was found.
        unsafe {
            let (values, nulls) = slot::all(self.slot);
            Some(((*self.slot).tts_tid, values, nulls))
        }
    }
}

/// Looks up by the columns that are bound; false when no row is found.
///
/// # Safety
/// As `Evaluation::value`; the scan is one of the step's index, and has its keys.
unsafe fn start(scan: &Scan, lookup: &mut Lookup, evaluation: &Evaluation, step: &Step) -> bool {
    // SAFETY: as the caller promises; there is one key for each value.
    unsafe {
        for ((key, value), of) in lookup.keys.iter_mut().zip(&lookup.values).zip(&step.keys) {
            let null = (pg_sys::SK_ISNULL | pg_sys::SK_SEARCHNULL) as c_int;
            match evaluation.value(value) {
                Some(value) => {
                    key.sk_flags &= !null;
                    key.sk_strategy = pg_sys::BTEqualStrategyNumber as u16;
                    key.sk_argument = value;
                }
                None if of.finds_null => {
                    key.sk_flags |= null;
                    key.sk_strategy = 0;
                    key.sk_argument = Datum::from(0usize);
                }
                None => return false,
            }
        }
        together::first(scan.scan, &mut lookup.keys, lookup.slot)
    }
}

/// The next row of the look-up; false when there is none.
///
/// # Safety
/// After `start`.
unsafe fn next(scan: &Scan, lookup: &Lookup) -> bool {
    // SAFETY: the scan was started; the slot is of the relation.
    unsafe { pg_sys::index_getnext_slot(scan.scan, pg_sys::ScanDirection::ForwardScanDirection, lookup.slot) }
}

/// Binds the columns of the row that was found.
///
/// # Safety
/// After `start` or `next`, which gave true.
unsafe fn bind(lookup: &Lookup, evaluation: &Evaluation, step: &Step) {
    let Some(last) = step.columns.iter().map(|(att, _)| *att).max() else { return };
    // SAFETY: the slot holds a row of the relation.
    unsafe {
        let slot = lookup.slot;
        if (*slot).tts_nvalid < last {
            silent::slot_getsomeattrs_int(slot, c_int::from(last));
        }
        for (att, place) in &step.columns {
            let at = *att as usize - 1;
            let null = *(*slot).tts_isnull.add(at);
            evaluation.set(*place, (!null).then(|| *(*slot).tts_values.add(at)));
        }
    }
}

impl<'a> Running<'a> {
    /// # Safety
    /// The snapshot is active or registered until the loop is closed; the current memory context outlives the loop.
    pub unsafe fn open(of: &'a Kept, snapshot: pg_sys::Snapshot) -> Result<Running<'a>> {
        // The flush has locked the relations (plan/loops.rs, `lock`). SAFETY: as the caller promises.
        let begin = |step: &Step| unsafe {
            let begun = together::begin_scan(step.relid, step.index, snapshot, step.keys.len() as c_int);
            let (scan, [relation, index]) = begun.ok_or(Error::NoRelation(step.relid.to_u32()))?;
            Ok(Scan { scan, relation, _index: index })
        };
        let scans = of.steps.iter().map(begin).collect::<Result<Vec<_>>>()?;
        Ok(Running {
            of,
            machine: of.take(scans.iter().map(|s| &s.relation)),
            scans,
            visited: 0,
            both: None,
            row: Cell::default(),
        })
    }

    /// Shows all rows that belong to the row that `input` gives the columns of, by their number in it, from 1. False when there are too many.
    ///
    /// # Safety
    /// The values are of the types of these columns, and live until this returns.
    pub unsafe fn each(&mut self, input: &dyn Fn(i16) -> Option<Datum>, look: &mut dyn FnMut(Found)) -> bool {
        // SAFETY: as the caller promises.
        unsafe {
            self.each_shown(input, &mut |shown| {
                if let Shown::Row(found) = shown {
                    look(found);
                }
            })
        }
    }

    /// As `each`, for two rows that are the same in `Kept::way`: the loop goes the way once.
    ///
    /// # Safety
    /// As `each`.
    pub unsafe fn each_of_both(
        &mut self,
        inputs: [&dyn Fn(i16) -> Option<Datum>; 2],
        look: &mut dyn FnMut(Found),
    ) -> bool {
        self.both = Some(inputs.map(|input| self.of.inputs.iter().map(|(att, place)| (*place, input(*att))).collect()));
        // SAFETY: as the caller promises.
        let fits = unsafe { self.each(inputs[0], look) };
        self.both = None;
        fits
    }

    /// Shows the row that is bound, to each row that goes this way.
    ///
    /// # Safety
    /// All columns are bound.
    unsafe fn show(&self, look: &mut dyn FnMut(Shown)) {
        let Machine { evaluation, lookups, values, .. } = &self.machine;
        let slot = lookups.last().map_or(std::ptr::null_mut(), |l| l.slot);
        // SAFETY: as the caller promises; the frame has these places.
        unsafe {
            let mut row = self.row.take();
            evaluation.values(values, &mut row);
            look(Shown::Row(Found { values: &row, slot, of: 0 }));
            if let Some([first, second]) = &self.both {
                self.machine.forget();
                second.iter().for_each(|(place, value)| evaluation.set(*place, *value));
                evaluation.values(values, &mut row);
                look(Shown::Row(Found { values: &row, slot, of: 1 }));
                self.machine.forget();
                first.iter().for_each(|(place, value)| evaluation.set(*place, *value));
            }
            self.row.set(row);
        }
    }

    /// As `each`, for a loop that shows values on the way.
    ///
    /// # Safety
    /// As `each`.
    pub unsafe fn each_shown(&mut self, input: &dyn Fn(i16) -> Option<Datum>, look: &mut dyn FnMut(Shown)) -> bool {
        // SAFETY: as the caller promises.
        unsafe {
            self.machine.reset();
            for (att, place) in &self.of.inputs {
                self.machine.evaluation.set(*place, input(*att));
            }
            !self.machine.evaluation.all_true(&self.machine.conditions) || self.descend(0, look)
        }
    }

    /// # Safety
    /// The columns of all relations before `at` are bound.
    unsafe fn descend(&mut self, at: usize, look: &mut dyn FnMut(Shown)) -> bool {
        // SAFETY: as the caller promises.
        unsafe {
            let machine = &self.machine;
            if let Some((_, values)) = machine.reached.as_ref().filter(|(steps, _)| *steps == at) {
                let mut row = self.row.take();
                machine.evaluation.values(values, &mut row);
                look(Shown::Reached(&row));
                self.row.set(row);
            }
            if at == self.scans.len() {
                if machine.evaluation.all_true(&machine.at_last) {
                    self.show(look);
                }
                return true;
            }
            let step = &self.of.steps[at];
            let mut any = false;
            let Machine { evaluation, lookups, .. } = &mut self.machine;
            if start(&self.scans[at], &mut lookups[at], evaluation, step) {
                loop {
                    bind(&self.machine.lookups[at], &self.machine.evaluation, step);
                    pgrx::check_for_interrupts!();
                    self.visited += 1;
                    if self.visited > MANY {
                        return false;
                    }
                    if self.machine.evaluation.all_true(&self.machine.lookups[at].conditions) {
                        any = true;
                        if !self.descend(at + 1, look) {
                            return false;
                        }
                        if step.unique {
                            break;
                        }
                    }
                    if !next(&self.scans[at], &self.machine.lookups[at]) {
                        break;
                    }
                }
            }
            if any || !step.outer || fault::on(Fault::SkipOptional) {
                return true;
            }
            step.columns.iter().for_each(|(_, place)| self.machine.evaluation.set(*place, None));
            self.descend(at + 1, look)
        }
    }

    /// Frees what the loop holds; locks stay until the end of the transaction.
    ///
    /// # Safety
    /// Called once, while nothing unwinds.
    pub unsafe fn close(self) {
        // SAFETY: as the caller promises.
        unsafe {
            self.of.give_back(self.machine);
            self.scans.into_iter().for_each(|s| pg_sys::index_endscan(s.scan));
        }
    }
}
