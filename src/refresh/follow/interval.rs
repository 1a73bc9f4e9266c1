//! Windows in an interval of their order: the rows that look at a changed row, or go on from it, are computed anew and compared with those that are
//! stored there.
//!
//! Invariant: the stored rows of the partitions at hand differ from the rows of the query by the changes at hand only, and nobody else changes them: their
//! keys, or the relation, are locked. Called by ways, and by keyed for windows with partitions.

use crate::capture::srf;
use crate::capture::trigger::ImageBuilder;
use crate::pg::error::Result;
use crate::pg::pinned::Paths;
use crate::pg::spi::Session;
use crate::queue::changes::ChangeSet;
use crate::refresh::follow::job::Job;
use crate::refresh::plan::interval::IntervalPlan;
use pgrx::{FromDatum, pg_sys};
use tviews_core::choice::Size;
use tviews_core::queue::Absorb;

/// More intervals than these are not gone through one by one.
const MOST: usize = 16;

impl Job<'_> {
    /// Whether the state that is stored is the one before the changes at hand.
    pub fn knows_before(&self) -> bool {
        !(self.again || self.keep || self.provisional || self.apart)
    }

    /// False when the changes concern too many intervals, or a partition without a value: nothing is done then.
    pub fn in_intervals(&mut self, plan: &IntervalPlan, size: Size) -> Result<bool> {
        let Some(intervals) = self.intervals(plan, size)? else { return Ok(false) };
        for (number, places) in intervals.into_iter().enumerate() {
            if number > 0 {
                // What was written for the interval before is seen by the next snapshot.
                // SAFETY: inside a transaction.
                unsafe { pg_sys::CommandCounterIncrement() };
            }
            self.done.dirty_keys += places.len() as u64;
            let _offer = srf::offer_dirty(self.tview.oid, places);
            let snapshot = self.snapshot();
            let session = Session::open();
            let (stored, computed) = {
                // However many rows have changed, an interval begins at few of them.
                let _planning = Paths::by_index();
                let of = |sql| self.tview.plan(&session, sql, Size::FEW);
                (of(&plan.stored)?, of(&plan.computed)?)
            };
            self.replace_stored(&session, &snapshot, &stored, &computed)?;
        }
        Ok(true)
    }

    /// The first and the last changed place of each interval, as rows of the TVIEW's row type.
    fn intervals(&self, plan: &IntervalPlan, size: Size) -> Result<Option<Vec<ChangeSet>>> {
        let _snapshot = self.snapshot();
        let session = Session::open();
        let prepared = self.tview.plan(&session, &plan.changed, size)?;
        let columns: Vec<usize> = plan.of.by.iter().copied().chain(plan.of.order.iter().map(|o| o.at)).collect();
        let runs = !plan.of.running.is_empty();
        // One for each place, and the number of its partition; beyond the most, one for each partition.
        let mut places: Vec<(i64, ChangeSet)> = Vec::new();
        let (mut is_whole, mut is_joined) = (false, runs || plan.of.skipped.is_some());
        // SAFETY: column 0 is a bigint, the others are of the types of the columns.
        unsafe {
            let mut image = ImageBuilder::new(self.rel.tupdesc());
            session.each(&prepared, &mut |values, nulls| {
                is_whole |= nulls[1..=plan.of.by.len()].contains(&true);
                if is_whole {
                    return;
                }
                let partition = i64::from_datum(values[0], false).unwrap_or(0);
                for (i, column) in columns.iter().enumerate() {
                    image.set(*column, (!nulls[i + 1]).then_some(values[i + 1]));
                }
                let same = places.last().is_some_and(|(last, _)| *last == partition);
                if runs && same {
                    return;
                }
                let mut place = ChangeSet::default();
                image.add_to(&mut place, 1);
                if !is_joined && places.len() == MOST {
                    is_joined = true;
                    join(&mut places);
                }
                let is_full = places.len() >= MOST;
                match places.last_mut().filter(|_| is_joined && same) {
                    Some((_, joined)) => joined.absorb(&place),
                    None if is_full => is_whole = true,
                    None => places.push((partition, place)),
                }
            });
        }
        Ok((!is_whole).then(|| places.into_iter().map(|(_, place)| place).collect()))
    }
}

/// One interval for all places of a partition.
fn join(places: &mut Vec<(i64, ChangeSet)>) {
    let mut joined: Vec<(i64, ChangeSet)> = Vec::new();
    for (partition, place) in places.drain(..) {
        match joined.last_mut().filter(|(last, _)| *last == partition) {
            Some((_, all)) => all.absorb(&place),
            None => joined.push((partition, place)),
        }
    }
    *places = joined;
}
