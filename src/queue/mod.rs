//! The transaction's pending changes, bound to the server's transaction callbacks.
//!
//! Invariant: when a transaction commits or is prepared, its queue has been flushed (PRE_COMMIT, PRE_PREPARE), and
//! when it ends the queue is empty. Sub-transactions follow the state machine of `tviews_core::queue`.
//! Called by capture (adds), flush (takes) and the hooks (asks whether something is pending).

pub mod changes;
mod spill;

use crate::pg::callback::Frame;
use crate::refresh;
use changes::ChangeSet;
use pgrx::{pg_guard, pg_sys};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::rc::Rc;
use tviews_core::queue::Queue;

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

thread_local! {
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

pub fn version() -> u64 {
    QUEUE.with(|q| q.borrow().version())
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
    QUEUE.with(|q| q.borrow_mut().take(depth()))
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
}

/// Not guarded itself: it only keeps the error context frame, see pg/callback.rs.
unsafe extern "C-unwind" fn xact_callback(event: pg_sys::XactEvent::Type, _arg: *mut c_void) {
    let mut frame = Frame::new();
    frame.push(std::ptr::null());
    on_xact_event(event);
    frame.pop();
}

#[pg_guard]
unsafe extern "C-unwind" fn on_xact_event(event: pg_sys::XactEvent::Type) {
    use pg_sys::XactEvent::*;
    match event {
        XACT_EVENT_PRE_COMMIT | XACT_EVENT_PRE_PREPARE => {
            if !is_empty() {
                refresh::flush(refresh::Moment::Commit);
            }
        }
        XACT_EVENT_COMMIT | XACT_EVENT_ABORT | XACT_EVENT_PREPARE => {
            reset();
            refresh::end_of_transaction();
        }
        _ => {}
    }
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
        SUBXACT_EVENT_COMMIT_SUB => QUEUE.with(|q| q.borrow_mut().sub_commit(depth())),
        SUBXACT_EVENT_ABORT_SUB => {
            QUEUE.with(|q| q.borrow_mut().sub_abort(depth()));
            refresh::end_of_subtransaction();
        }
        _ => {}
    }
}
