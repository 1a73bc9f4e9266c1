//! The state of one group; rows are taken into it and out of it.
//!
//! Invariant: after `take` has returned true for every weighted row of a delta, rows with positive weight first, the state
//! equals the query's state columns for the new rows; false means that the group must be recomputed.

use crate::analyze::describe::fold::{self, Aggregate, Fold, StateKind};
use crate::pg::aggregate::machine;
use crate::pg::aggregate::top::Order;
use crate::pg::ext;
use crate::pg::fault::{self, Fault};
use crate::refresh::plan::folding::{Lent, Width};
use pgrx::pg_sys::{self, Datum};
use pgrx::{FromDatum, IntoDatum};
use smallvec::SmallVec;
use std::ptr::NonNull;
use tviews_core::fold::Extremum;
use tviews_core::spread::{Side, Spread};
use tviews_core::top::{Next, Top, Values};

/// One state of one group.
#[derive(Clone, Copy)]
pub enum Cell {
    Count(i64),
    Extremum(Option<Datum>),
    /// Lives where states live.
    Top(NonNull<Top<Datum>>),
    Moving(machine::State),
    Sum(f64),
}

/// Arguments and conditions of one row of the join.
#[derive(Default)]
pub struct Input {
    pub args: Few<Option<Datum>>,
    pub filters: Few<bool>,
    /// Values of the row's keys for which equal does not mean the same bytes.
    pub inexact: Few<Option<Datum>>,
}

/// Values of one row: few, as a rule.
pub type Few<T> = SmallVec<[T; 2]>;

/// Functions and types for the states of one TVIEW in one flush. States live in one memory context.
pub struct States<'a> {
    fold: &'a Fold,
    pub folding: Lent<'a>,
    /// Where states live.
    home: pg_sys::MemoryContext,
}

impl<'a> States<'a> {
    /// # Safety
    /// The current memory context outlives the result.
    pub unsafe fn new(fold: &'a Fold, folding: Lent<'a>) -> States<'a> {
        // SAFETY: there is always a current context.
        States { fold, folding, home: unsafe { pg_sys::CurrentMemoryContext } }
    }

    pub fn fresh(&self) -> Vec<Cell> {
        let of = |(i, s): (usize, &fold::State)| match &s.kind {
            StateKind::Count | StateKind::Trues | StateKind::Pairs { .. } => Cell::Count(0),
            StateKind::Extremum { .. } => Cell::Extremum(None),
            StateKind::Top => Cell::Top(self.at_home(Top::empty(Datum::from(0usize)))),
            StateKind::Moving { .. } => match &self.folding.machines[i] {
                Some(m) => Cell::Moving(m.fresh()),
                None => Cell::Count(0),
            },
            StateKind::Sum { .. } | StateKind::Spread(_) | StateKind::SpreadPart { .. } => Cell::Sum(0.0),
        };
        self.fold.states.iter().enumerate().map(of).collect()
    }

    /// A top where states live.
    fn at_home(&self, top: Top<Datum>) -> NonNull<Top<Datum>> {
        // SAFETY: the context lives; as much memory as is written, and never null.
        unsafe {
            let place = pg_sys::MemoryContextAlloc(self.home, size_of::<Top<Datum>>()).cast::<Top<Datum>>();
            place.write(top);
            NonNull::new_unchecked(place)
        }
    }

    /// How the values of an extremum, or of its top, are compared and kept.
    fn order(&self, of: usize) -> Option<Order> {
        self.folding.order[of].map(|order| Order { home: self.home, ..order })
    }

    /// The states of a stored row; `values` are its state attributes after the number of rows.
    ///
    /// # Safety
    /// The values are of the states' types; the context of `new` is current.
    pub unsafe fn restore(&mut self, values: &[Option<Datum>]) -> Vec<Cell> {
        // SAFETY: the caller promises: the values are of the states' types; the context of `new` is current.
        unsafe {
            let mut cells = Vec::with_capacity(values.len());
            for (i, s) in self.fold.states.iter().enumerate() {
                let count = |v: Option<Datum>| v.and_then(|d| i64::from_datum(d, false)).unwrap_or(0);
                let cell = match &s.kind {
                    StateKind::Count | StateKind::Trues | StateKind::Pairs { .. } => Cell::Count(count(values[i])),
                    StateKind::Extremum { type_, .. } => Cell::Extremum(values[i].map(|d| copy(d, Width::of(type_)))),
                    StateKind::Top => match self.order(i) {
                        Some(order) => Cell::Top(self.at_home(order.restore(values[i]))),
                        None => Cell::Count(0),
                    },
                    StateKind::Sum { short } => Cell::Sum(values[i].map_or(0.0, |d| float(d, *short))),
                    StateKind::Spread(_) | StateKind::SpreadPart { .. } => {
                        Cell::Sum(values[i].map_or(0.0, |d| float(d, false)))
                    }
                    StateKind::Moving { counter, .. } => match &mut self.folding.machines[i] {
                        Some(m) => Cell::Moving(m.restore(values[i], counter.map(|c| count(values[c])))),
                        None => Cell::Count(0),
                    },
                };
                cells.push(cell);
            }
            cells
        }
    }

    /// Takes a row in (positive weight) or out; false when the group must be recomputed.
    ///
    /// # Safety
    /// As `restore`, but the current context may be a shorter one.
    pub unsafe fn take(&mut self, cells: &mut [Cell], row: &Input, weight: i64) -> bool {
        // SAFETY: the cells were made by this fold, the row has its input types.
        unsafe {
            for (i, s) in self.fold.states.iter().enumerate() {
                if s.filter.is_some_and(|f| !row.filters[f]) && !fault::on(Fault::IgnoreFilters) {
                    continue;
                }
                let arg = s.arg.and_then(|a| row.args[a]);
                let ok = match &mut cells[i] {
                    Cell::Count(n) => {
                        let counts = match s.kind {
                            StateKind::Trues => arg.is_some_and(|d| d.value() & 0xff != 0),
                            StateKind::Pairs { other } => arg.is_some() && row.args[other].is_some(),
                            _ => s.arg.is_none() || arg.is_some() || fault::on(Fault::CountNulls),
                        };
                        *n += if counts { weight } else { 0 };
                        true
                    }
                    Cell::Sum(sum) => match s.kind {
                        StateKind::Spread(of) => self.take_spread(cells, i, of, row, weight),
                        // With the first one.
                        StateKind::SpreadPart { .. } => true,
                        StateKind::Sum { short } => {
                            *sum += arg.map_or(0.0, |d| float(d, short)) * weight as f64;
                            sum.is_finite()
                        }
                        _ => false,
                    },
                    Cell::Extremum(_) => arg.is_none_or(|value| self.take_extremum(cells, i, value, weight)),
                    // With its extremum.
                    Cell::Top(_) => true,
                    Cell::Moving(state) => match &mut self.folding.machines[i] {
                        None => false,
                        Some(machine) => {
                            let mut ok = true;
                            for _ in 0..weight.unsigned_abs() {
                                if weight > 0 {
                                    machine.advance(state, arg);
                                } else {
                                    ok &= machine.retreat(state, arg);
                                }
                                if !ok {
                                    break;
                                }
                            }
                            ok
                        }
                    },
                };
                if !ok {
                    return false;
                }
            }
            true
        }
    }

    /// A value of an extremum comes or goes, and in its top; false when the extremum may have gone.
    ///
    /// # Safety
    /// As `take`.
    unsafe fn take_extremum(&self, cells: &mut [Cell], i: usize, value: Datum, weight: i64) -> bool {
        let StateKind::Extremum { top, .. } = &self.fold.states[i].kind else { return false };
        let Some(order) = self.order(i) else { return false };
        // SAFETY: a top of this fold, which nobody else holds.
        let mut top = top
            .and_then(|t| if let Cell::Top(top) = cells[t] { Some(top) } else { None })
            .map(|mut t| unsafe { t.as_mut() });
        let Cell::Extremum(best) = &mut cells[i] else { return false };
        let skips = weight < 0 && fault::on(Fault::KeepInTop);
        if let Some(top) = top.as_mut().filter(|_| !skips)
            && !top.take(value, weight, &order)
        {
            return false;
        }
        match tviews_core::fold::extremum(best.map(|best| order.compare(value, best)), weight > 0) {
            Extremum::Stays => true,
            Extremum::Becomes => {
                *best = Some(order.keep(value));
                true
            }
            Extremum::Unknown if best.is_some() && fault::on(Fault::KeepExtremum) => true,
            Extremum::Unknown => match (best.as_mut(), top) {
                (Some(shown), Some(top)) => match top.next(*shown, &order) {
                    Next::Stays => true,
                    Next::Becomes(value) => {
                        *shown = order.keep(value);
                        true
                    }
                    Next::Nothing => {
                        *best = None;
                        true
                    }
                    Next::Unknown if fault::on(Fault::TopIsAll) => {
                        *best = None;
                        true
                    }
                    Next::Unknown => false,
                },
                _ => false,
            },
        }
    }

    /// A value or a pair of values comes or goes, and is counted already; false when the sums cannot tell what remains.
    ///
    /// # Safety
    /// As `take`.
    unsafe fn take_spread(&self, cells: &mut [Cell], i: usize, of: fold::Spread, row: &Input, weight: i64) -> bool {
        let x = self.fold.states[i].arg.and_then(|a| row.args[a]);
        let y = of.y.map_or(x, |y| row.args[y]);
        let (Some(x), Some(y)) = (x, y) else { return true };
        let mut spread = spread(cells, i, of);
        spread.count -= weight;
        // SAFETY: arguments are double precision.
        let sure = unsafe { spread.take(float(x, false), float(y, false), weight) };
        let side = |of: Side| [of.sum, of.squares, of.peak];
        let sums = side(spread.x).into_iter().chain(spread.y.map(side).into_iter().flatten()).chain([spread.products]);
        cells[i..i + of.len()].iter_mut().zip(sums).for_each(|(cell, sum)| *cell = Cell::Sum(sum));
        sure
    }

    /// The state attributes after the number of rows.
    ///
    /// # Safety
    /// As `restore`.
    pub unsafe fn dump(&mut self, cells: &[Cell]) -> Vec<Option<Datum>> {
        // SAFETY: the cells were made by this fold.
        unsafe {
            let mut out = Vec::with_capacity(cells.len());
            for (i, cell) in cells.iter().enumerate() {
                out.push(match (cell, &mut self.folding.machines[i], &self.fold.states[i].kind) {
                    (Cell::Count(n), _, _) => n.into_datum(),
                    (Cell::Extremum(d), _, _) => *d,
                    (Cell::Top(top), _, _) => self.order(i).map(|order| order.store(top.as_ref())),
                    (Cell::Moving(state), Some(machine), _) => machine.dump(state),
                    // As the query computes them: of nothing, NULL.
                    (
                        Cell::Sum(sum),
                        _,
                        StateKind::Spread(fold::Spread { count, .. }) | StateKind::SpreadPart { count },
                    ) => match cells[*count] {
                        Cell::Count(0) => None,
                        _ => sum.into_datum(),
                    },
                    (Cell::Sum(sum), _, StateKind::Sum { short: true }) => (*sum as f32).into_datum(),
                    (Cell::Sum(sum), _, _) => sum.into_datum(),
                    _ => None,
                });
            }
            out
        }
    }

    /// The result of aggregate `a`.
    ///
    /// # Safety
    /// As `restore`.
    pub unsafe fn result(&mut self, a: usize, rows: i64, cells: &[Cell]) -> Option<Datum> {
        // SAFETY: the cells were made by this fold.
        unsafe {
            let count = |i: usize| if let Cell::Count(n) = cells[i] { n } else { 0 };
            match &self.fold.aggregates[a] {
                Aggregate::Rows => rows.into_datum(),
                Aggregate::Count(i) => count(*i).into_datum(),
                Aggregate::Bool { and, trues, count: n } => match (count(*trues), count(*n)) {
                    (_, 0) => None,
                    (trues, n) => (if *and { trues == n } else { trues > 0 }).into_datum(),
                },
                Aggregate::Extremum(i) => match cells[*i] {
                    Cell::Extremum(d) => d,
                    _ => None,
                },
                Aggregate::Moving { state, .. } => match (&cells[*state], &mut self.folding.results[a]) {
                    (Cell::Moving(s), Some(machine)) => machine.result(s),
                    _ => None,
                },
                Aggregate::Sum { state, count: n, average, short } => match (cells[*state], count(*n)) {
                    (_, 0) => None,
                    (Cell::Sum(sum), n) if *average => (sum / n as f64).into_datum(),
                    (Cell::Sum(sum), _) if *short => (sum as f32).into_datum(),
                    (Cell::Sum(sum), _) => sum.into_datum(),
                    _ => None,
                },
                Aggregate::Statistic { state, of } => match self.fold.states[*state].kind {
                    StateKind::Spread(sums) => spread(cells, *state, sums).result(*of).and_then(f64::into_datum),
                    _ => None,
                },
            }
        }
    }
}

/// The sums that begin at state `i`.
fn spread(cells: &[Cell], i: usize, of: fold::Spread) -> Spread {
    let sum = |at: usize| if let Cell::Sum(sum) = cells[i + at] { sum } else { 0.0 };
    let side = |at: usize| Side { sum: sum(at), squares: sum(at + 1), peak: sum(at + 2) };
    let count = if let Cell::Count(n) = cells[of.count] { n } else { 0 };
    let two = of.y.is_some();
    Spread { count, x: side(0), y: two.then(|| side(3)), products: if two { sum(6) } else { 0.0 } }
}

/// A plain copy: toasted values are fetched, so that it outlives its row.
///
/// # Safety
/// `value` is of the type.
pub unsafe fn copy(value: Datum, of: Width) -> Datum {
    // SAFETY: `value` is of the type, as the caller promises.
    unsafe {
        match of {
            Width { by_value: true, .. } => value,
            Width { len: -1, .. } => pg_sys::pg_detoast_datum_copy(value.cast_mut_ptr()).into(),
            Width { len, .. } => ext::copy_datum(value, false, i32::from(len)),
        }
    }
}

/// # Safety
/// A float4 or float8, as `short` says; both are passed by value on every server of 64 bits.
unsafe fn float(d: Datum, short: bool) -> f64 {
    // SAFETY: a float4 or float8, as `short` says; both are passed by value on every server of 64 bits.
    unsafe {
        if short { f32::from_datum(d, false).map_or(0.0, f64::from) } else { f64::from_datum(d, false).unwrap_or(0.0) }
    }
}
