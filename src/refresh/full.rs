//! Strategy full: recompute everything, write the difference.
//!
//! Invariant: afterwards the stored multiset of rows equals the query's, byte for byte. Called by the flush.

use super::Job;
use super::difference::{Difference, each_stored};
use super::tview::Size;
use crate::pg::error::Result;
use crate::pg::pinned::Paths;
use crate::pg::spi::Session;
use pgrx::pg_sys::Datum;

impl Job<'_> {
    pub(super) fn full(&mut self) -> Result<()> {
        self.done.full_recomputes = 1;
        super::note_size(self.rel.class().reltuples.max(0.0) as usize);
        let snapshot = self.snapshot();
        let session = Session::open();
        let mut difference = Difference::new(self.rel, self.tview.selected);
        each_stored(self.rel, snapshot.raw(), |values, nulls, tid| difference.stored(values, nulls, tid));
        let _planning = Paths::any();
        let plan = self.tview.plan(&session, &self.tview.query, Size::WHOLE)?;
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

/// A row of the TVIEW from one of a query, which may have fewer columns: state attributes that nothing computes any more are NULL.
pub(super) struct Filled {
    pub values: Vec<Datum>,
    pub nulls: Vec<bool>,
}

impl Filled {
    pub fn new(natts: usize) -> Filled {
        Filled { values: vec![Datum::from(0usize); natts], nulls: vec![true; natts] }
    }

    pub fn fill(&mut self, values: &[Datum], nulls: &[bool]) {
        let n = values.len().min(self.values.len());
        self.values[..n].copy_from_slice(&values[..n]);
        self.nulls[..n].copy_from_slice(&nulls[..n]);
    }
}
