//! Writing row actions through the access method: deletes, then updates, then inserts, and only rows that differ.
//!
//! Invariant: a unique index of the TVIEW never sees two rows with one value unless the final rows have them: when a unique index
//! lacks a column of the key, an update is a delete and an insert, and all deletes come first.

use crate::capture::trigger::ImageBuilder;
use crate::counters::trace;
use crate::feed::Recorder;
use crate::pg::error::{Error, Result};
use crate::pg::fault::{self, Fault};
use crate::pg::list;
use crate::pg::memory::Arena;
use crate::pg::original;
use crate::pg::relation::Relation;
use crate::pg::snapshot::Active;
use crate::refresh::follow::job::Job;
use crate::refresh::follow::provisional;
use crate::refresh::follow::rows::{Places, Rows};
use crate::refresh::follow::written::{Row, Settled, Written};
use crate::refresh::plan::parts::Column;
use crate::tam::write::{WriteResult, Writer};
use pgrx::pg_sys;
use std::rc::Rc;

/// Row actions that wait to be written.
pub struct Changes {
    pub deletes: Places,
    pub updates: Places,
    /// The new row of each update.
    pub updated: Rows,
    pub inserts: Rows,
    /// What the new rows of updates have; None: all columns.
    pub parts: Option<Rc<Vec<Column>>>,
}

impl Changes {
    pub fn new(rel: &Relation) -> Changes {
        Changes {
            deletes: Places::new(),
            updates: Places::new(),
            updated: Rows::of(rel),
            inserts: Rows::of(rel),
            parts: None,
        }
    }

    /// # Safety
    /// One value for each attribute.
    pub unsafe fn update(&mut self, tid: pg_sys::ItemPointerData, values: &[pg_sys::Datum], nulls: &[bool]) {
        // SAFETY: One value for each attribute, as the caller promises.
        unsafe {
            self.updates.put(tid);
            self.updated.put(values, nulls);
        }
    }

    fn len(&self) -> usize {
        self.deletes.len() + self.updates.len() + self.inserts.len()
    }
}

impl Job<'_> {
    pub fn apply(&mut self, changes: Changes, snapshot: &Active) -> Result<()> {
        self.apply_expected(changes, snapshot).map(|_| ())
    }

    /// Returns the number of rows that are not written, because the stored row is not one that the computed parts belong to.
    pub fn apply_expected(&mut self, mut changes: Changes, snapshot: &Active) -> Result<u64> {
        let mut unexpected = 0;
        if changes.len() == 0 {
            return Ok(unexpected);
        }
        let start = trace::start();
        let n = self.rel.natts();
        let (mut old, mut new) = (Row::new(n), Row::new(n));
        let split_updates = self.may_meet();
        let written = Written::new(self.rel, &self.tview.tops());
        self.feed = self.recorder();
        // New rows of split updates, already recorded.
        let mut moved = Rows::of(self.rel);
        // SAFETY: the relation is locked; every row has one value per attribute.
        unsafe {
            let mut writer = Writer::open(self.rel.raw());
            // Of the row that is settled, and written.
            let memory = Arena::current();
            while let Some(tid) = changes.deletes.next().filter(|_| !fault::on(Fault::KeepRows)) {
                pgrx::check_for_interrupts!();
                self.fetch(&mut writer, tid, snapshot, &mut old)?;
                self.record(&old, -1);
                self.done.rows_deleted += 1;
                self.check(writer.delete(tid))?;
            }
            while changes.updated.next(&mut new.values, &mut new.nulls) {
                pgrx::check_for_interrupts!();
                let Some(tid) = changes.updates.next() else { break };
                self.fetch(&mut writer, tid, snapshot, &mut old)?;
                memory.reset();
                match memory.enter(|| written.settle(&old, &mut new, changes.parts.as_ref().map(|p| &p[..]))) {
                    Settled::Same => {
                        self.done.rows_unchanged += 1;
                        continue;
                    }
                    Settled::Unexpected => {
                        unexpected += 1;
                        continue;
                    }
                    Settled::Differs => {}
                }
                self.done.rows_updated += 1;
                self.record(&old, -1);
                self.record(&new, 1);
                if split_updates {
                    // The values that stay where they are stored would go with the row.
                    memory.enter(|| written.fetch(&mut new));
                    self.check(writer.delete(tid))?;
                    moved.put(&new.values, &new.nulls);
                } else {
                    self.check(writer.update(tid, &new.values, &new.nulls))?;
                }
            }
            writer.expect(moved.len() + changes.inserts.len());
            while moved.next(&mut new.values, &mut new.nulls) {
                self.insert(&mut writer, &new);
            }
            while changes.inserts.next(&mut new.values, &mut new.nulls) {
                pgrx::check_for_interrupts!();
                self.done.rows_inserted += 1;
                self.record(&new, 1);
                self.insert(&mut writer, &new);
            }
            writer.close();
        }
        trace::wrote(start);
        Ok(unexpected)
    }

    /// Under the transaction's own snapshot, a unique violation by a row that it does not see is a serialization failure.
    ///
    /// # Safety
    /// The writer is open and the row has a value for each attribute.
    unsafe fn insert(&self, writer: &mut Writer, row: &Row) {
        // SAFETY: the writer is open and the row has a value for each attribute.
        unsafe {
            if !self.keep {
                writer.insert(&row.values, &row.nulls);
                return;
            }
            pgrx::PgTryBuilder::new(std::panic::AssertUnwindSafe(|| writer.insert(&row.values, &row.nulls)))
                .catch_when(pgrx::PgSqlErrorCode::ERRCODE_UNIQUE_VIOLATION, |_| {
                    original::taken();
                    Error::Serialization.raise()
                })
                .execute();
        }
    }

    /// # Safety
    /// `snapshot` is registered by the caller.
    unsafe fn fetch(
        &self,
        writer: &mut Writer,
        tid: pg_sys::ItemPointerData,
        snapshot: &Active,
        row: &mut Row,
    ) -> Result<()> {
        // SAFETY: `snapshot` is registered by the caller.
        unsafe {
            if writer.fetch_values(tid, snapshot.raw(), &mut row.values, &mut row.nulls) {
                Ok(())
            } else {
                Err(Error::Internal(format!("row of TVIEW {} vanished during its flush", self.tview.name)))
            }
        }
    }

    fn check(&self, result: WriteResult) -> Result<()> {
        match result {
            WriteResult::Ok => Ok(()),
            WriteResult::Updated | WriteResult::Deleted => Err(Error::Serialization),
            WriteResult::Invisible => {
                Err(Error::Internal(format!("row of TVIEW {} is not visible to its flush", self.tview.name)))
            }
        }
    }

    /// What listeners hear of the rows that are written.
    fn recorder(&self) -> Option<Recorder> {
        self.tview.notify.then(|| {
            let of_row = self.tview.row_key.as_ref().map(|key| key.iter().map(|k| *k as usize - 1).collect::<Vec<_>>());
            let key = self.tview.key.as_ref().filter(|_| !self.tview.region);
            let key = of_row.or_else(|| key.map(|key| key.iter().map(|k| k.at).collect()));
            // SAFETY: the relation is open for longer than the job.
            unsafe { Recorder::new(self.rel, key.as_deref(), self.tview.columns.len()) }
        })
    }

    /// Adds a row of the TVIEW to the TVIEW's change set, to what listeners hear, and its key to the provisional keys.
    ///
    /// # Safety
    /// The row has a value for each attribute of the TVIEW.
    unsafe fn record(&mut self, row: &Row, weight: i64) {
        // SAFETY: the row has a value for each attribute of the TVIEW.
        unsafe {
            if let Some(feed) = &self.feed {
                feed.record(&row.values, &row.nulls, weight);
            }
            if self.keep {
                let mut image = ImageBuilder::new(self.rel.tupdesc());
                for k in self.tview.key.iter().flatten() {
                    image.set(k.at, (!row.nulls[k.at]).then_some(row.values[k.at]));
                }
                provisional::add(self.tview.oid, image.image());
            }
            if let Some(own) = &mut self.own {
                let mut image = ImageBuilder::new(self.rel.tupdesc());
                for i in 0..row.values.len() {
                    if !self.tview.state.contains(&i) {
                        image.set(i, (!row.nulls[i]).then_some(row.values[i]));
                    }
                }
                image.add_to(own, weight);
            }
        }
    }
}

impl Job<'_> {
    /// Whether a row may take a unique value that another row has not given up yet: updates keep the key, so not when every unique index
    /// has all columns of the key.
    pub fn may_meet(&self) -> bool {
        // A new index of the TVIEW is a change of the TVIEW, of which everything known is forgotten then.
        let known = self.tview.may_meet.get();
        let meets = known.unwrap_or_else(|| self.indexes_may_meet());
        self.tview.may_meet.set(Some(meets));
        meets
    }

    fn indexes_may_meet(&self) -> bool {
        let key = self.tview.key.as_deref().filter(|_| !self.tview.region);
        // SAFETY: the relation is open, and so are its indexes while they are looked at.
        unsafe {
            let unique = list::oids(pg_sys::RelationGetIndexList(self.rel.raw()))
                .into_iter()
                .filter_map(|i| Relation::open(i, pg_sys::AccessShareLock))
                .filter(|i| (*(*i.raw()).rd_index).indisunique);
            unique.into_iter().any(|index| {
                let form = (*index.raw()).rd_index;
                let columns = (*form).indkey.values.as_slice((*form).indnkeyatts as usize);
                key.is_none_or(|key| !key.iter().all(|k| columns.contains(&(k.at as i16 + 1))))
            })
        }
    }
}
