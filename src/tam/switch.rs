//! Lets heap code see a TVIEW as a heap relation, for the entry points that check `rd_tableam` (heapam.c, heap_getnext).
//!
//! Invariant: outside `begin` … `end` every TVIEW has our routine; inside it has heap's, even when the relation's cache entry is rebuilt
//! meanwhile (an index expression may accept invalidations). An error jumps over `end`; then the abort of its (sub)transaction restores the
//! routine, before the relation's reference is released. So no guard is needed around the heap code, and users' errors keep all their fields.
//! Called by the index build callbacks.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr;

use pgrx::pg_sys;
use pgrx::prelude::*;

use super::heap;

/// Index builds nested through index expressions; more than PostgreSQL's stack would carry in practice.
const MAX_DEPTH: usize = 16;

#[derive(Clone, Copy)]
struct Switched {
    rel: pg_sys::Relation,
    ours: *const pg_sys::TableAmRoutine,
    /// Transaction nesting level of `begin`.
    level: i32,
}

struct Stack {
    entries: [Cell<Switched>; MAX_DEPTH],
    depth: Cell<usize>,
}

thread_local! {
    static STACK: Stack = const {
        const NONE: Cell<Switched> = Cell::new(Switched { rel: ptr::null_mut(), ours: ptr::null(), level: 0 });
        Stack { entries: [NONE; MAX_DEPTH], depth: Cell::new(0) }
    };
}

/// Registers the callbacks; once per process, inherited over fork.
pub fn init() {
    // SAFETY: called from _PG_init; the callbacks have the signatures PostgreSQL expects and only write memory.
    unsafe {
        pg_sys::CacheRegisterRelcacheCallback(Some(on_invalidation), pg_sys::Datum::from(0usize));
        pg_sys::RegisterXactCallback(Some(on_transaction_end), ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(on_subtransaction_event), ptr::null_mut());
    }
}

/// Shows `rel` as heap until `end`, or until the current (sub)transaction aborts.
///
/// # Safety
/// `rel` is open, has our routine, and stays open until `end`.
pub unsafe fn begin(rel: pg_sys::Relation) {
    STACK.with(|stack| {
        let depth = stack.depth.get();
        if depth == MAX_DEPTH {
            too_deep();
        }
        stack.entries[depth].set(Switched { rel, ours: (*rel).rd_tableam, level: pg_sys::GetCurrentTransactionNestLevel() });
        stack.depth.set(depth + 1);
        (*rel).rd_tableam = heap::routine();
    });
}

/// Undoes the innermost `begin`.
///
/// # Safety
/// Pairs with a `begin` whose relation is still open.
pub unsafe fn end() {
    STACK.with(|stack| pop(stack));
}

/// Is this relation shown as heap at the moment?
pub fn is_switched(rel: pg_sys::Relation) -> bool {
    STACK.with(|stack| stack.entries[..stack.depth.get()].iter().any(|entry| ptr::eq(entry.get().rel, rel)))
}

unsafe fn pop(stack: &Stack) {
    let depth = stack.depth.get() - 1;
    let entry = stack.entries[depth].get();
    (*entry.rel).rd_tableam = entry.ours;
    stack.depth.set(depth);
}

/// Restores what was begun at this nesting level or deeper. The relations are still referenced: resource owners are released later.
unsafe fn abort(level: i32) {
    STACK.with(|stack| {
        while stack.depth.get() > 0 && stack.entries[stack.depth.get() - 1].get().level >= level {
            pop(stack);
        }
    });
}

#[cold]
#[pg_guard]
unsafe extern "C-unwind" fn too_deep() {
    ereport!(ERROR, PgSqlErrorCode::ERRCODE_STATEMENT_TOO_COMPLEX, "index builds of TVIEWs are nested too deeply");
}

/// Runs after PostgreSQL has rebuilt the entry (inval.c, LocalExecuteInvalidationMessage), which put our routine back.
unsafe extern "C-unwind" fn on_invalidation(_arg: pg_sys::Datum, _relid: pg_sys::Oid) {
    STACK.with(|stack| {
        for entry in &stack.entries[..stack.depth.get()] {
            (*entry.get().rel).rd_tableam = heap::routine();
        }
    });
}

unsafe extern "C-unwind" fn on_transaction_end(event: pg_sys::XactEvent::Type, _arg: *mut c_void) {
    if event == pg_sys::XactEvent::XACT_EVENT_ABORT || event == pg_sys::XactEvent::XACT_EVENT_PARALLEL_ABORT {
        abort(0);
    }
}

unsafe extern "C-unwind" fn on_subtransaction_event(
    event: pg_sys::SubXactEvent::Type,
    _me: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _arg: *mut c_void,
) {
    if event == pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB {
        // SAFETY: reads a field of the transaction state; the level is still that of the aborting subtransaction.
        abort(pg_sys::GetCurrentTransactionNestLevel());
    }
}
