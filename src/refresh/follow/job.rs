//! The maintenance of one TVIEW in one flush: its input, and the counters of its work so far.

use crate::counters::Counters;
use crate::feed::Recorder;
use crate::pg::process::process;
use crate::pg::relation::Relation;
use crate::pg::snapshot::Active;
use crate::pg::{guc, memory};
use crate::queue::changes::ChangeSet;
use crate::refresh::follow::base;
use crate::refresh::plan::tview::Tview;
use rustc_hash::FxHashMap;
use std::cell::Cell;
use std::collections::BTreeSet;

use std::rc::Rc;
use tviews_core::choice::{self, Size};
use tviews_core::delta::States;
use tviews_core::whole::Whole;

/// The maintenance of one TVIEW in one flush.
pub struct Job<'a> {
    pub tview: &'a Tview,
    pub rel: &'a Relation,
    pub changed: &'a BTreeSet<u32>,
    /// Change sets by relation.
    pub changes: &'a Changes,
    /// Collects the change rows of the TVIEW itself, when another TVIEW reads it.
    pub own: Option<ChangeSet>,
    /// Records what is written, for listeners.
    pub feed: Option<Recorder>,
    /// The transaction keeps its snapshot, and the flush reads with it.
    pub keep: bool,
    /// No flush of this transaction comes after this one.
    pub is_last: bool,
    /// Some changes have been followed before, under another snapshot or with rows that were not captured yet.
    pub again: bool,
    /// No snapshot shows the state before the changes: no command of this transaction has made them.
    pub only_now: bool,
    /// All of it is recomputed once more at commit.
    pub provisional: bool,
    /// Change sets are not to be summed with each other.
    pub apart: bool,
    /// Number of changed rows.
    pub rows: usize,
    /// Why everything was recomputed, if it was.
    pub why: Option<Whole>,
    /// Counters of the work done so far.
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

    /// The state before the changes, by the same snapshot: changes of other transactions are seen in both states or in neither. A TVIEW that follows
    /// later reads it with the state now (analyze/rules/state_before.rs).
    pub fn before(&self, now: &Active) -> Active {
        match self.tview.states {
            States::Now => now.again(),
            States::NowAndBefore => now.before(base::first(self.tview.oid)),
        }
    }

    /// Whether the state before the changes can be read.
    pub fn reads_before(&self) -> bool {
        !self.only_now || self.tview.states == States::Now
    }

    pub fn snapshot(&self) -> Active {
        if self.keep { Active::of_transaction() } else { Active::latest() }
    }
}

/// Whether recomputing everything is cheaper than following so many changed rows or keys.
pub fn is_large(rel: &Relation, rows: usize) -> bool {
    !guc::never_whole() && choice::is_large(rows, rel.class().reltuples, guc::FULL_REFRESH_THRESHOLD.get())
}

process! {
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
pub type Changes = FxHashMap<u32, Vec<Rc<ChangeSet>>>;

/// Gives memory back at the end of the transaction, when a flush went through many rows.
pub fn give_back() {
    if MUCH.take() {
        memory::give_back();
    }
}

pub fn forget() {
    MUCH.set(false);
}
