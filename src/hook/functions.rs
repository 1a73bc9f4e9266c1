//! Functions that TVIEWs call, created, replaced or altered: known from object access, acted upon when the statement has succeeded.

use crate::build::{populate, redefine};
use crate::catalog::stages;
use crate::hook::dependents::tviews_over;
use crate::pg::error::Result;
use crate::pg::fault::{self, Fault};
use crate::pg::process::process;
use crate::queue;
use pgrx::pg_sys;
use std::cell::RefCell;
use std::collections::BTreeSet;

process! {
    /// TVIEWs that call a function that the statement has changed.
    static CALLERS: RefCell<BTreeSet<u32>> = const { RefCell::new(BTreeSet::new()) };
}
/// A function was created, replaced or altered: TVIEWs that call it are recomputed, also when they call it through views, operators, aggregates and
/// other functions with recorded dependencies.
pub fn function_changed(function: pg_sys::Oid) {
    if fault::on(Fault::IgnoreFunctions) {
        return;
    }
    let start = vec![(pg_sys::ProcedureRelationId.to_u32(), function.to_u32(), 0)];
    for tview in tviews_over(start) {
        queue::recompute(tview);
        CALLERS.with_borrow_mut(|c| c.insert(stages::root(tview).to_u32()));
    }
}

/// After the statement: a function that is volatile by now, or does not find its names, is refused, as at CREATE TVIEW.
pub fn functions_changed() -> Result<()> {
    let callers = CALLERS.take();
    if !callers.is_empty() {
        // SAFETY: makes the statement's catalog changes visible.
        unsafe { pg_sys::CommandCounterIncrement() };
    }
    callers.into_iter().map(pg_sys::Oid::from).try_for_each(|tview| {
        redefine::check(tview)?;
        populate::check_functions(tview)
    })
}
