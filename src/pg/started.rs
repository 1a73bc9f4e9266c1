//! The executors that run our own plans.
//!
//! Invariant: an executor is ours exactly while a query of `spi::Session` runs, and only when it runs the very statement that the plan
//! cache keeps for that query's plan. Queries that users' functions run meanwhile (while the plan is made, or while it runs) have executors of
//! their own, which are not ours. Source: executor/spi.c, _SPI_execute_plan, SPI_cursor_open_internal.
//! Called by spi (begins), by the executor hook (recognises), by code that answers to our own queries only; reset by xact.

use super::list;
use crate::pg::process::process;
use pgrx::pg_sys;
use std::cell::RefCell;

/// A plan that is about to run, and the executor that runs it, once it has started.
struct Run {
    plan: pg_sys::SPIPlanPtr,
    executor: *const pg_sys::EState,
}

process! {
    static STARTED: RefCell<Vec<Run>> = const { RefCell::new(Vec::new()) };
}

/// One execution of one plan.
pub struct Started(());

impl Started {
    pub fn new(plan: pg_sys::SPIPlanPtr) -> Started {
        STARTED.with(|s| s.borrow_mut().push(Run { plan, executor: std::ptr::null() }));
        Started(())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        STARTED.with(|s| s.borrow_mut().pop());
    }
}

/// Whether an executor is waited for. Asked at the start of every query.
pub fn is_awaited() -> bool {
    STARTED.with(|s| s.borrow().last().is_some_and(|run| run.executor.is_null()))
}

/// An executor has started: notes it when it is the one that is waited for.
///
/// # Safety
/// `query` has been started.
pub unsafe fn recognise(query: *const pg_sys::QueryDesc) {
    // SAFETY: `query` has been started, as the caller promises.
    unsafe {
        STARTED.with(|s| {
            let mut runs = s.borrow_mut();
            let Some(run) = runs.last_mut().filter(|run| run.executor.is_null()) else { return };
            let sources = list::iter::<pg_sys::CachedPlanSource>(pg_sys::SPI_plan_get_plan_sources(run.plan));
            let kept = sources.map(|source| (*source).gplan).filter(|plan| !plan.is_null());
            let mut statements = kept.flat_map(|plan| list::iter::<pg_sys::PlannedStmt>((*plan).stmt_list));
            if statements.any(|statement| statement == (*query).plannedstmt) {
                run.executor = (*query).estate;
            }
        });
    }
}

/// Whether an executor is ours.
pub fn is_own(executor: *const pg_sys::EState) -> bool {
    !executor.is_null() && STARTED.with(|s| s.borrow().iter().any(|run| run.executor == executor))
}

pub fn reset() {
    STARTED.with(|s| s.borrow_mut().clear());
}
