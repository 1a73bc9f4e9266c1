//! The names that errors of a flush show.
//!
//! Invariant: they are kept until a relation or a role changes. Called by the flush, for each TVIEW.

use crate::catalog::cache;
use crate::pg::acl;
use crate::pg::callback::Names;
use crate::pg::process::process;
use pgrx::pg_sys;
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::rc::Rc;

process! {
    static NAMES: RefCell<Known> = RefCell::default();
}

/// Names by TVIEW, and the state of the caches in which they were made.
#[derive(Default)]
struct Known {
    state: (u64, u64),
    names: FxHashMap<u32, Rc<Names>>,
}

/// The names for a TVIEW or stage.
pub fn of(root: pg_sys::Oid, oid: pg_sys::Oid, owner: pg_sys::Oid) -> Option<Rc<Names>> {
    let state = (cache::generation(), cache::rights());
    let known = NAMES.with_borrow(|k| k.names.get(&oid.to_u32()).filter(|_| k.state == state).cloned());
    if known.is_some() {
        return known;
    }
    let made = Rc::new(Names::of(root, oid, acl::role_name(owner))?);
    NAMES.with_borrow_mut(|known| {
        if known.state != state {
            *known = Known { state, ..Known::default() };
        }
        known.names.insert(oid.to_u32(), Rc::clone(&made));
    });
    Some(made)
}
