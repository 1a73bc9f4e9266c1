//! Strategy keyed: find the dirty keys, recompute exactly their rows, write the rows that differ.
//!
//! Invariant: between the snapshot that a row is computed with and commit, no other transaction can commit a change that
//! would alter it. With keys to lock there are two steps, because waiting for a lock makes the first snapshot old; the
//! set of dirty keys itself cannot grow meanwhile, since all relations it was computed from are locked in SHARE.
//! Keys that were written under the transaction's own snapshot are dirty at commit, too (provisional.rs).

use crate::analyze::rules::forms::Forms;
use crate::capture::srf;
use crate::capture::trigger::ImageBuilder;
use crate::pg::error::{Error, Result};
use crate::pg::row_hash::RowHash;
use crate::pg::snapshot::Active;
use crate::pg::spi::{Plan, Session};
use crate::pg::{memory, silent, slot, values};
use crate::queue::changes::ChangeSet;
use crate::refresh::follow::apply::Changes;
use crate::refresh::follow::difference::Difference;
use crate::refresh::follow::job::{self, Job};
use crate::refresh::follow::keyed::values::hash_value;
use crate::refresh::follow::rows::Filled;
use crate::refresh::follow::{locks, provisional};
use crate::refresh::plan::keyed::KeyedSql;
use crate::refresh::plan::parts::PartSql;
use pgrx::pg_sys;
use std::collections::{BTreeSet, HashSet};
use std::rc::Rc;
use tviews_core::choice::Size;
use tviews_core::queue::Absorb;
use tviews_core::whole::Whole;

impl Job<'_> {
    pub fn keyed(&mut self, keys: &KeyedSql, size: Size) -> Result<()> {
        let provisional = if self.keep { None } else { provisional::of(self.tview.oid) };
        let is_again = provisional.is_some();
        if self.tview.region || locks::needs_keys(self.tview, self.changed) || self.pairs() || is_again {
            let Some((mut dirty, mut hashes)) = self.lead(|job| job.dirty_keys(&keys.dirty, size))? else {
                return self.without_lead();
            };
            if let Some(written) = provisional {
                self.hashes_of(&written).into_iter().for_each(|hash| locks::note(&mut hashes, hash));
                dirty.absorb(&written);
            }
            if dirty.len() == 0 {
                return Ok(());
            }
            self.rows = dirty.len();
            self.done.dirty_keys = dirty.len() as u64;
            // A flush that locks all keys must not hold some of them already: two such flushes would wait for each other.
            if !is_again && job::is_large(self.rel, self.rows) {
                return self.instead(Whole::Many(self.rows));
            }
            locks::keys(self.tview, &hashes, &|hash| self.words_of_key(&dirty, hash));
            if self.tview.region
                && !is_again
                && self.knows_before()
                && let Some(plan) = self.tview.interval(self.rel, self.changed)?
                && self.in_intervals(&plan, size)?
            {
                return Ok(());
            }
            let _offer = srf::offer_dirty(self.tview.oid, dirty);
            match &keys.stored {
                Some(stored) => self.recompute_region(&keys.two_steps, stored, size),
                None if self.recompute_parts(|parts| &parts.two_steps, size)? => Ok(()),
                None => self.recompute(&keys.two_steps, size, is_again),
            }
        } else if self.recompute_parts(|parts| &parts.one_step, size)? {
            Ok(())
        } else {
            self.recompute(&keys.one_step, size, false)
        }
    }

    /// Hashes of keys that are images of the TVIEW's row type.
    fn hashes_of(&self, keys: &ChangeSet) -> Vec<u32> {
        let mut hashes = Vec::new();
        self.each_key(keys, |hash, _| hashes.push(hash));
        hashes
    }

    /// A key with this hash, in words.
    pub fn words_of_key(&self, keys: &ChangeSet, wanted: u32) -> Option<String> {
        let mut found = None;
        self.each_key(keys, |hash, key| {
            if found.is_none() && hash == wanted {
                // SAFETY: values of the key's types.
                found = Some(unsafe { values::of_row(key.iter().copied()) });
            }
        });
        found
    }

    /// Shows the hashes and values of keys that are images of the TVIEW's row type.
    fn each_key(&self, keys: &ChangeSet, mut f: impl FnMut(u32, &[(pg_sys::Oid, Option<pg_sys::Datum>)])) {
        // SAFETY: images are minimal tuples of the relation's row type.
        unsafe {
            let row = pg_sys::MakeSingleTupleTableSlot(self.rel.tupdesc(), &pg_sys::TTSOpsMinimalTuple);
            keys.each(|tuple, _| {
                silent::ExecStoreMinimalTuple(tuple, row, false);
                let (values, nulls) = slot::all(row);
                let value = |at: usize| (!nulls[at]).then_some(values[at]);
                let key = self.tview.key.iter().flatten().map(|k| (k.typid, value(k.at)));
                f(self.key_hash(|_, at| value(at)), &key.collect::<Vec<_>>());
            });
            silent::ExecDropSingleTupleTableSlot(row);
        }
    }

    /// Hash of a key; `value` gets a number in the key and in the row.
    ///
    /// # Safety
    /// `value` gives values of the key's columns.
    pub unsafe fn key_hash(&self, value: impl Fn(usize, usize) -> Option<pg_sys::Datum>) -> u32 {
        // SAFETY: `value` gives values of the key's columns.
        unsafe {
            let key = self.tview.key.as_deref().unwrap_or_default();
            key.iter().enumerate().fold(0u32, |hash, (i, k)| {
                hash.rotate_left(1) ^ value(i, k.at).map_or(0, |v| hash_value(k.typid, k.collation, v))
            })
        }
    }

    /// The keys that the changes lead to, as rows of the TVIEW's row type, and their hashes.
    fn dirty_keys(&self, sql: &str, size: Size) -> Result<(ChangeSet, BTreeSet<u32>)> {
        let _snapshot = self.snapshot();
        let session = Session::open();
        let plan = self.tview.plan(&session, sql, size)?;
        let key = self.tview.key.as_deref().unwrap_or_default();
        let mut hashes = BTreeSet::new();
        let mut set = ChangeSet::default();
        // SAFETY: key values come from the query as the types of the key columns.
        let mut image = unsafe { ImageBuilder::new(self.rel.tupdesc()) };
        session.each(&plan, &mut |values, nulls| {
            let value = |i: usize| (!nulls[i]).then_some(values[i]);
            for (i, k) in key.iter().enumerate() {
                image.set(k.at, value(i));
            }
            // SAFETY: as above.
            unsafe {
                image.add_to(&mut set, 1);
                locks::note(&mut hashes, self.key_hash(|i, _| value(i)));
            }
        });
        Ok((set, hashes))
    }

    /// Computes only what the changes can concern; false when rows have to be computed as a whole. Rows that are written then are exact already.
    fn recompute_parts(&mut self, forms: impl Fn(&PartSql) -> &Forms, size: Size) -> Result<bool> {
        let Some(parts) = self.parts()? else { return Ok(false) };
        let snapshot = self.snapshot();
        let session = Session::open();
        let plan = self.choose(&session, forms(&parts), size)?.plan;
        let mut row = Filled::new(self.rel.natts());
        let mut changes = Changes::new(self.rel);
        let (mut keys, mut is_expected) = (0, true);
        session.each(&plan, &mut |values, nulls| {
            keys += 1;
            // SAFETY: column 0 is a tid, column 1 a boolean; the others are of the attributes' types.
            unsafe {
                let stored = (!nulls[0]).then(|| *values[0].cast_mut_ptr::<pg_sys::ItemPointerData>());
                let present = !nulls[1] && values[1].value() & 0xff != 0;
                match (stored, present) {
                    (None, false) => {}
                    (Some(tid), true) => {
                        row.fill(&values[2..], &nulls[2..]);
                        changes.update(tid, &row.values, &row.nulls);
                    }
                    // No row comes or goes.
                    _ => is_expected = false,
                }
            }
        });
        if !is_expected {
            return Ok(false);
        }
        let known = self.done.dirty_keys;
        self.done.dirty_keys = known.max(keys);
        changes.parts = Some(Rc::clone(&parts.columns));
        let unexpected = self.apply_expected(changes, &snapshot)?;
        if unexpected > 0 {
            // What is written is seen by the next snapshot, and is not counted twice.
            self.done.rows_unchanged = 0;
            self.done.dirty_keys = known;
            // SAFETY: inside a transaction.
            unsafe { pg_sys::CommandCounterIncrement() };
        }
        Ok(unexpected == 0)
    }

    /// `is_again`: other transactions may have written rows with provisional keys, unseen by the flush that wrote these keys.
    pub fn recompute(&mut self, forms: &Forms, size: Size, is_again: bool) -> Result<()> {
        let snapshot = self.snapshot();
        let session = Session::open();
        let plan = self.choose(&session, forms, size)?.plan;
        let selected = self.tview.selected;
        let hash = is_again.then(|| RowHash::new(self.rel, selected));
        let mut row = Filled::new(self.rel.natts());
        let mut computed: HashSet<u128> = HashSet::new();
        let mut changes = Changes::new(self.rel);
        let (mut keys, mut columns) = (0, selected + 2);
        session.each(&plan, &mut |values, nulls| {
            keys += 1;
            columns = values.len();
            // SAFETY: column 0 is a tid, column 1 a boolean; the others are of the attributes' types.
            unsafe {
                let stored = (!nulls[0]).then(|| *values[0].cast_mut_ptr::<pg_sys::ItemPointerData>());
                let present = !nulls[1] && values[1].value() & 0xff != 0;
                row.fill(&values[2..], &nulls[2..]);
                memory::enough(computed.try_reserve(1));
                // Only rows that are present: the NULLs of a key without a row could equal the row of another key.
                let is_second =
                    present && hash.as_ref().is_some_and(|h| !computed.insert(h.of(&row.values, &row.nulls)));
                match (stored, present) {
                    (None, false) => {}
                    (Some(tid), false) => changes.deletes.put(tid),
                    (Some(tid), true) if is_second => changes.deletes.put(tid),
                    (None, true) => changes.inserts.put(&row.values, &row.nulls),
                    (Some(tid), true) => changes.update(tid, &row.values, &row.nulls),
                }
            }
        });
        // One row a key, unless they were counted already.
        self.done.dirty_keys = self.done.dirty_keys.max(keys);
        if columns != selected + 2 {
            return Err(Error::Internal(format!("{columns} columns for {} attributes", self.rel.natts())));
        }
        self.apply(changes, &snapshot)
    }
}

impl Job<'_> {
    /// Replaces the stored rows of whole partitions by the query's rows, as far as they differ.
    fn recompute_region(&mut self, forms: &Forms, stored: &str, size: Size) -> Result<()> {
        let snapshot = self.snapshot();
        let session = Session::open();
        let stored = self.tview.plan(&session, stored, size)?;
        let computed = self.choose(&session, forms, size)?.plan;
        self.replace_stored(&session, &snapshot, &stored, &computed)
    }

    /// Replaces some stored rows by computed rows, as far as they differ. `stored` selects their ctids.
    pub fn replace_stored(
        &mut self,
        session: &Session,
        snapshot: &Active,
        stored: &Plan,
        computed: &Plan,
    ) -> Result<()> {
        let mut difference = Difference::new(self.rel, self.tview.selected);
        {
            let inner = Session::open();
            // SAFETY: column 0 is a tid of this relation, seen by the snapshot.
            unsafe {
                let mut reader = crate::tam::read::Reader::open(self.rel.raw());
                inner.each(stored, &mut |row, _| {
                    let tid = *row[0].cast_mut_ptr::<pg_sys::ItemPointerData>();
                    if let Some((values, nulls)) = reader.fetch(tid, snapshot.raw()) {
                        difference.stored(values, nulls, tid);
                    }
                });
                reader.close();
            }
        }
        let mut row = Filled::new(self.rel.natts());
        session.each(computed, &mut |values, nulls| {
            row.fill(values, nulls);
            difference.computed(&row.values, &row.nulls);
        });
        let (changes, unchanged) = difference.finish()?;
        self.done.rows_unchanged += unchanged;
        self.apply(changes, snapshot)
    }
}
