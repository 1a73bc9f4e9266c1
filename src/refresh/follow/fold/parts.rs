//! A fold of many rows: the rows wait, on disk beyond work_mem, until all their keys are known and locked. More rows than memory
//! holds are written in parts by the TVIEW's key, and one part after the other is folded.
//!
//! Invariant: all rows of a key are in one part, in the order in which the SQL gives them, so a group is looked up, and written, once, and a
//! group that goes does so before another group with the same key comes.
//! The keys are locked before a stored row is read, one by one or, beyond `lock_escalation`, all at once: no key is locked before that.
//! Called by the strategy.

use crate::analyze::describe::fold::Fold;
use crate::pg::error::{Error, Result};
use crate::pg::fault::{self, Fault};
use crate::pg::memory::{self, Arena};
use crate::pg::spi::Session;
use crate::pg::tupdesc;
use crate::refresh::follow::fold::group::Groups;
use crate::refresh::follow::job::Job;
use crate::refresh::follow::locks;
use crate::refresh::follow::rows::Rows;
use crate::refresh::plan::fold::FoldSql;
use crate::refresh::plan::keyed::KeyedSql;
use pgrx::pg_sys::{self, Datum};
use std::collections::BTreeSet;
use tviews_core::choice::Size;
use tviews_core::whole::Whole;

/// Number of parts when there are more rows than memory holds.
pub const MANY: usize = 64;

/// Memory of a row together with its group, when every row has a group of its own.
const BYTES: usize = 400;

impl Job<'_> {
    /// Whether so many rows may need more memory than hash_mem.
    pub fn needs_parts(&self, rows: usize) -> bool {
        !self.key_positions().is_empty() && rows * BYTES > memory::hash_mem()
    }

    pub fn fold_in_parts(&mut self, sql: &FoldSql, keyed: Option<&KeyedSql>, size: Size, number: usize) -> Result<()> {
        let tview = self.tview;
        let Some(fold) = &tview.fold else { return Err(Error::Internal("no fold".into())) };
        if number > 1 && self.may_meet() {
            // Parts are written one after the other.
            return self.instead(Whole::Cheaper);
        }
        let mut parts = empty(fold, number);
        let Some(hashes) = self.lead(|job| job.divide(&mut parts, fold, sql, size))? else {
            return self.without_lead();
        };
        if !hashes.is_empty() {
            locks::keys(tview, &hashes, &locks::unknown);
        }
        let rows = parts.iter().map(Rows::len).sum();
        if number == 1 && self.needs_parts(rows) && !self.may_meet() {
            parts = self.split(parts, fold);
        }
        for part in parts.into_iter().filter(|part| part.len() > 0) {
            self.fold_part(part, fold, sql, keyed, size)?;
        }
        Ok(())
    }

    /// Divides the rows into parts when they turn out to be many.
    fn split(&self, all: Vec<Rows>, fold: &Fold) -> Vec<Rows> {
        let positions = self.key_positions();
        let mut parts = empty(fold, MANY);
        let n = width(fold);
        let (mut values, mut nulls) = (vec![Datum::from(0usize); n], vec![true; n]);
        for mut rows in all {
            // SAFETY: one value for each attribute; the row lives until the next one is asked for.
            while unsafe { rows.next(&mut values, &mut nulls) } {
                // SAFETY: as above.
                unsafe {
                    let hash = Groups::hash_of_group(fold, &positions, |i| (!nulls[1 + i]).then_some(values[1 + i]));
                    parts[hash as usize % MANY].put(&values, &nulls);
                }
            }
        }
        parts
    }

    /// Computes the rows of the delta; returns the hashes of their keys.
    fn divide(&mut self, parts: &mut [Rows], fold: &Fold, sql: &FoldSql, size: Size) -> Result<BTreeSet<u32>> {
        let mut hashes = BTreeSet::new();
        let positions = self.key_positions();
        let now = if sql.delta.before.is_some() { &sql.delta.now } else { &sql.bulk };
        let moment = self.snapshot();
        for (text, before) in [(now, false), (&sql.delta.before, true)] {
            let Some(text) = text.as_ref().filter(|_| !(before && fault::on(Fault::SkipBefore))) else { continue };
            let _before = before.then(|| self.before(&moment));
            let session = Session::open();
            let plan = self.choose(&session, text, size)?.plan;
            // SAFETY: rows are as the text of the delta has them.
            session.each(&plan, &mut |values, nulls| unsafe {
                let hash = Groups::hash_of_group(fold, &positions, |i| (!nulls[1 + i]).then_some(values[1 + i]));
                locks::note(&mut hashes, hash);
                let part = hash as usize % parts.len();
                parts[part].put(values, nulls);
            });
        }
        Ok(hashes)
    }

    fn fold_part(
        &mut self,
        mut part: Rows,
        fold: &Fold,
        sql: &FoldSql,
        keyed: Option<&KeyedSql>,
        size: Size,
    ) -> Result<()> {
        let arena = Arena::current();
        // SAFETY: the groups live in the arena, which outlives them.
        let mut groups = arena.enter(|| unsafe { Groups::new(self.tview, fold) });
        let snapshot = self.snapshot();
        let n = width(fold);
        let (mut values, mut nulls) = (vec![Datum::from(0usize); n], vec![true; n]);
        let mut batch = arena.enter(Arena::current);
        // SAFETY: one value for each attribute of the part.
        while unsafe { part.next(&mut values, &mut nulls) } {
            // SAFETY: rows are as the text of the delta has them.
            arena.enter(|| unsafe { groups.add_row(|i| (!nulls[i]).then_some(values[i]), &batch) });
            if batch.size() + groups.waiting_size() > memory::work_mem() {
                self.take_in(&mut groups, &arena, &batch, &sql.lookup, &snapshot)?;
                batch = arena.enter(Arena::current);
            }
        }
        self.take_in(&mut groups, &arena, &batch, &sql.lookup, &snapshot)?;
        self.done.dirty_keys += groups.len() as u64;
        self.write_groups(&mut groups, &arena, keyed, snapshot, size)
    }
}

fn empty(fold: &Fold, number: usize) -> Vec<Rows> {
    // SAFETY: the descriptor lives in the current context, as the rows do.
    unsafe {
        let desc = descriptor(fold);
        (0..number).map(|_| Rows::new(desc).among(number)).collect()
    }
}

/// Number of columns of the delta's rows.
fn width(fold: &Fold) -> usize {
    1 + fold.key_types.len() + fold.arg_types.len() + fold.filter_count
}

/// Descriptor of the delta's rows: weight, keys, arguments, conditions.
fn descriptor(fold: &Fold) -> pg_sys::TupleDesc {
    // SAFETY: a new descriptor in the current context, each attribute set once.
    unsafe {
        let weight = (pg_sys::INT8OID, -1, pg_sys::InvalidOid);
        let filter = (pg_sys::BOOLOID, -1, pg_sys::InvalidOid);
        let mut types = vec![weight];
        types.extend(fold.key_types.iter().chain(&fold.arg_types));
        types.extend(std::iter::repeat_n(filter, fold.filter_count));
        tupdesc::of(types.len(), |desc| {
            for (number, of) in (1i16..).zip(&types) {
                pg_sys::TupleDescInitEntry(desc, number, c"".as_ptr(), of.0, of.1, 0);
            }
        })
    }
}
