//! The transaction's pending changes.
//!
//! Invariant: when a transaction commits or is prepared, its queue has been flushed (PRE_COMMIT, PRE_PREPARE, see xact.rs), and
//! when it ends the queue is empty. Sub-transactions follow the state machine of `tviews_core::queue`.
//! Called by capture (adds), flush (takes), the hooks (asks whether something is pending) and xact.

pub mod changes;
pub mod in_flight;
pub mod spill;

use crate::pg::fault::{self, Fault};
use changes::ChangeSet;
use pgrx::pg_sys;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use tviews_core::queue::{Absorb, Queue};

/// What a pending change is about. Base relations sort before TVIEWs to recompute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// Rows of this relation changed.
    Relation(u32),
    /// This TVIEW must be recomputed, whatever changed.
    Recompute(u32),
}

/// Pending changes of a flush, by subject, oldest first.
pub type Pending = BTreeMap<Subject, Vec<Rc<ChangeSet>>>;

/// Changes that a flush in the middle of a transaction with a kept snapshot has applied: they are flushed once more at
/// commit, with the latest snapshot. Sets are only listed, never summed: what one flush wrote and a later change undoes
/// must still be looked at.
#[derive(Default)]
struct Applied(Vec<Rc<ChangeSet>>);

impl Absorb for Applied {
    fn absorb(&mut self, other: &Self) {
        self.0.extend(other.0.iter().cloned());
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

thread_local! {
    static APPLIED: RefCell<Queue<Subject, Applied>> = RefCell::new(Queue::default());
    static QUEUE: RefCell<Queue<Subject, ChangeSet>> = RefCell::new(Queue::default());
}

pub fn is_empty() -> bool {
    QUEUE.with(|q| q.borrow().is_empty())
}

/// Whether no flush of this transaction has to be done once more at commit.
pub fn nothing_applied() -> bool {
    APPLIED.with(|a| a.borrow().is_empty())
}

/// Whether nothing is left to be done before commit.
pub fn is_settled() -> bool {
    is_empty() && APPLIED.with(|a| a.borrow().is_empty())
}

/// Changes what is pending for `subject` in the current sub-transaction.
pub fn change(subject: Subject, f: impl FnOnce(&mut ChangeSet)) {
    QUEUE.with(|q| q.borrow_mut().change(depth(), subject, f));
}

/// Marks a relation's contents as changed in a way that has no rows (TRUNCATE, ATTACH PARTITION …).
pub fn change_everything(relid: pg_sys::Oid) {
    change(Subject::Relation(relid.to_u32()), ChangeSet::set_everything);
}

/// Marks a TVIEW for recomputation in this transaction.
pub fn recompute(tview: pg_sys::Oid) {
    change(Subject::Recompute(tview.to_u32()), ChangeSet::set_everything);
}

/// Takes everything that is pending.
pub fn take() -> Pending {
    let depth = if fault::on(Fault::LoseWhatAFlushConsumed) { 1 } else { depth() };
    QUEUE.with(|q| q.borrow_mut().take(depth))
}

/// Remembers changes that have been applied under the transaction's own snapshot.
pub fn applied(subject: Subject, sets: &[Rc<ChangeSet>]) {
    APPLIED.with(|a| a.borrow_mut().change(depth(), subject, |list| list.0.extend(sets.iter().cloned())));
}

/// Takes everything that has to be flushed at commit.
pub fn take_all() -> Pending {
    let mut all = take();
    for (subject, lists) in APPLIED.with(|a| a.borrow_mut().take(depth())) {
        let sets = lists.iter().flat_map(|l| l.0.iter().cloned());
        all.entry(subject).or_default().extend(sets);
    }
    all
}

/// Everything that is pending, which stays pending.
pub fn peek() -> Pending {
    QUEUE.with(|q| q.borrow().peek())
}

pub(super) fn depth() -> u32 {
    // SAFETY: plain getter.
    unsafe { pg_sys::GetCurrentTransactionNestLevel() as u32 }
}

/// Sub-transaction callbacks, see xact.rs.
pub fn sub_commit(level: u32) {
    QUEUE.with(|q| q.borrow_mut().sub_commit(level));
    APPLIED.with(|a| a.borrow_mut().sub_commit(level));
}

pub fn sub_abort(level: u32) {
    if fault::on(Fault::KeepRolledBack) {
        QUEUE.with(|q| q.borrow_mut().sub_commit(level));
    }
    QUEUE.with(|q| q.borrow_mut().sub_abort(level));
    APPLIED.with(|a| a.borrow_mut().sub_abort(level));
}

/// Forgets everything.
pub fn reset() {
    QUEUE.with(|q| q.borrow_mut().reset());
    APPLIED.with(|a| a.borrow_mut().reset());
}
