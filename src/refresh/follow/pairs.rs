//! Change rows joined to rows of another moment.
//!
//! When several relations change, or one that occurs twice, the SQL of a flush joins old rows of one with new rows of another. No state of the
//! database ever had such a pair, and the query's expressions may fail on it: `10 / (a.v + b.v)`. So this part of a flush, which only reads,
//! runs in a sub-transaction, and when an expression fails, the flush runs the query instead, which sees the rows of one moment only.
//! Invariant: an error of an expression that reaches the user is one that the query itself raises. Called by the strategies.

use crate::pg::error::Result;
use crate::pg::subtransaction;
use crate::refresh::follow::job::Job;
use crate::refresh::follow::locks;
use tviews_core::locks::mixes_moments;
use tviews_core::whole::Whole;

impl Job<'_> {
    /// Whether rows of different moments can meet.
    pub fn pairs(&self) -> bool {
        mixes_moments(&self.tview.decisions, self.changed)
    }

    /// Reads the keys or rows that the changes lead to; None when an expression failed that the query need not compute.
    pub fn lead<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<Option<T>> {
        if !self.pairs() {
            return read(self).map(Some);
        }
        subtransaction::attempt(|| read(self)).transpose()
    }

    /// Recomputes everything, when `lead` returned None.
    pub fn without_lead(&mut self) -> Result<()> {
        locks::for_full(self.tview, self.changed);
        self.full(Whole::Failed)
    }
}
