//! Locks by the values that the rows of different relations meet by.
//!
//! Let W1 have changed rows of T1, and W2 rows of T2, and let the query compare T1.x = T2.y. W1 locks the values x of its
//! rows, old and new, W2 the values y of its rows, each in the mode of its side: the modes conflict with each other but not with themselves. A writer
//! that meets another waits, and takes its snapshot afterwards. The changes of writers that do not meet add up
//! (tviews_core::meetings). Groups, equal rows of an output without key, and anchors are locked besides, as for writers of one relation (locks.rs).
//! Invariant: for every pair of relations, a writer of one side holds, from before its first snapshot until its transaction ends,
//! either all values of its rows or the whole side. Where no equality is known, the writer holds the whole side.
//! Called by the flush instead of `locks::for_keyed`; analyze/rules/join_values.rs finds the equal columns.

use crate::analyze::rules::join_values::{Column, Pair};
use crate::pg::error::{Error, Result};
use crate::pg::relation::Relation;
use crate::pg::{guc, slot, values};
use crate::queue::changes::ChangeSet;
use crate::refresh::follow::job::Job;
use crate::refresh::follow::locks;
use pgrx::pg_sys;
use std::collections::BTreeSet;
use std::rc::Rc;
use tviews_core::locks::{Meetings, Touched, is_worth_counting, meet};

/// Values of the changed rows on one side of a pair, by hash.
enum Values {
    Few(BTreeSet<u32>),
    Many,
}

impl Job<'_> {
    /// Locks the relations, or the values by which their rows meet, against other writers until this transaction ends.
    pub fn lock_relations(&self) -> Result<()> {
        let Some(pairs) = &self.tview.pairs else {
            locks::for_keyed(self.tview, self.changed);
            return Ok(());
        };
        locks::incremental(self.tview);
        let mut left = guc::LOCK_ESCALATION.get() as usize;
        let mut met = Meetings::new();
        for (number, pair) in (0u32..).zip(pairs) {
            let mut touched = [Touched::Nothing; 2];
            for (side, touched) in touched.iter_mut().enumerate() {
                if !self.changed.contains(&pair.sides[side]) {
                    continue;
                }
                let values = if pair.equal.is_empty() { Values::Many } else { self.values(number, pair, side, left)? };
                *touched = match values {
                    Values::Few(hashes) => {
                        left -= hashes.len();
                        hashes.into_iter().for_each(|hash| meet(&mut met, hash, side));
                        Touched::Values
                    }
                    Values::Many => Touched::Whole,
                };
            }
            locks::sides(self.tview, number, touched);
        }
        locks::meetings(self.tview, &met, &|hash, side| self.words_of_meeting(pairs, hash, side));
        Ok(())
    }

    /// Hashes of the values that changed rows of one side have in the equal columns; rows with NULLs meet no row.
    fn values(&self, number: u32, pair: &Pair, side: usize, most: usize) -> Result<Values> {
        let relid = pair.sides[side];
        let sets = self.changes.get(&relid).map(Vec::as_slice).unwrap_or_default();
        let rows = sets.iter().map(|s| s.len()).sum();
        if sets.iter().any(|s| s.is_everything()) || !is_worth_counting(rows, most) {
            return Ok(Values::Many);
        }
        let Some(rel) = Relation::open(pg_sys::Oid::from(relid), pg_sys::AccessShareLock) else {
            return Err(Error::Internal(format!("relation {relid} does not exist")));
        };
        let mut found = BTreeSet::new();
        each(&rel, sets, number, pair, side, |hash, _, _| {
            found.insert(hash);
        });
        Ok(if found.len() > most { Values::Many } else { Values::Few(found) })
    }

    /// The values with this hash of a changed row of one side, in words.
    fn words_of_meeting(&self, pairs: &[Pair], wanted: u32, side: usize) -> Option<String> {
        let mut found = None;
        for (number, pair) in (0u32..).zip(pairs).filter(|(_, pair)| !pair.equal.is_empty()) {
            let relid = pair.sides[side];
            let sets = self.changes.get(&relid).filter(|_| self.changed.contains(&relid));
            let (Some(sets), Some(rel)) = (sets, Relation::open(pg_sys::Oid::from(relid), pg_sys::AccessShareLock))
            else {
                continue;
            };
            each(&rel, sets, number, pair, side, |hash, values, nulls| {
                if found.is_none() && hash == wanted {
                    let columns = pair.equal.iter().map(|both| (both[side].typid, both[side].att as usize - 1));
                    let of_row = columns.map(|(typid, at)| (typid, (!nulls[at]).then_some(values[at])));
                    // SAFETY: the columns have these types.
                    found = Some(unsafe { values::of_row(of_row) });
                }
            });
        }
        found
    }
}

/// Calls `f` for the rows of one side that can meet a row: hash of the equal columns, values, null flags.
fn each(
    rel: &Relation,
    sets: &[Rc<ChangeSet>],
    number: u32,
    pair: &Pair,
    side: usize,
    mut f: impl FnMut(u32, &[pg_sys::Datum], &[bool]),
) {
    let columns: Vec<Column> = pair.equal.iter().map(|both| both[side]).collect();
    // SAFETY: images are minimal tuples of the relation's row type, and the columns are columns of the relation.
    unsafe {
        let row = pg_sys::MakeSingleTupleTableSlot(rel.tupdesc(), &pg_sys::TTSOpsMinimalTuple);
        for set in sets {
            set.each(|tuple, _| {
                pg_sys::ExecStoreMinimalTuple(tuple, row, false);
                if let Some(hash) = hash_of_meeting(row, number, &columns) {
                    let (values, nulls) = slot::all(row);
                    f(hash, values, nulls);
                }
            });
        }
        pg_sys::ExecDropSingleTupleTableSlot(row);
    }
}

/// # Safety
/// `row` is a slot of the caller.
unsafe fn hash_of_meeting(row: *mut pg_sys::TupleTableSlot, number: u32, columns: &[Column]) -> Option<u32> {
    // SAFETY: `row` is a slot of the caller.
    unsafe {
        let (values, nulls) = slot::all(row);
        columns.iter().try_fold(number, |hash, column| {
            let at = column.att as usize - 1;
            // The equalities are of deterministic collations, for which equal texts are the same bytes.
            let collation = if pg_sys::get_typcollation(column.typid) == pg_sys::InvalidOid {
                pg_sys::InvalidOid
            } else {
                pg_sys::C_COLLATION_OID
            };
            let own = || values::hash_value(column.typid, collation, values[at]);
            (!nulls[at]).then(|| hash.rotate_left(7) ^ own())
        })
    }
}
