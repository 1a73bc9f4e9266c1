//! Runs a nested loop over indexes (analyze/rules/nested_loop): the rows that a row is joined to, without SQL.
//!
//! Invariant: rows are those that the snapshot sees; the owner of the TVIEW is the current user, and the settings of maintenance are in force, as for
//! the SQL. A loop stops at a number of rows for which SQL has better plans. Source: access/index/indexam.c, executor/nodeIndexscan.c.
//! Called by keyed.rs and fold.

use crate::analyze::query::tree::Type;
use crate::analyze::rules::nested_loop::{Key, NestedLoop, Step, Value};
use crate::pg::error::{Error, Result};
use crate::pg::fault::{self, Fault};
use crate::pg::relation::Relation;
use crate::pg::{original, slot, tupdesc};
use pgrx::pg_sys::{self, Datum};
use std::ffi::c_int;
use std::mem::offset_of;

/// From so many rows on SQL is better: it can read the tables in another way.
const MANY: usize = 1000;

/// A relation while the loop looks rows up in it.
struct Lookup<'a> {
    step: &'a Step,
    keys: Vec<pg_sys::ScanKeyData>,
    scan: pg_sys::IndexScanDesc,
    slot: *mut pg_sys::TupleTableSlot,
    values: Vec<Computation>,
    conditions: Vec<*mut pg_sys::ExprState>,
    _index: Relation,
    _relation: Relation,
}

#[derive(Clone, Copy)]
enum Computation {
    Column(usize),
    Expression(*mut pg_sys::ExprState),
}

/// A loop that is being run. Closed at the end; when a panic passes, transaction abort cleans up.
pub struct Running<'a> {
    of: &'a NestedLoop,
    evaluation: Evaluation,
    lookups: Vec<Lookup<'a>>,
    conditions: Vec<*mut pg_sys::ExprState>,
    at_last: Vec<*mut pg_sys::ExprState>,
    values: Vec<Computation>,
    /// Shown after so many steps.
    reached: Option<(usize, Vec<Computation>)>,
    /// Rows looked at.
    visited: usize,
}

/// The frame, and what evaluates expressions over it.
struct Evaluation {
    frame: *mut pg_sys::TupleTableSlot,
    estate: *mut pg_sys::EState,
    context: *mut pg_sys::ExprContext,
}

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

impl Evaluation {
    /// # Safety
    /// The current memory context outlives the result.
    unsafe fn new(frame: &[Type], computes: bool) -> Evaluation {
        // SAFETY: a new descriptor, each attribute set once; what belongs to it lives in the current context.
        unsafe {
            let desc = tupdesc::of(frame.len(), |desc| {
                for (number, of) in (1i16..).zip(frame) {
                    pg_sys::TupleDescInitEntry(desc, number, std::ptr::null(), of.0, of.1, 0);
                    pg_sys::TupleDescInitEntryCollation(desc, number, of.2);
                }
            });
            let frame = pg_sys::MakeSingleTupleTableSlot(desc, &pg_sys::TTSOpsVirtual);
            pg_sys::ExecStoreAllNullTuple(frame);
            let (estate, context) = if computes {
                let estate = pg_sys::CreateExecutorState();
                (estate, pg_sys::MakePerTupleExprContext(estate))
            } else {
                (std::ptr::null_mut(), std::ptr::null_mut())
            };
            Evaluation { frame, estate, context }
        }
    }

    /// # Safety
    /// An expression over the frame, alive as long as the loop.
    unsafe fn prepare(&self, expression: *mut pg_sys::Expr) -> *mut pg_sys::ExprState {
        // SAFETY: the caller promises: an expression over the frame, alive as long as the loop.
        unsafe {
            let before = pg_sys::MemoryContextSwitchTo((*self.estate).es_query_cxt);
            let state = pg_sys::ExecInitExpr(expression, std::ptr::null_mut());
            pg_sys::MemoryContextSwitchTo(before);
            state
        }
    }

    /// # Safety
    /// As `prepare`.
    unsafe fn computation(&self, value: &Value) -> Computation {
        match value {
            Value::Column(at) => Computation::Column(*at),
            // SAFETY: as the caller promises.
            Value::Computed(e) => Computation::Expression(unsafe { self.prepare(e.raw()) }),
        }
    }

    /// # Safety
    /// A place of the frame, and a value of its type.
    unsafe fn set(&self, at: usize, value: Option<Datum>) {
        // SAFETY: as the caller promises.
        unsafe {
            *(*self.frame).tts_values.add(at) = value.unwrap_or(Datum::from(0usize));
            *(*self.frame).tts_isnull.add(at) = value.is_none();
        }
    }

    /// # Safety
    /// A computation of this loop, whose columns are bound. The value lives until the next row that the loop starts with.
    unsafe fn value(&self, of: Computation) -> Option<Datum> {
        // SAFETY: the caller promises: a computation of this loop, whose columns are bound.
        unsafe {
            match of {
                Computation::Column(at) => {
                    (!*(*self.frame).tts_isnull.add(at)).then(|| *(*self.frame).tts_values.add(at))
                }
                Computation::Expression(state) => self.evaluate(state),
            }
        }
    }

    /// # Safety
    /// As `value`.
    #[allow(ffi_unwind_calls)] // inside the closure of keep, which has nothing to drop
    unsafe fn evaluate(&self, state: *mut pg_sys::ExprState) -> Option<Datum> {
        // SAFETY: as the caller promises; the values live in memory that is reset for the next row.
        unsafe {
            let eval = (*state).evalfunc?;
            (*self.context).ecxt_scantuple = self.frame;
            let before = pg_sys::MemoryContextSwitchTo((*self.context).ecxt_per_tuple_memory);
            let mut null = false;
            let (null_at, context) = (&raw mut null, self.context);
            let value = original::keep(std::ptr::null(), || eval(state, context, null_at));
            pg_sys::MemoryContextSwitchTo(before);
            (!null).then_some(value)
        }
    }

    /// # Safety
    /// As `value`.
    unsafe fn values(&self, of: &[Computation]) -> Vec<Option<Datum>> {
        // SAFETY: as the caller promises.
        of.iter().map(|v| unsafe { self.value(*v) }).collect()
    }

    /// # Safety
    /// As `value`.
    unsafe fn all_true(&self, conditions: &[*mut pg_sys::ExprState]) -> bool {
        // SAFETY: as the caller promises.
        conditions.iter().all(|c| unsafe { self.evaluate(*c) }.is_some_and(|d| d.value() & 0xff != 0))
            || fault::on(Fault::SkipConditions)
    }
}

impl<'a> Lookup<'a> {
    /// # Safety
    /// The snapshot is active or registered until the lookup is closed; the current memory context outlives the result.
    unsafe fn open(step: &'a Step, evaluation: &Evaluation, snapshot: pg_sys::Snapshot) -> Result<Lookup<'a>> {
        let open = |relid: pg_sys::Oid| {
            Relation::open(relid, pg_sys::AccessShareLock).ok_or(Error::NoRelation(relid.to_u32()))
        };
        let (relation, index) = (open(step.relid)?, open(step.index)?);
        // SAFETY: both are open and stay so; the keys are those of this index.
        unsafe {
            let keys = step.keys.iter().map(|key| scan_key(key)).collect();
            let scan = pg_sys::index_beginscan(
                relation.raw(),
                index.raw(),
                snapshot,
                #[cfg(feature = "since_18")]
                std::ptr::null_mut(),
                step.keys.len() as c_int,
                0,
                #[cfg(feature = "since_19")]
                pg_sys::ScanOptions::SO_NONE,
            );
            Ok(Lookup {
                step,
                keys,
                scan,
                slot: pg_sys::table_slot_create(relation.raw(), std::ptr::null_mut()),
                values: step.keys.iter().map(|k| evaluation.computation(&k.value)).collect(),
                conditions: step.conditions.iter().map(|c| evaluation.prepare(c.raw())).collect(),
                _index: index,
                _relation: relation,
            })
        }
    }

    /// Starts a look-up by the columns that are bound; false when no row can be found.
    ///
    /// # Safety
    /// As `Evaluation::value`.
    unsafe fn start(&mut self, evaluation: &Evaluation) -> bool {
        // SAFETY: as the caller promises; there is one key for each value.
        unsafe {
            for ((key, value), of) in self.keys.iter_mut().zip(&self.values).zip(&self.step.keys) {
                let null = (pg_sys::SK_ISNULL | pg_sys::SK_SEARCHNULL) as c_int;
                match evaluation.value(*value) {
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
            let (keys, count) = (self.keys.as_mut_ptr(), self.keys.len() as c_int);
            pg_sys::index_rescan(self.scan, keys, count, std::ptr::null_mut(), 0);
            true
        }
    }

    /// Binds the columns of the next row found.
    ///
    /// # Safety
    /// After `start`.
    unsafe fn next(&mut self, evaluation: &Evaluation) -> bool {
        // SAFETY: the scan was started; the slot is of the relation.
        unsafe {
            if !pg_sys::index_getnext_slot(self.scan, pg_sys::ScanDirection::ForwardScanDirection, self.slot) {
                return false;
            }
            if let Some(last) = self.step.columns.iter().map(|(att, _)| *att).max() {
                if (*self.slot).tts_nvalid < last {
                    pg_sys::slot_getsomeattrs_int(self.slot, c_int::from(last));
                }
                for (att, place) in &self.step.columns {
                    let at = *att as usize - 1;
                    let null = *(*self.slot).tts_isnull.add(at);
                    evaluation.set(*place, (!null).then(|| *(*self.slot).tts_values.add(at)));
                }
            }
            true
        }
    }

    /// # Safety
    /// Called once, while nothing unwinds.
    unsafe fn close(self) {
        // SAFETY: as the caller promises.
        unsafe {
            pg_sys::index_endscan(self.scan);
            pg_sys::ExecDropSingleTupleTableSlot(self.slot);
        }
    }
}

/// # Safety
/// A key of an existing function.
unsafe fn scan_key(key: &Key) -> pg_sys::ScanKeyData {
    let mut entry = pg_sys::ScanKeyData::default();
    // SAFETY: a key of an existing function.
    unsafe {
        pg_sys::ScanKeyEntryInitialize(
            &mut entry,
            0,
            key.column,
            pg_sys::BTEqualStrategyNumber as u16,
            key.subtype,
            key.collation,
            key.function,
            Datum::from(0usize),
        );
    }
    entry
}

impl<'a> Running<'a> {
    /// # Safety
    /// The snapshot is active or registered until the loop is closed; the current memory context outlives the loop.
    pub unsafe fn open(of: &'a NestedLoop, snapshot: pg_sys::Snapshot) -> Result<Running<'a>> {
        // SAFETY: as the caller promises; the expressions are those of the loop, and live as long.
        unsafe {
            let evaluation = Evaluation::new(&of.frame, of.computes());
            let lookups = of.steps.iter().map(|s| Lookup::open(s, &evaluation, snapshot)).collect::<Result<_>>()?;
            Ok(Running {
                of,
                lookups,
                conditions: of.conditions.iter().map(|c| evaluation.prepare(c.raw())).collect(),
                at_last: of.at_last.iter().map(|c| evaluation.prepare(c.raw())).collect(),
                values: of.values.iter().map(|v| evaluation.computation(v)).collect(),
                reached: of
                    .reached
                    .as_ref()
                    .map(|(steps, values)| (*steps, values.iter().map(|v| evaluation.computation(v)).collect())),
                evaluation,
                visited: 0,
            })
        }
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

    /// As `each`, for a loop that shows values on the way.
    ///
    /// # Safety
    /// As `each`.
    pub unsafe fn each_shown(&mut self, input: &dyn Fn(i16) -> Option<Datum>, look: &mut dyn FnMut(Shown)) -> bool {
        // SAFETY: as the caller promises.
        unsafe {
            if !self.evaluation.context.is_null() {
                pg_sys::MemoryContextReset((*self.evaluation.context).ecxt_per_tuple_memory);
            }
            for (att, place) in &self.of.inputs {
                self.evaluation.set(*place, input(*att));
            }
            !self.evaluation.all_true(&self.conditions) || self.descend(0, look)
        }
    }

    /// # Safety
    /// The columns of all relations before `at` are bound.
    unsafe fn descend(&mut self, at: usize, look: &mut dyn FnMut(Shown)) -> bool {
        // SAFETY: as the caller promises.
        unsafe {
            if let Some((_, values)) = self.reached.as_ref().filter(|(steps, _)| *steps == at) {
                look(Shown::Reached(&self.evaluation.values(values)));
            }
            if at == self.lookups.len() {
                if self.evaluation.all_true(&self.at_last) {
                    let slot = self.lookups.last().map_or(std::ptr::null_mut(), |l| l.slot);
                    look(Shown::Row(Found { values: &self.evaluation.values(&self.values), slot }));
                }
                return true;
            }
            let step = self.lookups[at].step;
            let mut any = false;
            if self.lookups[at].start(&self.evaluation) {
                while self.lookups[at].next(&self.evaluation) {
                    pgrx::check_for_interrupts!();
                    self.visited += 1;
                    if self.visited > MANY {
                        return false;
                    }
                    if !self.evaluation.all_true(&self.lookups[at].conditions) {
                        continue;
                    }
                    any = true;
                    if !self.descend(at + 1, look) {
                        return false;
                    }
                    if step.unique {
                        break;
                    }
                }
            }
            if any || !step.outer || fault::on(Fault::SkipOptional) {
                return true;
            }
            step.columns.iter().for_each(|(_, place)| self.evaluation.set(*place, None));
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
            self.lookups.into_iter().for_each(|l| l.close());
            pg_sys::ExecDropSingleTupleTableSlot(self.evaluation.frame);
            if !self.evaluation.estate.is_null() {
                pg_sys::FreeExecutorState(self.evaluation.estate);
            }
        }
    }
}
