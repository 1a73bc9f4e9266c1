//! Few change rows and their groups by nested loops.
//!
//! Invariant: as for the SQL beside it. Called by ways.rs.

use super::group::Groups;
use crate::pg::error::Result;
use crate::pg::memory::Arena;
use crate::pg::pinned::{self, Path};
use crate::pg::relation::Relation;
use crate::pg::slot;
use crate::pg::snapshot::Active;
use crate::refresh::follow::job::Job;
use crate::refresh::follow::locks;
use crate::refresh::follow::nested_loop::{Deformed, Found, Running};
use crate::refresh::plan::keyed::KeyedSql;
use crate::refresh::plan::loops::FoldLoops;
use crate::refresh::plan::machine::Kept;
use pgrx::{IntoDatum, pg_sys};
use std::rc::Rc;
use tviews_core::choice::Size;

impl Job<'_> {
    /// False when there are too many rows for loops; nothing is done then.
    pub fn fold_by_loops(&mut self, loops: &FoldLoops) -> Result<bool> {
        let Some(fold) = &self.tview.fold else { return Ok(false) };
        let arena = Arena::current();
        // SAFETY: the groups live in the arena, which outlives them.
        let mut groups = arena.enter(|| unsafe { Groups::new(self.tview, fold) });
        if !self.collect_by_loops(&mut groups, &arena, &loops.weighted)? {
            return Ok(false);
        }
        if groups.is_empty() {
            return Ok(true);
        }
        let positions = self.key_positions();
        let words = |hash| groups.words(hash, &positions);
        locks::keys(self.tview, &groups.lock_hashes(&positions), &words);
        let snapshot = self.snapshot();
        match &loops.stored {
            Some(stored) => self.look_up_by_loops(&mut groups, &arena, stored, &snapshot)?,
            None => self.look_up_only(&mut groups, &arena, &snapshot),
        }
        // SAFETY: everything the groups hold lives in the arena.
        arena.enter(|| unsafe { groups.take_in() });
        self.done.dirty_keys += groups.len() as u64;
        let redo = self.write_known(&mut groups, &arena, snapshot)?;
        if !redo.is_empty() {
            pinned::settings(&self.tview.search_path);
            let keyed = self.keyed_sql()?;
            pinned::small();
            self.redo(&groups, &redo, keyed.as_deref(), Size::FEW)?;
        }
        Ok(true)
    }

    /// The SQL that recomputes the groups of these changes.
    fn keyed_sql(&self) -> Result<Option<Rc<KeyedSql>>> {
        let _path = Path::of_text();
        if self.tview.is_keyed(self.changed) { self.tview.sql(self.rel, self.changed) } else { Ok(None) }
    }

    /// Reads the rows of the delta; false when there are too many for loops.
    fn collect_by_loops(&mut self, groups: &mut Groups, arena: &Arena, weighted: &Kept) -> Result<bool> {
        let Some(relid) = self.changed.first().copied() else { return Ok(true) };
        let Some(source) = Relation::open(pg_sys::Oid::from(relid), pg_sys::AccessShareLock) else { return Ok(true) };
        let snapshot = self.snapshot();
        let rows = self.change_rows(&source);
        // SAFETY: images are minimal tuples of the relation's row type; the loop gives the columns of the delta behind the weight.
        unsafe {
            let mut running = Running::open(weighted, snapshot.raw())?;
            let all: Vec<Deformed> = rows.iter().map(|(of, _)| Deformed::of(of, source.tupdesc())).collect();
            let mut add = |weight: i64, found: Found| {
                let value = |i: usize| if i == 0 { weight.into_datum() } else { found.values[i - 1] };
                arena.enter(|| groups.add_row(value, arena));
            };
            let fits = match &all[..] {
                [a, b] if self.is_same_row(&source, &weighted.way, a, b) => {
                    running.each_of_both([&|c| a.get(c), &|c| b.get(c)], &mut |found| add(rows[found.of].1, found))
                }
                _ => all
                    .iter()
                    .zip(&rows)
                    .all(|(row, (_, weight))| running.each(&|c| row.get(c), &mut |found| add(*weight, found))),
            };
            running.close();
            Ok(fits)
        }
    }

    /// Reads the stored row of the only group.
    fn look_up_only(&mut self, groups: &mut Groups, arena: &Arena, snapshot: &Active) {
        let state = &self.tview.state;
        // SAFETY: the TVIEW is open, its storage is heap's; the slot holds a row while it is looked at.
        unsafe {
            let (rel, none) = (self.rel.raw(), std::ptr::null_mut::<std::ffi::c_void>());
            let (strategy, together) = (pg_sys::ScanOptions::SO_ALLOW_STRAT, pg_sys::ScanOptions::SO_ALLOW_PAGEMODE);
            let flags = pg_sys::ScanOptions::SO_TYPE_SEQSCAN | strategy | together;
            let scan = pg_sys::heap_beginscan(rel, snapshot.raw(), 0, none.cast(), none.cast(), flags);
            let row = pg_sys::MakeSingleTupleTableSlot((*rel).rd_att, &raw const pg_sys::TTSOpsBufferHeapTuple);
            while pg_sys::heap_getnextslot(scan, pg_sys::ScanDirection::ForwardScanDirection, row) {
                let (values, nulls) = slot::all(row);
                let datum = |i: usize| (!nulls[i]).then(|| values[i]);
                let of = |positions: &[usize]| positions.iter().map(|p| datum(*p)).collect::<Vec<_>>();
                arena.enter(|| groups.found((*row).tts_tid, &of, datum, state));
            }
            pg_sys::ExecDropSingleTupleTableSlot(row);
            pg_sys::heap_endscan(scan);
        }
        groups.looked_up();
    }

    /// Reads the stored rows of the groups.
    fn look_up_by_loops(&mut self, groups: &mut Groups, arena: &Arena, stored: &Kept, snapshot: &Active) -> Result<()> {
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
