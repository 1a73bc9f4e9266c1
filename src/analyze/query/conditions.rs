//! Conditions as lists of terms that are all true, and which relations they are about.

use crate::pg::list;
use pgrx::pg_sys;
use std::collections::BTreeSet;

pub unsafe fn conditions(quals: *mut pg_sys::Node) -> Vec<*mut pg_sys::Node> {
    // SAFETY: `quals` is a live node of a tree of the server.
    unsafe { list::iter(pg_sys::make_ands_implicit(quals.cast())).collect() }
}

pub unsafe fn conjunction(conditions: Vec<*mut pg_sys::Node>) -> *mut pg_sys::Node {
    // SAFETY: the conditions are live nodes of one tree.
    unsafe {
        let mut list: *mut pg_sys::List = std::ptr::null_mut();
        for c in conditions {
            list = pg_sys::lappend(list, c.cast());
        }
        if list.is_null() {
            return std::ptr::null_mut();
        }
        pg_sys::make_ands_explicit(list).cast()
    }
}

/// Range table indexes of this level that a condition mentions, sub-queries inside it included.
pub unsafe fn mentions(condition: *mut pg_sys::Node) -> BTreeSet<usize> {
    // SAFETY: `condition` is a live node of a tree of the server.
    unsafe { set_of(list::members(pg_sys::pull_varnos(std::ptr::null_mut(), condition))) }
}

/// Range table indexes for which a condition cannot be true when they are null-extended.
pub unsafe fn strict_in(condition: *mut pg_sys::Node) -> BTreeSet<usize> {
    // SAFETY: `condition` is a live node of a tree of the server.
    unsafe { set_of(list::members(pg_sys::find_nonnullable_rels(condition))) }
}

pub fn set_of(bits: Vec<i32>) -> BTreeSet<usize> {
    bits.into_iter().map(|b| b as usize).collect()
}
