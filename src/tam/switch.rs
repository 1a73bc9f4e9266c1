//! Lets heap code see a TVIEW as a heap relation, for the entry points that check `rd_tableam` (heapam.c, heap_getnext).
//!
//! Invariant: outside `begin` … `end` every TVIEW has our routine; inside, the TVIEW has heap's, even when its cache entry is rebuilt
//! meanwhile (an index expression may accept invalidations). An error jumps over `end`; then the abort of its (sub)transaction restores the
//! routine, before the relation's reference is released. So no guard is needed around the heap code, and users' errors keep all their fields.
//! Called by the index build callbacks.

use std::cell::RefCell;
use std::ptr;

use pgrx::pg_sys;
use tviews_core::by_subxact::BySubxact;

use super::heap;

#[derive(Clone, Copy)]
struct Switched {
    rel: pg_sys::Relation,
    ours: *const pg_sys::TableAmRoutine,
}

thread_local! {
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
/// `rel` is open, has our routine, and stays open until `end`.
pub unsafe fn begin(rel: pg_sys::Relation) {
    // SAFETY: `rel` is open, has our routine, and stays open until `end`, as the caller promises.
    unsafe {
        let level = pg_sys::GetCurrentTransactionNestLevel() as u32;
        STACK.with(|stack| stack.borrow_mut().push(level, Switched { rel, ours: (*rel).rd_tableam }));
        (*rel).rd_tableam = heap::routine();
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

/// Is this relation shown as heap at the moment?
pub fn is_switched(rel: pg_sys::Relation) -> bool {
    STACK.with(|stack| stack.borrow().iter().any(|(_, switched)| ptr::eq(switched.rel, rel)))
}

/// Gives a relation our routine back. The relation is still referenced: resource owners are released later.
///
/// # Safety
/// The relation is still open, and its routine is the routine that `begin` has set.
unsafe fn undo(switched: Switched) {
    // SAFETY: the relation is still open, and its routine is the routine that `begin` has set.
    unsafe {
        (*switched.rel).rd_tableam = switched.ours;
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

/// Switches again after PostgreSQL has rebuilt the relation's entry (inval.c, LocalExecuteInvalidationMessage), which put our routine back.
unsafe extern "C-unwind" fn on_invalidation(_arg: pg_sys::Datum, _relid: pg_sys::Oid) {
    // SAFETY: the relations are still referenced, so their entries stay where they are.
    unsafe {
        STACK.with(|stack| {
            for (_, switched) in stack.borrow().iter() {
                (*switched.rel).rd_tableam = heap::routine();
            }
        });
    }
}
