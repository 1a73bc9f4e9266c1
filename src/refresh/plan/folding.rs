//! What takes rows into the states of a TVIEW's groups and makes results of them: functions, looked up, and how values are stored. Made by the first
//! flush that folds, and used again by those that follow.
//!
//! Invariant: nothing in here belongs to a transaction but the memory context that states live in, which each flush sets. It is kept only when all
//! functions and types came with the server: what these remember of a call is memory of this one, and they do not change.
//! Called by refresh/follow/fold.

use crate::analyze::describe::fold::{Aggregate, Fold, State, StateKind};
use crate::analyze::query::tree::Type;
use crate::pg::aggregate::machine::{self, Machine};
use crate::pg::aggregate::top::Order;
use crate::pg::aggregate::{Context, Moving};
use crate::pg::memory::Arena;
use crate::refresh::plan::tview::Tview;
use pgrx::pg_sys;
use std::ops::{Deref, DerefMut};

/// How values of a type are stored: by value or not, and their length.
#[derive(Clone, Copy)]
pub struct Width {
    pub by_value: bool,
    pub len: i16,
}

pub struct Folding {
    /// By state.
    pub machines: Vec<Option<Machine>>,
    /// For the results of aggregates.
    pub results: Vec<Option<Machine>>,
    /// By state: how the values of an extremum are compared, and those of its top.
    pub order: Vec<Option<Order>>,
    /// By key.
    pub equality: Vec<*mut pg_sys::FmgrInfo>,
    pub keys: Vec<Width>,
    pub args: Vec<Width>,
    context: *mut Context,
    kept: bool,
    _arena: Arena,
}

/// What a flush uses, and gives back at its end, not when it fails.
pub struct Lent<'a> {
    of: Option<Box<Folding>>,
    to: &'a Tview,
}

impl Tview {
    /// For states in the current memory context.
    pub fn folding(&self, fold: &Fold) -> Lent<'_> {
        // SAFETY: the fold is one of existing types and functions; the context is the folding's own.
        let of = unsafe {
            let of = self.folding.take().unwrap_or_else(|| Box::new(Folding::new(fold)));
            (*of.context).curaggcontext = pg_sys::CurrentMemoryContext;
            of
        };
        Lent { of: Some(of), to: self }
    }
}

impl Deref for Lent<'_> {
    type Target = Folding;

    fn deref(&self) -> &Folding {
        self.of.as_ref().expect("there until it is dropped")
    }
}

impl DerefMut for Lent<'_> {
    fn deref_mut(&mut self) -> &mut Folding {
        self.of.as_mut().expect("there until it is dropped")
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            *self.to.folding.borrow_mut() = self.of.take().filter(|of| of.kept);
        }
    }
}

impl Folding {
    /// # Safety
    /// Types and functions of the fold exist.
    unsafe fn new(fold: &Fold) -> Folding {
        let arena = Arena::cached();
        // SAFETY: everything is made in the arena, which is kept as long; entries of the type cache are there for ever.
        let (context, machines, results) = arena.enter(|| unsafe {
            let context = machine::context();
            let machine = |m: &Moving| Machine::new(m, context);
            let of_state = |s: &State| s.moving().map(machine);
            let of_aggregate = |a: &Aggregate| a.moving().map(machine);
            let machines: Vec<_> = fold.states.iter().map(of_state).collect();
            (context, machines, fold.aggregates.iter().map(of_aggregate).collect())
        });
        // SAFETY: as above.
        let order = |of: &Type| unsafe {
            let entry = pg_sys::lookup_type_cache(of.0, pg_sys::TYPECACHE_CMP_PROC_FINFO as i32);
            &raw mut (*entry).cmp_proc_finfo
        };
        // SAFETY: as above.
        let equality = |of: &Type| unsafe {
            let entry = pg_sys::lookup_type_cache(of.0, pg_sys::TYPECACHE_EQ_OPR_FINFO as i32);
            &raw mut (*entry).eq_opr_finfo
        };
        let of_extremum = |s: &State| match &s.kind {
            StateKind::Extremum { max, type_, top } => {
                let Width { by_value, len } = Width::of(type_);
                let (collation, home) = (type_.2, std::ptr::null_mut());
                Some((
                    Order { greatest: *max, compare: order(type_), collation, by_value, len, home, frees: false },
                    *top,
                ))
            }
            _ => None,
        };
        let extrema: Vec<_> = fold.states.iter().map(of_extremum).collect();
        let of_state = |i: usize| {
            let its = |(order, top): &(Order, Option<usize>)| (*top == Some(i)).then_some(*order);
            extrema[i].map(|(order, _)| order).or_else(|| extrema.iter().flatten().find_map(its))
        };
        Folding {
            machines,
            results,
            order: (0..extrema.len()).map(of_state).collect(),
            equality: fold.key_types.iter().map(equality).collect(),
            keys: fold.key_types.iter().map(Width::of).collect(),
            args: fold.arg_types.iter().map(Width::of).collect(),
            context,
            kept: fold.came_with_server(),
            _arena: arena,
        }
    }
}

impl Width {
    pub fn of(of: &Type) -> Width {
        let (mut len, mut by_value) = (0, false);
        // SAFETY: a look-up in a system cache.
        unsafe { pg_sys::get_typlenbyval(of.0, &mut len, &mut by_value) };
        Width { by_value, len }
    }
}
