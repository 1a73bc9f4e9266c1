//! Strategy range for queries with LIMIT: nothing is done about changes behind the last row that is shown; others read the first rows again.
//!
//! Invariant: as long as a transaction holds what it has locked here, nobody computes the rows that are shown without seeing its changes, and the
//! last row that is shown stays at the place that its changes were compared with. See README.md of refresh.
//! Called by ways.

use crate::pg::error::Result;
use crate::pg::fault::{self, Fault};
use crate::pg::sort::Comparison;
use crate::pg::spi::Session;
use crate::refresh::follow::difference::each_stored;
use crate::refresh::follow::job::Job;
use crate::refresh::follow::locks;
use crate::refresh::plan::first_rows::FirstRowsSql;
use pgrx::pg_sys::Datum;
use std::cmp::Ordering;
use tviews_core::choice::Size;

impl Job<'_> {
    pub fn first_rows(&mut self, sql: &FirstRowsSql, size: Size) -> Result<()> {
        let is_behind = {
            let _snapshot = self.snapshot();
            let session = Session::open();
            let plan = self.tview.plan(&session, &sql.first_changed, size)?;
            let found = session.query(&plan);
            if found.len() == 0 {
                // No row of the query has changed.
                return Ok(());
            }
            let first: Vec<Option<Datum>> = (0..sql.rows.order.len()).map(|i| found.get(0, i)).collect();
            if self.is_last {
                locks::behind(self.tview, self.changed);
            } else {
                // A lock that is held must not have to become a stronger one later.
                locks::for_full(self.tview, self.changed);
            }
            self.all_come_before(sql, &first)
        };
        if is_behind {
            return Ok(());
        }
        if self.is_last {
            locks::release_behind(self.tview, self.changed);
            locks::for_full(self.tview, self.changed);
        }
        self.compute_anew()
    }

    /// Whether as many rows as the query can show are stored, and all of them come before a row with these values.
    fn all_come_before(&self, sql: &FirstRowsSql, first: &[Option<Datum>]) -> bool {
        // After the locks.
        let snapshot = self.snapshot();
        let order = &sql.rows.order;
        let mut comparison = Comparison::new(order.iter().map(|o| o.key));
        let (mut rows, mut before) = (0, true);
        each_stored(self.rel, snapshot.raw(), |values, nulls, _| {
            let stored = |i: usize| (!nulls[order[i].at]).then(|| values[order[i].at]);
            rows += 1;
            // SAFETY: columns of the TVIEW, and the same expressions of changed rows.
            before = before && unsafe { comparison.of(stored, |i| first[i]) } == Ordering::Less;
        });
        before && (rows >= sql.rows.limit || fault::on(Fault::ForgetRoom))
    }
}
