//! Shows a relation with another routine than its own: a TVIEW as a heap relation to heap code that checks `rd_tableam` (heapam.c, heap_getnext), and a
//! materialized view of the heap, a log, as one of ours when its storage is made (create.rs).
//!
//! Invariant: outside `begin` … `end` every relation has its own routine; inside, it has the one it is shown with, even when its cache entry is rebuilt
//! meanwhile (an index expression may accept invalidations). An error jumps over `end`; then the abort of its (sub)transaction restores the
//! routine, before the relation's reference is released. So no guard is needed around the heap code, and users' errors keep all their fields.
//! Called by the index build callbacks, and for new storage.

use std::cell::RefCell;
use std::ptr;

use crate::pg::process::process;
use pgrx::pg_sys;
use tviews_core::by_subxact::BySubxact;

use super::{heap, routine};

#[derive(Clone, Copy)]
struct Switched {
    rel: pg_sys::Relation,
    own: *const pg_sys::TableAmRoutine,
    shown: *const pg_sys::TableAmRoutine,
}

process! {
    static STACK: RefCell<BySubxact<Switched>> = const { RefCell::new(BySubxact::new()) };
}

/// Registers the cache callback; once per process, inherited over fork.
pub fn init() {
    // SAFETY: called from _PG_init; the callback has the signature PostgreSQL expects and only writes memory.
    unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(on_invalidation), pg_sys::Datum::from(0usize)) };
}

/// Shows `rel` as heap until `end`, or until the current (sub)transaction aborts.
///
/// # Safety
/// `rel` is open, and stays open until `end`.
pub unsafe fn begin(rel: pg_sys::Relation) {
    // SAFETY: as the caller promises.
    unsafe { show(rel, heap::routine()) }
}

/// Shows `rel` as a TVIEW, as `begin` shows it as heap.
///
/// # Safety
/// As for `begin`; the heap stores `rel`.
pub unsafe fn begin_as_ours(rel: pg_sys::Relation) {
    // SAFETY: as the caller promises.
    unsafe { show(rel, routine::routine()) }
}

/// # Safety
/// As for `begin`.
unsafe fn show(rel: pg_sys::Relation, shown: *const pg_sys::TableAmRoutine) {
    // SAFETY: `rel` is open and stays open until `end`, as the caller promises.
    unsafe {
        let level = pg_sys::GetCurrentTransactionNestLevel() as u32;
        STACK.with(|stack| stack.borrow_mut().push(level, Switched { rel, own: (*rel).rd_tableam, shown }));
        (*rel).rd_tableam = shown;
    }
}

/// Undoes the innermost `begin`.
///
/// # Safety
/// Pairs with a `begin` whose relation is still open.
pub unsafe fn end() {
    // SAFETY: Pairs with a `begin` whose relation is still open, as the caller promises.
    unsafe {
        STACK.with(|stack| stack.borrow_mut().pop().map(|switched| undo(switched)));
    }
}

/// Is this relation shown with another routine at the moment?
pub fn is_switched(rel: pg_sys::Relation) -> bool {
    STACK.with(|stack| stack.borrow().iter().any(|(_, switched)| ptr::eq(switched.rel, rel)))
}

/// Gives a relation its routine back. The relation is still referenced: resource owners are released later.
///
/// # Safety
/// The relation is still open, and its routine is the routine that `begin` has set.
unsafe fn undo(switched: Switched) {
    // SAFETY: the relation is still open, and its routine is the routine that `begin` has set.
    unsafe {
        (*switched.rel).rd_tableam = switched.own;
    }
}

/// Restores relations that were switched at this nesting level or deeper, see xact.rs.
pub fn sub_abort(level: u32) {
    // SAFETY: called while the relations are still referenced.
    STACK.with(|stack| stack.borrow_mut().abort(level, |switched| unsafe { undo(switched) }));
}

pub fn sub_commit(level: u32) {
    STACK.with(|stack| stack.borrow_mut().release(level));
}

/// Switches again after PostgreSQL has rebuilt the relation's entry (inval.c, LocalExecuteInvalidationMessage), which put its own routine back.
unsafe extern "C-unwind" fn on_invalidation(_arg: pg_sys::Datum, _relid: pg_sys::Oid) {
    // SAFETY: the relations are still referenced, so their entries stay where they are.
    unsafe {
        STACK.with(|stack| {
            for (_, switched) in stack.borrow().iter() {
                (*switched.rel).rd_tableam = switched.shown;
            }
        });
    }
}
