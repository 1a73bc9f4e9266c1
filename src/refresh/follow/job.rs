//! The maintenance of one TVIEW in one flush: what is known of it, and what it has done so far.

use crate::counters::Counters;
use crate::pg::relation::Relation;
use crate::pg::snapshot::Active;
use crate::pg::{guc, memory};
use crate::queue::changes::ChangeSet;
use crate::refresh::follow::base;
use crate::refresh::plan::tview::Tview;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::rc::Rc;
use tviews_core::choice::{self, Size};

/// The maintenance of one TVIEW in one flush.
pub struct Job<'a> {
    pub tview: &'a Tview,
    pub rel: &'a Relation,
    pub changed: &'a BTreeSet<u32>,
    /// Change sets by relation.
    pub changes: &'a Changes,
    /// Collects what changed in the TVIEW itself, when somebody reads it.
    pub own: Option<ChangeSet>,
    pub keep: bool,
    /// Number of changed rows.
    pub rows: usize,
    /// What this flush has done so far.
    pub done: Counters,
}

impl Job<'_> {
    /// Few changed rows, as a transaction of an application has them, or many.
    pub fn size(&mut self) -> Size {
        let sets = self.changed.iter().filter_map(|r| self.changes.get(r)).flatten();
        self.rows = sets.map(|s| s.len()).sum();
        self.done.changed_rows = self.rows as u64;
        note_size(self.rows);
        Size::of(self.rows)
    }

    /// As everything was before the changes.
    /// The state before this transaction's changes, at the same moment: what others have done is seen in both states or in none.
    pub fn before(&self, now: &Active) -> Active {
        now.before(base::first(self.tview.oid))
    }

    pub fn snapshot(&self) -> Active {
        if self.keep { Active::of_transaction() } else { Active::latest() }
    }
}

/// Whether so many changed rows or keys are more than recomputing everything is worth.
pub fn is_large(rel: &Relation, rows: usize) -> bool {
    !guc::never_whole() && choice::is_large(rows, rel.class().reltuples, guc::FULL_REFRESH_THRESHOLD.get())
}

thread_local! {
    /// A flush of this transaction has gone through many rows.
    static MUCH: Cell<bool> = const { Cell::new(false) };
}

/// Memory is given back after a flush that goes through so many rows.
pub fn note_size(rows: usize) {
    if rows > 10_000 {
        MUCH.set(true);
    }
}

/// Change sets by relation.
pub type Changes = HashMap<u32, Vec<Rc<ChangeSet>>>;

/// Before commit.
pub fn give_back() {
    if MUCH.take() {
        memory::give_back();
    }
}

pub fn forget() {
    MUCH.set(false);
}
