//! The transaction's pending changes.
//!
//! Invariant: when a transaction commits or is prepared, its queue has been flushed (PRE_COMMIT, PRE_PREPARE, see xact.rs), and
//! when it ends the queue is empty. Sub-transactions follow the state machine of `tviews_core::queue`.
//! Called by capture (adds), flush (takes), the hooks (ask whether changes are pending) and xact.

pub mod changes;
pub mod images;
pub mod in_flight;
pub mod spill;
pub mod sums;
pub mod suspension;

use crate::pg::fault::{self, Fault};
use crate::pg::process::process;
use crate::pg::silent;
use changes::ChangeSet;
use pgrx::pg_sys;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use tviews_core::queue::{Absorb, Fate, Queue};
use tviews_core::subject;
pub use tviews_core::subject::{Readers, Subject};

/// Pending changes of a flush, by subject, oldest first.
pub type Pending = BTreeMap<Subject, Vec<Rc<ChangeSet>>>;

/// A list of change sets that a flush has followed and a later flush has to look at again. Sets are only listed, never summed: rows that
/// one flush wrote and a later change undoes must still be looked at.
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

process! {
    /// Start of the statement that queued the last change; 0 when there was none. Shown only.
    static CHANGED: Cell<pg_sys::TimestampTz> = const { Cell::new(0) };
    /// Followed inside of a statement that writes; for the next flush.
    static AGAIN: RefCell<Queue<Subject, Applied>> = RefCell::new(Queue::default());
    /// Followed under the transaction's own snapshot; for the flush at commit, with the latest snapshot.
    static APPLIED: RefCell<Queue<Subject, Applied>> = RefCell::new(Queue::default());
    static QUEUE: RefCell<Queue<Subject, ChangeSet>> = RefCell::new(Queue::default());
    /// For deferred TVIEWs: not written to the log yet.
    static LOGGED: RefCell<Queue<u32, ChangeSet>> = RefCell::new(Queue::default());
}

pub fn is_empty() -> bool {
    QUEUE.with(|q| q.borrow().is_empty()) && !has_again()
}

/// Whether the next flush has to look at followed changes again.
pub fn has_again() -> bool {
    AGAIN.with(|a| !a.borrow().is_empty())
}

/// Whether no flush of this transaction has to be done once more at commit.
pub fn nothing_applied() -> bool {
    APPLIED.with(|a| a.borrow().is_empty())
}

/// Whether there is nothing to flush before commit.
pub fn is_followed() -> bool {
    is_empty() && APPLIED.with(|a| a.borrow().is_empty())
}

/// Whether there is nothing to do before commit.
pub fn is_settled() -> bool {
    is_followed() && is_logged()
}

/// Changes the set that is to be logged for a relation.
pub fn log(relid: u32, f: impl FnOnce(&mut ChangeSet)) {
    LOGGED.with(|q| q.borrow_mut().change(depth(), relid, f));
}

/// Adds a set that is to be logged for a relation.
pub fn log_set(relid: u32, set: Rc<ChangeSet>) {
    LOGGED.with(|q| q.borrow_mut().put(depth(), relid, set));
}

/// Takes all that is to be logged, by relation.
pub fn take_logged() -> BTreeMap<u32, Vec<Rc<ChangeSet>>> {
    LOGGED.with(|q| q.borrow_mut().take(depth()))
}

/// Whether nothing is to be logged.
pub fn is_logged() -> bool {
    LOGGED.with(|q| q.borrow().is_empty())
}

/// Changes the set that is pending for `subject` in the current sub-transaction.
pub fn change(subject: Subject, f: impl FnOnce(&mut ChangeSet)) {
    QUEUE.with(|q| q.borrow_mut().change(depth(), subject, f));
    // SAFETY: plain getter.
    CHANGED.set(unsafe { silent::GetCurrentStatementStartTimestamp() });
}

/// Start of the statement that queued the last change, when changes are pending.
pub fn last_change() -> Option<pg_sys::TimestampTz> {
    Some(CHANGED.get()).filter(|time| *time != 0 && !is_empty())
}

/// Marks a relation's contents as changed in a way that has no rows (TRUNCATE, ATTACH PARTITION …).
pub fn change_everything(relid: pg_sys::Oid) {
    change(Subject::Relation(relid.to_u32()), ChangeSet::set_everything);
    log(relid.to_u32(), ChangeSet::set_everything);
}

/// Marks a TVIEW for recomputation in this transaction.
pub fn recompute(tview: pg_sys::Oid) {
    change(Subject::Recompute(tview.to_u32()), ChangeSet::set_everything);
}

/// Takes all pending changes.
pub fn take() -> Pending {
    let taken = QUEUE.with(|q| q.borrow_mut().take(taker()));
    with_lists(taken, AGAIN.with(|a| a.borrow_mut().take(taker())))
}

/// Adds the sets of some lists to the sets of their subjects.
fn with_lists(mut all: Pending, lists: BTreeMap<Subject, Vec<Rc<Applied>>>) -> Pending {
    for (subject, lists) in lists {
        all.entry(subject).or_default().extend(lists.iter().flat_map(|l| l.0.iter().cloned()));
    }
    all
}

/// The level that remembers the sets that a flush takes.
fn taker() -> u32 {
    if fault::on(Fault::LoseWhatAFlushConsumed) { 1 } else { depth() }
}

/// How a flush of some TVIEWs treats a pending subject.
fn fate(subject: &Subject, tviews: &BTreeSet<u32>, readers: &impl Fn(u32) -> Readers) -> Fate<Subject> {
    match subject::fate(subject, tviews, readers) {
        Fate::Share(_) if fault::on(Fault::ForgetWhoWaits) => Fate::Take,
        fate => fate,
    }
}

/// Takes the changes that these TVIEWs have to follow; they stay pending for other TVIEWs. `readers`: the TVIEWs that read a relation.
pub fn take_for(tviews: &BTreeSet<u32>, readers: &impl Fn(u32) -> Readers) -> Pending {
    let taken = QUEUE.with(|q| q.borrow_mut().take_some(taker(), |subject| fate(subject, tviews, readers)));
    with_lists(taken, AGAIN.with(|a| a.borrow_mut().take_some(taker(), |subject| fate(subject, tviews, readers))))
}

/// Whether changes are pending that these TVIEWs have to follow.
pub fn concerns(tviews: &BTreeSet<u32>, readers: &impl Fn(u32) -> Readers) -> bool {
    let pending = |subject: &Subject| fate(subject, tviews, readers) != Fate::Leave;
    QUEUE.with(|q| q.borrow().any(pending)) || AGAIN.with(|a| a.borrow().any(pending))
}

/// Adds changes of a TVIEW, for its readers that the flush is not about.
pub fn await_by(tview: pg_sys::Oid, readers: Readers, set: Rc<ChangeSet>) {
    QUEUE.with(|q| q.borrow_mut().put(depth(), Subject::Awaited(tview.to_u32(), readers), set));
}

/// Remembers changes that a TVIEW has followed inside of a statement that writes. The flush saw rows of that statement that are not captured yet;
/// if a later change undoes these rows, only these sets lead to the rows that the flush wrote. So the sets are listed, never summed.
pub fn follow_again(tview: u32, relid: u32, sets: &[Rc<ChangeSet>]) {
    let subject = Subject::Awaited(relid, Rc::new(BTreeSet::from([tview])));
    AGAIN.with(|a| a.borrow_mut().change(depth(), subject, |list| list.0.extend(sets.iter().cloned())));
}

/// Remembers changes that have been applied under the transaction's own snapshot.
pub fn applied(subject: Subject, sets: &[Rc<ChangeSet>]) {
    APPLIED.with(|a| a.borrow_mut().change(depth(), subject, |list| list.0.extend(sets.iter().cloned())));
}

/// Takes all changes that have to be flushed at commit.
pub fn take_all() -> Pending {
    with_lists(take(), APPLIED.with(|a| a.borrow_mut().take(depth())))
}

/// All pending changes, without taking them.
pub fn peek() -> Pending {
    QUEUE.with(|q| q.borrow().peek())
}

pub(super) fn depth() -> u32 {
    // SAFETY: plain getter.
    unsafe { silent::GetCurrentTransactionNestLevel() as u32 }
}

/// Sub-transaction callbacks, see xact.rs.
pub fn sub_commit(level: u32) {
    QUEUE.with(|q| q.borrow_mut().sub_commit(level));
    APPLIED.with(|a| a.borrow_mut().sub_commit(level));
    AGAIN.with(|a| a.borrow_mut().sub_commit(level));
    LOGGED.with(|l| l.borrow_mut().sub_commit(level));
}

pub fn sub_abort(level: u32) {
    if fault::on(Fault::KeepRolledBack) {
        QUEUE.with(|q| q.borrow_mut().sub_commit(level));
    }
    QUEUE.with(|q| q.borrow_mut().sub_abort(level));
    APPLIED.with(|a| a.borrow_mut().sub_abort(level));
    AGAIN.with(|a| a.borrow_mut().sub_abort(level));
    LOGGED.with(|l| l.borrow_mut().sub_abort(level));
}

/// Forgets everything.
pub fn reset() {
    CHANGED.set(0);
    QUEUE.with(|q| q.borrow_mut().reset());
    APPLIED.with(|a| a.borrow_mut().reset());
    AGAIN.with(|a| a.borrow_mut().reset());
    LOGGED.with(|l| l.borrow_mut().reset());
}
