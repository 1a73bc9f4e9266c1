//! Strategy fold: takes the weighted rows by which the join changes into the stored states of their groups.
//!
//! Invariant: a group's stored state is the state of the rows that flushes have taken in; flushes of one group follow one
//! another, because the group's key is locked before its row is read and until commit. The delta itself needs no such lock: every
//! relation that it reads is locked in SHARE, and the changed relation contributes only our own change rows.
//! Cost: the changed rows, joined; one row read and written per changed group. Group size does not matter.

mod group;
mod loops;
mod output;
mod packed;
mod parts;
mod room;
mod state;

use crate::capture::srf;
use crate::capture::trigger::ImageBuilder;
use crate::pg::error::{Error, Result};
use crate::pg::fault::{self, Fault};
use crate::pg::memory::{self, Arena};
use crate::pg::relation::Relation;
use crate::pg::snapshot::Active;
use crate::pg::spi::Session;
use crate::queue::changes::ChangeSet;
use crate::refresh::follow::apply::Changes;
use crate::refresh::follow::job::Job;
use crate::refresh::follow::locks;
use crate::refresh::follow::rows::Filled;
use crate::refresh::plan::fold::FoldSql;
use crate::refresh::plan::keyed::KeyedSql;
use group::Groups;
use output::Outputs;
use pgrx::{IntoDatum, pg_sys};
use std::collections::BTreeSet;
use tviews_core::choice::Size;
use tviews_core::fold::{Fate, fate};
use tviews_core::whole::Whole;

/// Memory is measured each time so many rows have been added.
const LOOK: usize = 256;

impl Job<'_> {
    pub fn fold(&mut self, sql: &FoldSql, keyed: Option<&KeyedSql>, size: Size) -> Result<()> {
        let Some(fold) = &self.tview.fold else { return Err(Error::Internal("no fold".into())) };
        let arena = Arena::current();
        // SAFETY: the groups live in the arena, which outlives them.
        let mut groups = arena.enter(|| unsafe { Groups::new(self.tview, fold) });
        let snapshot = match size {
            Size::FEW => {
                let Some(fits) = self.lead(|job| job.collect(&mut groups, &arena, sql, size))? else {
                    return self.without_lead();
                };
                if !fits {
                    drop(groups);
                    drop(arena);
                    return self.fold_in_parts(sql, keyed, size, parts::MANY);
                }
                if groups.is_empty() {
                    return Ok(());
                }
                let positions = self.key_positions();
                let words = |hash| groups.words(hash, &positions);
                locks::keys(self.tview, &groups.lock_hashes(&positions), &words);
                let snapshot = self.snapshot();
                self.look_up(&mut groups, &arena, &sql.lookup, &snapshot)?;
                // SAFETY: everything the groups hold lives in the arena.
                arena.enter(|| unsafe { groups.take_in() });
                snapshot
            }
            _ => {
                let parts = if self.needs_parts(self.rows) { parts::MANY } else { 1 };
                return self.fold_in_parts(sql, keyed, size, parts);
            }
        };
        self.done.dirty_keys += groups.len() as u64;
        self.write_groups(&mut groups, &arena, keyed, snapshot, size)
    }

    /// Positions of the TVIEW's key among the grouping columns.
    fn key_positions(&self) -> Vec<usize> {
        let Some(fold) = &self.tview.fold else { return Vec::new() };
        let key = self.tview.key.as_deref().unwrap_or_default();
        key.iter().filter_map(|k| fold.positions.iter().position(|p| *p == k.at)).collect()
    }

    /// Reads the rows of the delta; false when they do not fit into memory.
    fn collect(&mut self, groups: &mut Groups, arena: &Arena, sql: &FoldSql, size: Size) -> Result<bool> {
        let (mut rows, mut fits) = (0usize, true);
        let moment = self.snapshot();
        for (text, before) in [(&sql.delta.now, false), (&sql.delta.before, true)] {
            let Some(text) = text.as_ref().filter(|_| !(before && fault::on(Fault::SkipBefore))) else { continue };
            let _before = before.then(|| self.before(&moment));
            let session = Session::open();
            let plan = self.choose(&session, text, size)?.plan;
            session.each(&plan, &mut |values, nulls| {
                if !fits {
                    return;
                }
                // SAFETY: rows are as the text of the delta has them.
                arena.enter(|| unsafe { groups.add_row(|i| (!nulls[i]).then_some(values[i]), arena) });
                rows += 1;
                if rows % LOOK == 0 {
                    fits = arena.size() + groups.waiting_size() <= memory::hash_mem();
                }
            });
            if !fits {
                break;
            }
        }
        Ok(fits)
    }

    /// Takes the waiting rows into the states of their groups.
    fn take_in(
        &mut self,
        groups: &mut Groups,
        arena: &Arena,
        batch: &Arena,
        lookup: &str,
        snapshot: &Active,
    ) -> Result<()> {
        self.look_up(groups, arena, lookup, snapshot)?;
        // SAFETY: keys and states live in the arena; arguments in the batch, which outlives the call.
        batch.enter(|| unsafe { groups.take_in() });
        Ok(())
    }

    /// Reads the stored rows of the groups that have not been looked up yet.
    fn look_up(&mut self, groups: &mut Groups, arena: &Arena, sql: &str, snapshot: &Active) -> Result<()> {
        let fresh = groups.not_looked_up();
        if fresh.is_empty() {
            return Ok(());
        }
        let key = self.tview.key.as_deref().unwrap_or_default();
        let offer = (!key.is_empty()).then(|| srf::offer_dirty(self.tview.oid, self.key_rows(groups, &fresh)));
        let session = Session::open();
        let size = Size::of(fresh.len());
        let plan = self.tview.plan(&session, sql, size)?;
        let found = session.query(&plan);
        drop(offer);
        // SAFETY: column 0 is a tid of this relation, seen by the snapshot; the relation is locked.
        unsafe {
            let mut reader = crate::tam::read::Reader::open(self.rel.raw());
            for row in 0..found.len() {
                let Some(tid) = found.get(row, 0) else { continue };
                let tid = *tid.cast_mut_ptr::<pg_sys::ItemPointerData>();
                let (values, nulls) = reader
                    .fetch(tid, snapshot.raw())
                    .ok_or_else(|| Error::Internal(format!("row of TVIEW {} vanished", self.tview.name)))?;
                let datum = |i: usize| (!nulls[i]).then_some(values[i]);
                let of = |positions: &[usize]| positions.iter().map(|p| datum(*p)).collect::<Vec<_>>();
                arena.enter(|| groups.found(tid, &of, datum, &self.tview.state));
            }
            reader.close();
        }
        groups.looked_up();
        Ok(())
    }

    /// Rows of the TVIEW's type that carry the keys of some groups.
    fn key_rows(&self, groups: &Groups, which: &[usize]) -> ChangeSet {
        let positions = self.key_positions();
        let key = self.tview.key.as_deref().unwrap_or_default();
        let mut set = ChangeSet::default();
        // SAFETY: key values are of the types of the key columns.
        unsafe {
            let mut image = ImageBuilder::new(self.rel.tupdesc());
            for g in which {
                for (k, p) in key.iter().zip(&positions) {
                    image.set(k.at, groups.key(*g)[*p]);
                }
                image.add_to(&mut set, 1);
            }
        }
        set
    }

    fn write_groups(
        &mut self,
        groups: &mut Groups,
        arena: &Arena,
        keyed: Option<&KeyedSql>,
        snapshot: Active,
        size: Size,
    ) -> Result<()> {
        let redo = self.write_known(groups, arena, snapshot)?;
        self.redo(groups, &redo, keyed, size)
    }

    /// Writes the groups whose rows their states tell; returns the others.
    fn write_known(&mut self, groups: &mut Groups, arena: &Arena, snapshot: Active) -> Result<BTreeSet<usize>> {
        let positions = self.key_positions();
        let mut redo = groups.to_recompute(&positions);
        if !redo.is_empty() && self.may_meet() {
            redo = (0..groups.len()).collect();
        }
        let tview = self.tview;
        let Some(fold) = &tview.fold else { return Ok(redo) };
        let mut changes = Changes::new(self.rel);
        // SAFETY: values are made in the arena and copied by the changes; the owner is the current user.
        let mut outputs = unsafe { arena.enter(|| Outputs::new(fold)) };
        let columns = output_attributes(self.rel);
        let mut row = Filled::new(self.rel.natts());
        for g in (0..groups.len()).filter(|g| !redo.contains(g)) {
            let fate = fate(groups.tid(g).is_some(), groups.rows(g), fold.positions.is_empty());
            if fate == Fate::Broken && self.keep {
                return Err(Error::Serialization);
            }
            if fate == Fate::Broken {
                return Err(Error::Internal(format!(
                    "a group of TVIEW {} has less than no rows; tviews.rebuild() brings it back",
                    tview.name
                )));
            }
            if matches!(fate, Fate::Comes | Fate::Changes) {
                // SAFETY: as above.
                arena.enter(|| unsafe { compose(groups, g, outputs.as_mut(), &columns, &tview.state, &mut row) });
            }
            match (fate, groups.tid(g)) {
                // SAFETY: one value for each attribute.
                (Fate::Comes, _) => unsafe { changes.inserts.put(&row.values, &row.nulls) },
                (Fate::Goes, _) if fault::on(Fault::KeepEmptyGroups) => {}
                (Fate::Goes, Some(tid)) => changes.deletes.put(tid),
                // SAFETY: as above.
                (Fate::Changes, Some(tid)) => unsafe { changes.update(tid, &row.values, &row.nulls) },
                _ => {}
            }
        }
        if let Some(outputs) = outputs {
            // SAFETY: opened above.
            unsafe { outputs.close() };
        }
        self.apply(changes, &snapshot)?;
        Ok(redo)
    }

    /// Recomputes groups.
    fn redo(&mut self, groups: &Groups, redo: &BTreeSet<usize>, keyed: Option<&KeyedSql>, size: Size) -> Result<()> {
        let positions = self.key_positions();
        if redo.is_empty() {
            return Ok(());
        }
        match keyed {
            Some(keyed) if !positions.is_empty() => {
                let dirty = self.key_rows(groups, &redo.iter().copied().collect::<Vec<_>>());
                self.rows = redo.len();
                let _offer = srf::offer_dirty(self.tview.oid, dirty);
                self.recompute(&keyed.two_steps, size, false)
            }
            // The only group: recomputed by the whole query, but not counted as a full recomputation.
            _ => {
                let why = self.why;
                self.full(Whole::Cheaper)?;
                (self.why, self.done.full_recomputes) = (why, 0);
                Ok(())
            }
        }
    }
}

/// The row of a group: outputs and state.
///
/// # Safety
/// The group exists in `groups`; the row belongs to the TVIEW that is open.
unsafe fn compose(
    groups: &mut Groups,
    g: usize,
    outputs: Option<&mut Outputs>,
    columns: &[usize],
    state: &[usize],
    row: &mut Filled,
) {
    // SAFETY: the group exists in `groups`; the row belongs to the TVIEW that is open.
    unsafe {
        let mut put = |i: usize, value: Option<pg_sys::Datum>| {
            row.nulls[i] = value.is_none();
            row.values[i] = value.unwrap_or(pg_sys::Datum::from(0usize));
        };
        groups.compose(g, outputs, columns, &mut put);
        put(state[0], groups.rows(g).into_datum());
        for (i, value) in groups.stored(g).into_iter().enumerate() {
            put(state[i + 1], value);
        }
    }
}

/// Attribute of each output column.
fn output_attributes(rel: &Relation) -> Vec<usize> {
    (0..rel.natts()).filter(|i| !rel.attribute(*i).attisdropped).collect()
}
