//! TVIEWs that the current statement defines anew: the rows stored are those of another query, or the query reads stages without rows.
//!
//! Invariant: a flush leaves such a TVIEW alone; the statement computes all of its rows afterwards, or has them computed at the next flush.
//! Called by build.

use crate::pg::process::process;
use pgrx::pg_sys;
use std::cell::RefCell;

process! {
    static OPEN: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

/// Until it is dropped, flushes leave the TVIEWs alone.
pub struct Defining(usize);

impl Defining {
    pub fn new(tviews: &[pg_sys::Oid]) -> Defining {
        OPEN.with_borrow_mut(|open| {
            open.extend(tviews.iter().map(|t| t.to_u32()));
        });
        Defining(tviews.len())
    }
}

impl Drop for Defining {
    fn drop(&mut self) {
        OPEN.with_borrow_mut(|open| open.truncate(open.len().saturating_sub(self.0)));
    }
}

/// Whether the current statement defines a TVIEW anew.
pub fn is(tview: u32) -> bool {
    OPEN.with_borrow(|open| open.contains(&tview))
}
