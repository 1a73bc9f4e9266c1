//! Strategy delta: outputs without a key, as multisets. The weighted rows by which the output changes are inserted and
//! deleted one by one; a row to delete is found by a hash of its columns and compared byte by byte.
//!
//! Invariant: the stored rows are the query's rows, each as often; a row that must go is stored. Two transactions that
//! delete equal rows follow one another, because the hash is locked.

use crate::capture::srf;
use crate::capture::trigger::ImageBuilder;
use crate::pg::error::{Error, Result};
use crate::pg::fault::{self, Fault};
use crate::pg::memory::{self, Arena};
use crate::pg::relation::Relation;
use crate::pg::snapshot::Active;
use crate::pg::spi::{Rows, Session};
use crate::pg::{slot, values};
use crate::queue::changes::ChangeSet;
use crate::queue::images::Images;
use crate::queue::sums::{Sums, hash_of_row};
use crate::refresh::follow::apply::Changes;
use crate::refresh::follow::job::Job;
use crate::refresh::follow::locks;
use crate::refresh::follow::plain::{self, Form};
use crate::refresh::follow::rows::{Places, pack};
use crate::refresh::plan::bag::BagSql;
use pgrx::{FromDatum, pg_sys};
use std::collections::{BTreeSet, HashSet};
use tviews_core::choice::Size;
use tviews_core::whole::Whole;

impl Job<'_> {
    pub fn bag(&mut self, sql: &BagSql, size: Size) -> Result<()> {
        let arena = Arena::current();
        let mut weighed = Sums::default();
        if self.lead(|job| job.weigh(&mut weighed, &arena, sql, size))?.is_none() {
            return self.without_lead();
        }
        if let Some(rows) = weighed.in_memory() {
            let mut going = BTreeSet::new();
            for (image, _) in rows.iter().filter(|(_, weight)| *weight < 0) {
                locks::note(&mut going, hash_of_row(image));
            }
            if !going.is_empty() {
                let words = |hash| {
                    let row = rows.iter().find(|(image, _)| hash_of_row(image) == hash);
                    row.map(|(image, _)| self.words(image))
                };
                locks::keys(self.tview, &going, &words);
            }
        } else {
            locks::all_keys(self.tview);
        }
        let snapshot = self.snapshot();
        let mut changes = Changes::new(self.rel);
        for mut rows in weighed.by_parts() {
            if !self.place(&mut rows, sql, size, &snapshot, &mut changes)? {
                return self.instead(Whole::Cheaper);
            }
        }
        self.apply(changes, &snapshot)
    }

    /// Finds the stored rows that go, and adds the rows that come. False: a row that goes may be stored in other bytes.
    fn place(
        &mut self,
        rows: &mut Images,
        sql: &BagSql,
        size: Size,
        snapshot: &Active,
        changes: &mut Changes,
    ) -> Result<bool> {
        self.done.dirty_keys += rows.len() as u64;
        if rows.iter().any(|(_, weight)| weight < 0) && !self.find(rows, &sql.lookup, size, snapshot, changes)? {
            return Ok(false);
        }
        let desc = self.rel.tupdesc();
        // SAFETY: images are minimal tuples of the relation's row type.
        unsafe {
            let slot = pg_sys::MakeSingleTupleTableSlot(desc, &pg_sys::TTSOpsMinimalTuple);
            for (image, weight) in rows.iter().filter(|(_, weight)| *weight > 0) {
                pg_sys::ExecStoreMinimalTuple(image.as_ptr().cast_mut().cast(), slot, false);
                let (values, nulls) = slot::all(slot);
                for _ in 0..weight {
                    changes.inserts.put(values, nulls);
                }
            }
            pg_sys::ExecDropSingleTupleTableSlot(slot);
        }
        Ok(true)
    }

    /// A row of the TVIEW, in words.
    fn words(&self, image: &[u64]) -> String {
        // SAFETY: the image is a minimal tuple of the relation's row type.
        unsafe {
            let row = pg_sys::MakeSingleTupleTableSlot(self.rel.tupdesc(), &pg_sys::TTSOpsMinimalTuple);
            pg_sys::ExecStoreMinimalTuple(image.as_ptr().cast_mut().cast(), row, false);
            let (values, nulls) = slot::all(row);
            let shown = (0..values.len()).filter(|i| !self.rel.attribute(*i).attisdropped);
            let words =
                values::of_row(shown.map(|i| (self.rel.attribute(i).atttypid, (!nulls[i]).then_some(values[i]))));
            pg_sys::ExecDropSingleTupleTableSlot(row);
            words
        }
    }

    /// The rows by which the output changes.
    fn weigh(&mut self, rows: &mut Sums, arena: &Arena, sql: &BagSql, size: Size) -> Result<()> {
        let moment = self.snapshot();
        for (text, before) in [(&sql.delta.now, false), (&sql.delta.before, true)] {
            let Some(text) = text.as_ref().filter(|_| !(before && fault::on(Fault::SkipBefore))) else { continue };
            let _before = before.then(|| self.before(&moment));
            let session = Session::open();
            let plan = self.choose(&session, text, size)?.plan;
            let rel = self.rel;
            session.stream(&plan, 500, |batch| collect(rel, batch, arena, rows));
        }
        Ok(())
    }

    /// Finds the places of stored rows for the rows of negative weight, and uses up these weights. False: a row is not found, and the TVIEW has types
    /// whose equal values may differ in bytes.
    fn find(&self, rows: &mut Images, sql: &str, size: Size, snapshot: &Active, changes: &mut Changes) -> Result<bool> {
        let mut dirty = ChangeSet::default();
        for (image, _) in rows.iter().filter(|(_, weight)| *weight < 0) {
            dirty.add_image(image, 1);
        }
        let offer = srf::offer_dirty(self.tview.oid, dirty);
        let session = Session::open();
        let plan = self.tview.plan(&session, sql, size)?;
        let mut found = Places::new();
        // SAFETY: column 0 is a tid.
        session.each(&plan, &mut |row, _| found.put(unsafe { *row[0].cast_mut_ptr::<pg_sys::ItemPointerData>() }));
        drop(offer);
        let mut seen: HashSet<i64> = HashSet::new();
        // SAFETY: places of this relation, seen by the snapshot.
        unsafe {
            let mut reader = crate::tam::read::Reader::open(self.rel.raw());
            let mut image = ImageBuilder::new(self.rel.tupdesc());
            let forms = Form::all(self.rel);
            while let Some(tid) = found.next() {
                memory::enough(seen.try_reserve(1));
                if !seen.insert(pack(tid)) {
                    continue;
                }
                let Some((values, nulls)) = reader.fetch(tid, snapshot.raw()) else { continue };
                for i in 0..values.len() {
                    image.set(i, (!nulls[i]).then(|| forms[i].plain(values[i])));
                }
                if rows.use_up(&image.image()) {
                    changes.deletes.put(tid);
                }
            }
            reader.close();
        }
        if !fault::on(Fault::RemoveOneOfSeveral) && rows.iter().any(|(_, weight)| weight < 0) {
            if plain::is_loose(self.rel) {
                return Ok(false);
            }
            return Err(Error::Internal(format!(
                "a row of TVIEW {} that must go is not there; tviews.rebuild() brings it back",
                self.tview.title
            )));
        }
        Ok(true)
    }
}

fn collect(rel: &Relation, batch: &Rows, arena: &Arena, rows: &mut Sums) {
    let attributes: Vec<usize> = (0..rel.natts()).filter(|i| !rel.attribute(*i).attisdropped).collect();
    // SAFETY: column 0 is bigint, the others are of the attributes' types.
    arena.enter(|| unsafe {
        let mut image = ImageBuilder::new(rel.tupdesc());
        let forms = Form::all(rel);
        for row in 0..batch.len() {
            let weight = batch.get(row, 0).and_then(|d| i64::from_datum(d, false)).unwrap_or(0);
            for (i, att) in attributes.iter().enumerate() {
                image.set(*att, batch.get(row, i + 1).map(|d| forms[*att].plain(d)));
            }
            rows.add(&image.image(), weight);
        }
    });
}
