//! The transaction's pending changes, bound to the server's transaction callbacks.
//!
//! Invariant: when a transaction commits or is prepared, its queue has been flushed (PRE_COMMIT, PRE_PREPARE), and
//! when it ends the queue is empty. Sub-transactions follow the state machine of `tviews_core::queue`.
//! Called by capture (adds), flush (takes) and the hooks (asks whether something is pending).

pub mod changes;
pub mod in_flight;
mod spill;

use crate::pg::callback::Frame;
use crate::pg::fault::{self, Fault};
use crate::pg::original;
use crate::refresh;
use changes::ChangeSet;
use pgrx::{pg_guard, pg_sys};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::c_void;
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
}

thread_local! {
    static APPLIED: RefCell<Queue<Subject, Applied>> = RefCell::new(Queue::default());
    static QUEUE: RefCell<Queue<Subject, ChangeSet>> = RefCell::new(Queue::default());
}

pub fn init() {
    // SAFETY: callbacks live as long as the library, which is never unloaded.
    unsafe {
        pg_sys::RegisterXactCallback(Some(xact_callback), std::ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(subxact_callback), std::ptr::null_mut());
    }
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

fn depth() -> u32 {
    // SAFETY: plain getter.
    unsafe { pg_sys::GetCurrentTransactionNestLevel() as u32 }
}

fn reset() {
    QUEUE.with(|q| q.borrow_mut().reset());
    APPLIED.with(|a| a.borrow_mut().reset());
}

/// Not guarded itself: it only keeps the error context frame, see pg/callback.rs.
unsafe extern "C-unwind" fn xact_callback(event: pg_sys::XactEvent::Type, _arg: *mut c_void) {
    let mut frame = Frame::new();
    frame.push(std::ptr::null());
    let error = on_xact_event(event);
    frame.pop();
    original::rethrow(error);
}

#[pg_guard]
unsafe extern "C-unwind" fn on_xact_event(event: pg_sys::XactEvent::Type) -> *mut pg_sys::ErrorData {
    use pg_sys::XactEvent::*;
    match event {
        XACT_EVENT_PRE_PREPARE if fault::on(Fault::LosePrepared) => {}
        XACT_EVENT_PRE_COMMIT | XACT_EVENT_PRE_PREPARE if !is_settled() => {
            return original::shield(|| refresh::flush(refresh::Moment::Commit));
        }
        XACT_EVENT_COMMIT | XACT_EVENT_ABORT | XACT_EVENT_PREPARE => {
            reset();
            in_flight::abort(0);
            refresh::end_of_transaction();
        }
        _ => {}
    }
    std::ptr::null_mut()
}

#[pg_guard]
unsafe extern "C-unwind" fn subxact_callback(
    event: pg_sys::SubXactEvent::Type,
    _sub: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _arg: *mut c_void,
) {
    use pg_sys::SubXactEvent::*;
    match event {
        SUBXACT_EVENT_COMMIT_SUB => {
            QUEUE.with(|q| q.borrow_mut().sub_commit(depth()));
            APPLIED.with(|a| a.borrow_mut().sub_commit(depth()));
            refresh::base::sub_commit(depth() as i32);
        }
        SUBXACT_EVENT_ABORT_SUB => {
            if fault::on(Fault::KeepRolledBack) {
                QUEUE.with(|q| q.borrow_mut().sub_commit(depth()));
            }
            QUEUE.with(|q| q.borrow_mut().sub_abort(depth()));
            APPLIED.with(|a| a.borrow_mut().sub_abort(depth()));
            in_flight::abort(depth() as i32);
            refresh::base::sub_abort(depth() as i32);
            refresh::end_of_subtransaction();
        }
        _ => {}
    }
}
