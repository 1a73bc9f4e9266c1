//! Rows of which only a part is computed: whether changes are such that the rest is known to be as it is stored.
//!
//! Invariant: the stored rows are exact for the state before these changes: one relation has changed, all its changes are followed at once, by a
//! flush that reads the latest state. Called by keyed.rs and keyed_loops.rs. Why it is exact: docs/internals/decisions/partial-rows.md.

use crate::pg::error::Result;
use crate::pg::relation::Relation;
use crate::pg::row_hash::RowHash;
use crate::pg::{guc, slot};
use crate::queue::changes::Image;
use crate::refresh::follow::job::Job;
use crate::refresh::follow::keyed_loops::is_elsewhere;
use crate::refresh::follow::nested_loop::Deformed;
use crate::refresh::follow::provisional;
use crate::refresh::plan::loops::{PartLoop, bits};
use crate::refresh::plan::parts::PartSql;
use pgrx::pg_sys;
use std::collections::BTreeSet;
use std::rc::Rc;

/// Relations with more columns are not looked at.
const MOST_COLUMNS: usize = 100;

/// Gets the values of a change row, its flags for NULL, and its weight.
type Look<'l> = &'l mut dyn FnMut(&[pg_sys::Datum], &[bool], i64);

impl Job<'_> {
    /// Whether the rest of a stored row is known to be as the query has it.
    fn may_keep_parts(&self) -> bool {
        let is_exact = !self.keep && !self.again && !self.apart && !self.provisional && self.changed.len() == 1;
        is_exact && guc::PARTIAL_ROWS.get() && !provisional::any(self.tview.oid)
    }

    /// The loop for what these change rows can concern; None when rows are computed as a whole.
    pub fn part_loop(&self, source: &Relation, rows: &[(Image, i64)]) -> Result<Option<Rc<PartLoop>>> {
        if !self.may_keep_parts() || source.natts() > MOST_COLUMNS || rows.len() < 2 {
            return Ok(None);
        }
        let relid = source.oid().to_u32();
        let (columns, balanced) = match rows {
            [(a, 1), (b, -1)] | [(b, -1), (a, 1)] => {
                // Values that are elsewhere are read under a snapshot.
                let _snapshot = (is_elsewhere(a) || is_elsewhere(b)).then(|| self.snapshot());
                // SAFETY: images are minimal tuples of the relation's row type.
                let (a, b) = unsafe { (Deformed::of(a, source.tupdesc()), Deformed::of(b, source.tupdesc())) };
                // SAFETY: rows of the relation.
                let differs = |att: &i16| unsafe { !self.is_same_row(source, &[*att], &a, &b) };
                (bits((1..=source.natts() as i16).filter(differs)), true)
            }
            _ => {
                let (columns, balanced) = self.changed_columns(source, relid);
                (bits(columns), balanced)
            }
        };
        if balanced { self.tview.part_loop(self.rel, relid, columns) } else { Ok(None) }
    }

    /// The SQL for what these changes can concern; None when rows are computed as a whole.
    pub fn parts(&self) -> Result<Option<Rc<PartSql>>> {
        let [relid] = self.changed.iter().copied().collect::<Vec<_>>()[..] else { return Ok(None) };
        if !self.may_keep_parts() {
            return Ok(None);
        }
        let Some(source) = Relation::open(pg_sys::Oid::from(relid), pg_sys::AccessShareLock) else { return Ok(None) };
        if source.natts() > MOST_COLUMNS {
            return Ok(None);
        }
        let (columns, balanced) = self.changed_columns(&source, relid);
        let sql = self.tview.part_sql(self.rel, relid, &columns)?;
        Ok(sql.filter(|sql| balanced || !sql.balanced))
    }

    /// The columns in which the rows that have gone differ, taken together, from those that have come; and whether all columns but these are
    /// the same rows, each as often.
    fn changed_columns(&self, source: &Relation, relid: u32) -> (BTreeSet<i16>, bool) {
        let n = source.natts();
        // Values that are elsewhere are read under a snapshot.
        let _snapshot = self.snapshot();
        let hash = RowHash::new(source, n);
        let mut sums = vec![0u128; n];
        self.each_change(source, relid, &mut |values, nulls, weight| {
            for (at, sum) in sums.iter_mut().enumerate() {
                let alone: Vec<bool> = (0..n).map(|i| i != at || nulls[i]).collect();
                *sum = sum.wrapping_add(hash.of(values, &alone).wrapping_mul(weight as u128));
            }
        });
        let differ: Vec<bool> = sums.iter().map(|sum| *sum != 0).collect();
        let mut others = 0u128;
        self.each_change(source, relid, &mut |values, nulls, weight| {
            let left: Vec<bool> = (0..n).map(|i| differ[i] || nulls[i]).collect();
            others = others.wrapping_add(hash.of(values, &left).wrapping_mul(weight as u128));
        });
        ((1..).zip(&differ).filter(|(_, differs)| **differs).map(|(att, _)| att).collect(), others == 0)
    }

    fn each_change(&self, source: &Relation, relid: u32, look: Look) {
        // SAFETY: images are minimal tuples of the relation's row type.
        unsafe {
            let row = pg_sys::MakeSingleTupleTableSlot(source.tupdesc(), &pg_sys::TTSOpsMinimalTuple);
            for set in self.changes.get(&relid).into_iter().flatten() {
                set.each(|tuple, weight| {
                    pg_sys::ExecStoreMinimalTuple(tuple, row, false);
                    let (values, nulls) = slot::all(row);
                    look(values, nulls, weight);
                });
            }
            pg_sys::ExecDropSingleTupleTableSlot(row);
        }
    }
}
