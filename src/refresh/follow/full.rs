//! Strategy full: recompute everything, write the difference.
//!
//! Invariant: afterwards the stored multiset of rows equals the query's, byte for byte. Called by ways and, as a fallback, by the other strategies;
//! by strategy range, for which the query gives the rows of the range only.

use crate::pg::error::Result;
use crate::pg::pinned::Paths;
use crate::pg::spi::{Plan, Session};
use crate::refresh::follow::difference::{Difference, each_stored};
use crate::refresh::follow::job::{self, Job};
use crate::refresh::follow::rows::Filled;
use std::rc::Rc;
use tviews_core::choice::Size;
use tviews_core::whole::Whole;

impl Job<'_> {
    pub fn full(&mut self, why: Whole) -> Result<()> {
        self.why = self.why.or(Some(why));
        self.done.full_recomputes = 1;
        self.compute_anew()
    }

    /// Replaces the stored rows by the rows of the query, as far as they differ.
    pub fn compute_anew(&mut self) -> Result<()> {
        job::note_size(self.rel.class().reltuples.max(0.0) as usize);
        let snapshot = self.snapshot();
        let session = Session::open();
        let mut difference = Difference::new(self.rel, self.tview.selected);
        each_stored(self.rel, snapshot.raw(), |values, nulls, tid| difference.stored(values, nulls, tid));
        let _planning = Paths::any();
        // Somebody waits for all rows, or DDL asks for them: with workers, as population. A change of rows takes no more processes than its statement did.
        let with_workers =
            matches!(self.why, Some(Whole::Asked | Whole::First | Whole::Lost)) && self.tview.sums_exactly();
        let plan = match with_workers {
            true => Rc::new(Plan::parallel(&session, &self.tview.query, &self.tview.callees)?),
            false => self.tview.plan(&session, &self.tview.query, Size::WHOLE)?,
        };
        let mut row = Filled::new(self.rel.natts());
        session.each(&plan, &mut |values, nulls| {
            row.fill(values, nulls);
            difference.computed(&row.values, &row.nulls);
        });
        let (changes, unchanged) = difference.finish()?;
        self.done.rows_unchanged = unchanged;
        self.apply(changes, &snapshot)
    }
}
