//! The visible columns of a group: its keys, its aggregates, and expressions over both.
//!
//! Expressions are evaluated by the server's executor over a virtual row (keys, then aggregates).
//! Source: executor/execExpr.c, ExecPrepareExpr.

use crate::analyze::describe::fold::{Fold, Output};
use crate::analyze::query::tree::Type;
use crate::pg::{original, silent, slot, tupdesc};
use pgrx::pg_sys::{self, Datum};

pub struct Outputs {
    estate: *mut pg_sys::EState,
    slot: *mut pg_sys::TupleTableSlot,
    /// By output column.
    expressions: Vec<Option<*mut pg_sys::ExprState>>,
}

impl Outputs {
    /// # Safety
    /// The current memory context outlives the result; the TVIEW's owner is the current user.
    pub unsafe fn new(fold: &Fold) -> Option<Outputs> {
        // SAFETY: the caller promises: the current memory context outlives the result; the TVIEW's owner is the current user.
        unsafe {
            if !fold.outputs.iter().any(|o| matches!(o, Output::Expression(_))) {
                return None;
            }
            let types: Vec<&Type> = fold.key_types.iter().chain(&fold.aggregate_types).collect();
            let desc = tupdesc::of(types.len(), |desc| {
                for (i, t) in types.iter().enumerate() {
                    pg_sys::TupleDescInitEntry(desc, i as i16 + 1, std::ptr::null(), t.0, t.1, 0);
                    pg_sys::TupleDescInitEntryCollation(desc, i as i16 + 1, t.2);
                }
            });
            let slot = pg_sys::MakeSingleTupleTableSlot(desc, &pg_sys::TTSOpsVirtual);
            let estate = pg_sys::CreateExecutorState();
            let prepare = |o: &Output| match o {
                Output::Expression(e) => Some(pg_sys::ExecPrepareExpr(e.raw(), estate)),
                _ => None,
            };
            let expressions = fold.outputs.iter().map(prepare).collect();
            Some(Outputs { estate, slot, expressions })
        }
    }

    /// The expressions among the outputs of one group. Values live until the next call.
    ///
    /// # Safety
    /// `inputs` are keys and aggregates of the group.
    pub unsafe fn evaluate(
        &mut self,
        inputs: impl Iterator<Item = Option<Datum>>,
        mut put: impl FnMut(usize, Option<Datum>),
    ) {
        // SAFETY: `inputs` are keys and aggregates of the group, as the caller promises.
        unsafe {
            slot::clear(self.slot);
            for (i, value) in inputs.enumerate() {
                *(*self.slot).tts_values.add(i) = value.unwrap_or(Datum::from(0usize));
                *(*self.slot).tts_isnull.add(i) = value.is_none();
            }
            pg_sys::ExecStoreVirtualTuple(self.slot);
            let mut context = (*self.estate).es_per_tuple_exprcontext;
            if context.is_null() {
                context = pg_sys::MakePerTupleExprContext(self.estate);
            }
            silent::MemoryContextReset((*context).ecxt_per_tuple_memory);
            (*context).ecxt_scantuple = self.slot;
            for (column, state) in self.expressions.iter().enumerate() {
                let Some(state) = *state else { continue };
                let mut null = false;
                let before = pg_sys::MemoryContextSwitchTo((*context).ecxt_per_tuple_memory);
                #[allow(ffi_unwind_calls)] // inside the closure of keep, which has nothing to drop
                let value = match (*state).evalfunc {
                    Some(eval) => {
                        let null = &raw mut null;
                        original::keep(std::ptr::null(), || eval(state, context, null))
                    }
                    None => Datum::from(0usize),
                };
                pg_sys::MemoryContextSwitchTo(before);
                put(column, (!null).then_some(value));
            }
        }
    }

    /// # Safety
    /// Called once, while nothing unwinds.
    pub unsafe fn close(self) {
        // SAFETY: Called once, while nothing unwinds, as the caller promises.
        unsafe {
            pg_sys::ExecDropSingleTupleTableSlot(self.slot);
            pg_sys::FreeExecutorState(self.estate);
        }
    }
}
