//! A nested loop with what runs it: a frame for the columns that are bound, expressions ready to be evaluated, keys of index scans, slots. Made
//! by the first flush that runs the loop, and used again by those that follow.
//!
//! Invariant: nothing in a machine belongs to a transaction. Expressions call C functions of the server only (analyze/rules/nested_loop/frame.rs), which
//! keep what they cache in the machine's memory, as support functions of indexes do in that of the relation cache; slots have descriptors of their own, and
//! are empty between flushes. A machine is made anew when a relation has other columns. A flush that fails does not give its machine back.
//! Source: executor/execExpr.c, access/common/indextuple.c, utils/cache/relcache.c (keep_tupdesc).

use crate::analyze::query::tree::Type;
use crate::analyze::rules::nested_loop::{Key, NestedLoop, Value, places_of};
use crate::pg::fault::{self, Fault};
use crate::pg::memory::Arena;
use crate::pg::relation::Relation;
use crate::pg::tree::Tree;
use crate::pg::{original, silent, slot, tupdesc};
use pgrx::pg_sys::{self, Datum};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::ops::Deref;

/// A loop, and its machine while no flush runs it.
pub struct Kept {
    of: NestedLoop,
    /// Attributes of the row that it starts with that keys and conditions look at.
    pub way: Vec<i16>,
    machine: RefCell<Option<Machine>>,
}

impl Kept {
    pub fn new(of: NestedLoop) -> Kept {
        let places = of.places_on_the_way();
        let way = of.inputs.iter().filter(|(_, place)| places.contains(place)).map(|(att, _)| *att).collect();
        Kept { of: of.keep(), way, machine: RefCell::default() }
    }

    /// A machine for the loop, whose relations are open, in the order of the steps.
    pub fn take<'r>(&self, relations: impl Iterator<Item = &'r Relation> + Clone) -> Machine {
        let fits = |m: &Machine| m.lookups.iter().zip(relations.clone()).all(|(l, rel)| l.is_of(rel));
        match self.machine.take().filter(fits) {
            Some(machine) => machine,
            // SAFETY: the expressions are those of the loop, which lives longer than the machine.
            None => unsafe { Machine::new(&self.of, relations) },
        }
    }

    /// Takes a machine back, with nothing of the flush in it.
    pub fn give_back(&self, machine: Machine) {
        machine.clear();
        *self.machine.borrow_mut() = Some(machine);
    }
}

impl Deref for Kept {
    type Target = NestedLoop;

    fn deref(&self) -> &NestedLoop {
        &self.of
    }
}

pub enum Computation {
    Column(usize),
    Expression(*mut pg_sys::ExprState),
    /// Of nothing but the row that the loop starts with: evaluated once for it.
    Once(*mut pg_sys::ExprState, Cell<Option<Option<Datum>>>),
}

/// What runs a loop.
pub struct Machine {
    pub evaluation: Evaluation,
    pub lookups: Vec<Lookup>,
    pub conditions: Vec<*mut pg_sys::ExprState>,
    pub at_last: Vec<*mut pg_sys::ExprState>,
    pub values: Vec<Computation>,
    /// Shown after so many steps.
    pub reached: Option<(usize, Vec<Computation>)>,
    /// Whether any value is of the row that the loop starts with.
    once: bool,
    _arena: Arena,
}

/// What looks rows of one relation up.
pub struct Lookup {
    pub keys: Vec<pg_sys::ScanKeyData>,
    pub values: Vec<Computation>,
    pub conditions: Vec<*mut pg_sys::ExprState>,
    pub slot: *mut pg_sys::TupleTableSlot,
    /// The descriptor that the relation had, only to be compared.
    of: pg_sys::TupleDesc,
}

/// The frame, and what evaluates expressions over it.
pub struct Evaluation {
    frame: *mut pg_sys::TupleTableSlot,
    estate: *mut pg_sys::EState,
    context: *mut pg_sys::ExprContext,
}

impl Machine {
    /// # Safety
    /// The loop outlives the machine; one relation for each step.
    unsafe fn new<'r>(of: &NestedLoop, relations: impl Iterator<Item = &'r Relation>) -> Machine {
        let arena = Arena::cached();
        // SAFETY: the expressions are those of the loop; everything is made in the arena.
        let machine = arena.enter(|| unsafe {
            let evaluation = Evaluation::new(&of.frame, of.computes());
            let states = |all: &[Tree<pg_sys::Expr>]| all.iter().map(|c| evaluation.prepare(c.raw())).collect();
            let inputs: BTreeSet<usize> = of.inputs.iter().map(|(_, place)| *place).collect();
            let value = |v: &Value| evaluation.computation(v, &inputs);
            let values = |all: &[Value]| all.iter().map(value).collect();
            let lookups = of.steps.iter().zip(relations).map(|(step, rel)| Lookup {
                keys: step.keys.iter().map(|key| scan_key(key)).collect(),
                values: step.keys.iter().map(|k| value(&k.value)).collect(),
                conditions: states(&step.conditions),
                slot: slot_of(rel),
                of: rel.tupdesc(),
            });
            let lookups = lookups.collect();
            let (conditions, at_last) = (states(&of.conditions), states(&of.at_last));
            let reached = of.reached.as_ref().map(|(steps, all)| (*steps, values(all)));
            let values = values(&of.values);
            (evaluation, lookups, conditions, at_last, values, reached)
        });
        let (evaluation, lookups, conditions, at_last, values, reached) = machine;
        let mut machine =
            Machine { evaluation, lookups, conditions, at_last, values, reached, once: false, _arena: arena };
        let once = machine.computations().any(|of| matches!(of, Computation::Once(..)));
        machine.once = once;
        machine
    }

    /// Before the loop starts with another row.
    pub fn reset(&self) {
        self.forget();
        self.evaluation.reset();
    }

    /// What was evaluated for the row that the loop starts with.
    pub fn forget(&self) {
        if !self.once {
            return;
        }
        for of in self.computations() {
            if let Computation::Once(_, known) = of {
                known.take();
            }
        }
    }

    fn computations(&self) -> impl Iterator<Item = &Computation> {
        let keys = self.lookups.iter().flat_map(|l| &l.values);
        let reached = self.reached.iter().flat_map(|(_, values)| values);
        self.values.iter().chain(keys).chain(reached)
    }

    fn clear(&self) {
        // SAFETY: slots and context are the machine's own.
        unsafe {
            self.lookups.iter().for_each(|l| slot::clear(l.slot));
        }
        self.reset();
    }
}

impl Lookup {
    fn is_of(&self, rel: &Relation) -> bool {
        // SAFETY: the slot lives as long as the machine.
        self.of == rel.tupdesc() && unsafe { (*(*self.slot).tts_tupleDescriptor).natts as usize == rel.natts() }
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
    /// An expression over the frame, alive as long as the machine.
    unsafe fn prepare(&self, expression: *mut pg_sys::Expr) -> *mut pg_sys::ExprState {
        // SAFETY: the caller promises: an expression over the frame, alive as long as the machine.
        unsafe {
            let before = pg_sys::MemoryContextSwitchTo((*self.estate).es_query_cxt);
            let state = pg_sys::ExecInitExpr(expression, std::ptr::null_mut());
            pg_sys::MemoryContextSwitchTo(before);
            state
        }
    }

    /// # Safety
    /// As `prepare`.
    unsafe fn computation(&self, value: &Value, inputs: &BTreeSet<usize>) -> Computation {
        // SAFETY: as the caller promises.
        let prepare = |e: &Tree<pg_sys::Expr>| unsafe { self.prepare(e.raw()) };
        match value {
            Value::Column(at) => Computation::Column(*at),
            Value::Computed(e) if places_of(*e).is_subset(inputs) => Computation::Once(prepare(e), Cell::default()),
            Value::Computed(e) => Computation::Expression(prepare(e)),
        }
    }

    /// Gives back what has been computed.
    fn reset(&self) {
        if !self.context.is_null() {
            // SAFETY: a context of our own.
            unsafe { silent::MemoryContextReset((*self.context).ecxt_per_tuple_memory) };
        }
    }

    /// # Safety
    /// A place of the frame, and a value of its type.
    pub unsafe fn set(&self, at: usize, value: Option<Datum>) {
        // SAFETY: as the caller promises.
        unsafe {
            *(*self.frame).tts_values.add(at) = value.unwrap_or(Datum::from(0usize));
            *(*self.frame).tts_isnull.add(at) = value.is_none();
        }
    }

    /// # Safety
    /// A computation of this loop, whose columns are bound. The value lives until the next row that the loop starts with.
    pub unsafe fn value(&self, of: &Computation) -> Option<Datum> {
        // SAFETY: the caller promises: a computation of this loop, whose columns are bound.
        unsafe {
            match of {
                Computation::Column(at) => {
                    (!*(*self.frame).tts_isnull.add(*at)).then(|| *(*self.frame).tts_values.add(*at))
                }
                Computation::Expression(state) => self.evaluate(*state),
                Computation::Once(state, known) => known.get().unwrap_or_else(|| {
                    let value = self.evaluate(*state);
                    known.set(Some(value));
                    value
                }),
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

    /// Puts values in the place of those of the row before.
    ///
    /// # Safety
    /// As `value`.
    pub unsafe fn values(&self, of: &[Computation], row: &mut Vec<Option<Datum>>) {
        row.clear();
        row.extend(of.iter().map(|v| {
            // SAFETY: as the caller promises.
            unsafe { self.value(v) }
        }));
    }

    /// # Safety
    /// As `value`.
    pub unsafe fn all_true(&self, conditions: &[*mut pg_sys::ExprState]) -> bool {
        // SAFETY: as the caller promises.
        conditions.iter().all(|c| unsafe { self.evaluate(*c) }.is_some_and(|d| d.value() & 0xff != 0))
            || fault::on(Fault::SkipConditions)
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

/// A slot for rows of a relation, with a descriptor of its own.
///
/// # Safety
/// The current memory context outlives the result.
unsafe fn slot_of(rel: &Relation) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: an open relation; a copied descriptor is not counted, so nothing has to be released.
    unsafe {
        let desc = pg_sys::CreateTupleDescCopyConstr(rel.tupdesc());
        pg_sys::MakeSingleTupleTableSlot(desc, pg_sys::table_slot_callbacks(rel.raw()))
    }
}
