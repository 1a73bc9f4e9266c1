//! The order of rows as the server's own sorts have it: operators, collations, and where NULLs come.
//!
//! Invariant: compares as tuplesort does for the same ORDER BY. Called by strategy range. Source: utils/sortsupport.h,
//! ApplySortComparator, and executor/nodeSort.c.

use pgrx::pg_sys::{self, Datum};
use std::cmp::Ordering;

/// One column of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// `<` of a btree operator family, or `>` for descending order.
    pub operator: pg_sys::Oid,
    pub collation: pg_sys::Oid,
    pub nulls_first: bool,
}

/// Compares rows of values in an order, as long as the memory context lives that it was made in.
pub struct Comparison(Vec<pg_sys::SortSupportData>);

impl Comparison {
    pub fn new(keys: impl Iterator<Item = Key>) -> Comparison {
        let prepared = keys.map(|key| {
            let mut support = pg_sys::SortSupportData {
                // SAFETY: the current context, in which the comparison lives.
                ssup_cxt: unsafe { pg_sys::CurrentMemoryContext },
                ssup_collation: key.collation,
                ssup_nulls_first: key.nulls_first,
                ..pg_sys::SortSupportData::default()
            };
            // SAFETY: an ordering operator, as the parser has found it for ORDER BY.
            unsafe { pg_sys::PrepareSortSupportFromOrderingOp(key.operator, &raw mut support) };
            support
        });
        Comparison(prepared.collect())
    }

    /// Where `a` is in the order, seen from `b`; None is NULL.
    ///
    /// # Safety
    /// `a` and `b` give, for the number of a key, a value of its type.
    pub unsafe fn of(&mut self, a: impl Fn(usize) -> Option<Datum>, b: impl Fn(usize) -> Option<Datum>) -> Ordering {
        for (i, support) in self.0.iter_mut().enumerate() {
            // SAFETY: values of the key's type, as the caller promises.
            let ordering = unsafe { of_key(support, a(i), b(i)) };
            if ordering != Ordering::Equal {
                return ordering;
            }
        }
        Ordering::Equal
    }
}

/// # Safety
/// Values of the type that the comparison was prepared for.
#[allow(ffi_unwind_calls)] // inside the guard's closure, which has nothing to drop
unsafe fn of_key(support: &mut pg_sys::SortSupportData, a: Option<Datum>, b: Option<Datum>) -> Ordering {
    let null = if support.ssup_nulls_first { Ordering::Less } else { Ordering::Greater };
    match (a, b) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => null,
        (Some(_), None) => null.reverse(),
        (Some(a), Some(b)) => {
            let Some(compare) = support.comparator else { return Ordering::Equal };
            let reverse = support.ssup_reverse;
            // SAFETY: prepared by the server; the values are of the operator's type.
            let sign = unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| compare(a, b, support)) };
            if reverse { 0.cmp(&sign) } else { sign.cmp(&0) }
        }
    }
}
