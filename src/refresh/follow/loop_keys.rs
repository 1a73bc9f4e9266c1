//! Dirty keys found by nested loops: all of them first, then the rows that have them.
//!
//! Several relations may have changed. Their loops look up rows as they are now, so a row that was joined to another changed row, both of them
//! gone, is not found through that row. It need not be: on the way from the changed row that is nearest to the row with the key, nothing has
//! changed, and when that row itself has changed, its key is dirty anyhow.
//! Invariant: no changed relation stands between another changed relation and the relation whose key is the TVIEW's (`Tview::loops`); keys
//! are locked before the snapshot that their rows are computed with. Called by ways.rs and keyed_loops.rs.

use crate::capture::trigger::ImageBuilder;
use crate::pg::error::{Error, Result};
use crate::pg::pinned;
use crate::pg::relation::Relation;
use crate::queue::changes::{ChangeSet, Image, image_of};
use crate::refresh::follow::apply::Changes;
use crate::refresh::follow::job::{self, Job};
use crate::refresh::follow::keyed_loops::Key;
use crate::refresh::follow::locks;
use crate::refresh::follow::nested_loop::{Deformed, Running};
use crate::refresh::follow::rows::Filled;
use crate::refresh::plan::loops::{Joined, KeyedLoops, Rows};
use pgrx::pg_sys;
use std::collections::BTreeSet;
use std::rc::Rc;
use tviews_core::whole::Whole;

/// Keys as rows of the TVIEW's row type, and their hashes, where they are locked.
struct Dirty {
    image: ImageBuilder,
    keys: ChangeSet,
    hashes: BTreeSet<u32>,
    locked: bool,
}

impl Dirty {
    fn new(rel: &Relation, locked: bool) -> Dirty {
        // SAFETY: the relation is open while the flush is about it.
        let image = unsafe { ImageBuilder::new(rel.tupdesc()) };
        Dirty { image, keys: ChangeSet::default(), hashes: BTreeSet::new(), locked }
    }

    /// # Safety
    /// `value` gives values of the types of the job's key, by their numbers.
    unsafe fn add(&mut self, job: &Job, value: impl Fn(usize) -> Option<pg_sys::Datum>) {
        // SAFETY: as the caller promises.
        unsafe {
            for (i, k) in job.tview.key.iter().flatten().enumerate() {
                self.image.set(k.at, value(i));
            }
            self.image.add_to(&mut self.keys, 1);
            if self.locked {
                locks::note(&mut self.hashes, job.key_hash(|i, _| value(i)));
            }
        }
    }
}

impl Job<'_> {
    /// Change rows of one relation lead to keys.
    pub(super) fn joined(
        &mut self,
        loops: &KeyedLoops,
        of: &Joined,
        rows: &[(Image, i64)],
        source: &Relation,
    ) -> Result<bool> {
        let mut dirty = Dirty::new(self.rel, locks::needs_keys(self.tview, self.changed));
        {
            let snapshot = self.snapshot();
            if !self.reach(&mut dirty, of, rows, source, snapshot.raw())? {
                return Ok(false);
            }
        }
        self.replace_rows(loops, of, dirty)
    }

    /// Change rows of several relations are rows with keys, or lead to them.
    pub fn together_by_loops(&mut self, loops: &[(u32, Rc<KeyedLoops>)]) -> Result<bool> {
        let joined = |(_, l): &(u32, Rc<KeyedLoops>)| matches!(l.rows, Rows::Joined(_));
        let Some((_, by)) = loops.iter().find(|l| joined(l)) else { return Ok(false) };
        let Rows::Joined(of) = &by.rows else { return Err(Error::Internal("no loop from keys to rows".into())) };
        let mut dirty = Dirty::new(self.rel, true);
        {
            let snapshot = self.snapshot();
            for (relid, loops) in loops {
                let Some(source) = Relation::open(pg_sys::Oid::from(*relid), pg_sys::AccessShareLock) else {
                    return Ok(false);
                };
                let rows = self.change_rows(&source);
                match &loops.rows {
                    Rows::Own { key, .. } => self.own_keys(&mut dirty, key, &rows, &source),
                    Rows::Joined(of) if self.reach(&mut dirty, of, &rows, &source, snapshot.raw())? => {}
                    Rows::Joined(_) => return Ok(false),
                }
            }
        }
        self.replace_rows(by, of, dirty)
    }

    /// The keys that change rows have themselves.
    fn own_keys(&self, dirty: &mut Dirty, columns: &[i16], rows: &[(Image, i64)], source: &Relation) {
        for (of, _) in rows {
            // SAFETY: images are minimal tuples of the relation's row type; its columns are those of the key.
            unsafe {
                let of = Deformed::of(of, source.tupdesc());
                dirty.add(self, |i| of.get(columns[i]));
            }
        }
    }

    /// The keys that change rows lead to; false when there are too many rows on the way.
    fn reach(
        &self,
        dirty: &mut Dirty,
        of: &Joined,
        rows: &[(Image, i64)],
        source: &Relation,
        snapshot: pg_sys::Snapshot,
    ) -> Result<bool> {
        // SAFETY: images are minimal tuples of the relation's row type; values found are of the types of the key.
        unsafe {
            let mut running = Running::open(&of.keys, snapshot)?;
            let fits = rows.iter().all(|(of, _)| {
                let of = Deformed::of(of, source.tupdesc());
                running.each(&|c| of.get(c), &mut |found| dirty.add(self, |i| found.values[i]))
            });
            running.close();
            Ok(fits)
        }
    }

    /// Puts the rows that the query has for dirty keys in the place of the stored ones.
    fn replace_rows(&mut self, loops: &KeyedLoops, of: &Joined, dirty: Dirty) -> Result<bool> {
        let Dirty { keys: dirty, hashes, locked, .. } = dirty;
        self.rows = dirty.len();
        self.done.dirty_keys = dirty.len() as u64;
        if dirty.len() == 0 {
            return Ok(true);
        }
        if locked {
            if job::is_large(self.rel, self.rows) {
                pinned::settings(&self.tview.search_path);
                return self.instead(Whole::Many(self.rows)).map(|()| true);
            }
            locks::keys(self.tview, &hashes, &|hash| self.words_of_key(&dirty, hash));
        }
        let snapshot = self.snapshot();
        let key = self.tview.key.as_deref().unwrap_or_default();
        let mut changes = Changes::new(self.rel);
        let mut filled = Filled::new(self.rel.natts());
        // SAFETY: the set shows rows of the TVIEW's row type.
        unsafe {
            let mut stored = Running::open(&loops.stored, snapshot.raw())?;
            let mut computed = Running::open(&of.row, snapshot.raw())?;
            let mut keys = Vec::with_capacity(dirty.len());
            dirty.each(|tuple, _| keys.push(image_of(tuple)));
            for image in &keys {
                let of = Deformed::of(image, self.rel.tupdesc());
                let of: Key = key.iter().map(|k| of.get(k.at as i16 + 1)).collect();
                let input = |c: i16| of[c as usize - 1];
                self.replace(&mut stored, Some(&mut computed), &of, &input, &mut filled, &mut changes);
            }
            stored.close();
            computed.close();
        }
        self.apply(changes, &snapshot)?;
        Ok(true)
    }
}
