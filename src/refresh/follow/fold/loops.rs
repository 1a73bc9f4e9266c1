//! Few change rows and their groups by nested loops.
//!
//! Invariant: as for the SQL beside it. Called by fold.

use super::group::Groups;
use crate::analyze::rules::nested_loop::NestedLoop;
use crate::pg::error::Result;
use crate::pg::memory::Arena;
use crate::pg::relation::Relation;
use crate::pg::snapshot::Active;
use crate::refresh::follow::job::Job;
use crate::refresh::follow::nested_loop::{Deformed, Running};
use crate::refresh::plan::loops::FoldLoops;
use pgrx::{IntoDatum, pg_sys};

impl Job<'_> {
    /// Reads the rows of the delta; false when there are too many for loops.
    pub fn collect_by_loops(&mut self, groups: &mut Groups, arena: &Arena, loops: &FoldLoops) -> Result<bool> {
        let Some(relid) = self.changed.first().copied() else { return Ok(true) };
        let Some(source) = Relation::open(pg_sys::Oid::from(relid), pg_sys::AccessShareLock) else { return Ok(true) };
        let snapshot = self.snapshot();
        let rows = self.change_rows(relid);
        // SAFETY: images are minimal tuples of the relation's row type; the loop gives the columns of the delta behind the weight.
        unsafe {
            let mut running = Running::open(&loops.weighted, snapshot.raw())?;
            let fits = rows.iter().all(|(image, weight)| {
                let row = Deformed::of(image, source.tupdesc());
                running.each(&|c| row.get(c), &mut |found| {
                    let value = |i: usize| if i == 0 { weight.into_datum() } else { found.values[i - 1] };
                    arena.enter(|| groups.add_row(value, arena));
                })
            });
            running.close();
            Ok(fits)
        }
    }

    /// Reads the stored rows of the groups.
    pub fn look_up_by_loops(
        &mut self,
        groups: &mut Groups,
        arena: &Arena,
        stored: &NestedLoop,
        snapshot: &Active,
    ) -> Result<()> {
        let positions = self.key_positions();
        let state = &self.tview.state;
        // SAFETY: the loop finds rows of this TVIEW by the columns of its key.
        unsafe {
            let mut running = Running::open(stored, snapshot.raw())?;
            for g in groups.not_looked_up() {
                let key: Vec<Option<pg_sys::Datum>> = positions.iter().map(|p| groups.key(g)[*p]).collect();
                running.each(&|c| key[c as usize - 1], &mut |found| {
                    let Some((tid, values, nulls)) = found.stored() else { return };
                    let datum = |i: usize| (!nulls[i]).then(|| values[i]);
                    let of = |positions: &[usize]| positions.iter().map(|p| datum(*p)).collect::<Vec<_>>();
                    arena.enter(|| groups.found(tid, &of, datum, state));
                });
            }
            running.close();
        }
        groups.looked_up();
        Ok(())
    }
}
