//! How often this transaction has suspended its TVIEWs and not resumed them: `pg_tviews_suspend_triggers`.
//!
//! Invariant: a suspension is about when TVIEWs follow, never about whether. Changes are queued as always, the queue knows nothing of this
//! count, and every flush takes all that is pending: before commit and prepare, before a read of a TVIEW, before DDL. So no change is lost, and no
//! read is stale, whatever is suspended. What remains: as long as the count is above 0 the interface applies nothing by itself; the resume that
//! takes it to 0 applies what is pending, in bulk and in dependency order.
//! The count belongs to the transaction: a rollback to a savepoint takes it back to what it was there. Called by compat/ and xact.

use crate::pg::process::process;
use std::cell::RefCell;
use tviews_core::by_subxact::BySubxact;

process! {
    /// Counts, the newest last.
    static SUSPENDED: RefCell<BySubxact<u32>> = const { RefCell::new(BySubxact::new()) };
}

pub fn depth() -> u32 {
    SUSPENDED.with(|s| s.borrow().last().copied().unwrap_or(0))
}

pub fn suspend() {
    set(depth().saturating_add(1));
}

/// The count after one suspension less; None when there was none.
pub fn resume() -> Option<u32> {
    let left = depth().checked_sub(1)?;
    set(left);
    Some(left)
}

/// One count a level is enough.
fn set(count: u32) {
    let level = super::depth();
    SUSPENDED.with(|s| {
        let mut counts = s.borrow_mut();
        counts.retain(|l, _| l < level);
        counts.push(level, count);
    });
}

pub fn sub_commit(level: u32) {
    SUSPENDED.with(|s| s.borrow_mut().release(level));
}

pub fn sub_abort(level: u32) {
    SUSPENDED.with(|s| s.borrow_mut().abort(level, drop));
}

pub fn reset() {
    SUSPENDED.with(|s| s.borrow_mut().clear());
}
