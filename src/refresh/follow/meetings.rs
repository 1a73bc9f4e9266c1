//! Locks by the values that the rows of different relations meet by.
//!
//! Let W1 have changed rows of T1, and W2 rows of T2, and let the query compare T1.x = T2.y. W1 locks the values x of its
//! rows, old and new, W2 the values y of its rows, each in the mode of its side: the modes conflict with each other but not with themselves. A writer
//! that meets another waits, and takes its snapshot afterwards. The changes of writers that do not meet add up
//! (tviews_core::meetings). Groups, equal rows of an output without key, and anchors are locked besides, as for writers of one relation (locks.rs).
//!
//! Let there be relations between T1 and T2: T1.x = M.x, M.y = T2.y. W2 locks the values y of its rows, as before, and W1 the values M.y of the rows of
//! M that its own rows lead to. It looks for these rows when it has locked the values x: until it ends nobody commits a row of M with one of them.
//! If a third writer has done so before, it has met W2, too; so its row is seen, or W2 comes after it.
//! Invariant: for every pair of relations, a writer of one side holds, from before its first snapshot until its transaction ends,
//! either all values of its rows or the whole side. Where no equality is known, the writer holds the whole side.
//! Called by the flush instead of `locks::for_keyed`; analyze/rules/join_values.rs finds the equal columns.

use crate::analyze::rules::join_values::{Column, Pair};
use crate::pg::error::{Error, Result};
use crate::pg::relation::Relation;
use crate::pg::spi::Session;
use crate::pg::tree::lsyscache;
use crate::pg::{guc, silent, slot, values};
use crate::refresh::follow::job::Job;
use crate::refresh::follow::locks;
use pgrx::pg_sys;
use std::collections::BTreeSet;
use tviews_core::choice::Size;
use tviews_core::locks::{Meetings, Touched, is_worth_counting, meet, worth_counting};

/// A value and its type.
type Typed = (pg_sys::Oid, pg_sys::Datum);

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
        let most = guc::LOCK_ESCALATION.get() as usize;
        let mut left = most;
        for near in pairs.chunk_by(|a, b| a.between() == b.between()) {
            let first = pairs.iter().take_while(|p| p.between() < near[0].between()).count();
            let between = near[0].between();
            let mut met = Meetings::new();
            for (number, pair) in (first as u32..).zip(near) {
                let mut touched = [Touched::Nothing; 2];
                for (side, touched) in touched.iter_mut().enumerate() {
                    if !self.changed.contains(&pair.sides[side]) {
                        continue;
                    }
                    *touched = match self.values(number, pair, side, left)? {
                        Values::Few(hashes) => {
                            left -= hashes.len();
                            hashes.into_iter().for_each(|hash| meet(&mut met, hash, side));
                            Touched::Values
                        }
                        Values::Many => Touched::Whole,
                    };
                }
                locks::sides(self.tview, between, number, touched);
            }
            locks::meetings(self.tview, between, &met, &|hash, side| self.words_of_meeting(pairs, hash, side));
        }
        Ok(())
    }

    /// Hashes of the values of one side; rows with NULLs meet no row.
    fn values(&self, number: u32, pair: &Pair, side: usize, most: usize) -> Result<Values> {
        let mut found = BTreeSet::new();
        let is_all = self.each_value(number, pair, side, most, &mut |hash, _| {
            locks::note(&mut found, hash);
        })?;
        Ok(if is_all && found.len() <= most { Values::Few(found) } else { Values::Many })
    }

    /// Calls `f` for the values that change rows of one side have in the equal columns, or lead to: hash, and values with their types. False when
    /// there are more than `most` in all likelihood, or when they are not known.
    fn each_value(
        &self,
        number: u32,
        pair: &Pair,
        side: usize,
        most: usize,
        f: &mut dyn FnMut(u32, &[Typed]),
    ) -> Result<bool> {
        let relid = pair.sides[side];
        let sets = self.changes.get(&relid).map(Vec::as_slice).unwrap_or_default();
        let rows = sets.iter().map(|s| s.len()).sum();
        let is_everything = sets.iter().any(|s| s.is_everything());
        if pair.equal.is_empty() || is_everything || !is_worth_counting(rows, most) {
            return Ok(false);
        }
        let columns: Vec<Column> = pair.equal.iter().map(|both| both[side]).collect();
        let mut look = |row: &mut dyn Iterator<Item = Option<pg_sys::Datum>>| {
            let row: Option<Vec<_>> = columns.iter().zip(row).map(|(c, value)| Some((c.typid, value?))).collect();
            if let Some(row) = row {
                f(hash_of_meeting(number, &row), &row);
            }
        };
        if let Some(through) = pair.through.as_ref().filter(|t| t.looks == side) {
            return self.each_found(&through.select, &mut look);
        }
        let Some(rel) = Relation::open(pg_sys::Oid::from(relid), pg_sys::AccessShareLock) else {
            return Err(Error::Internal(format!("relation {relid} does not exist")));
        };
        // SAFETY: images are minimal tuples of the relation's row type, and the columns are columns of the relation.
        unsafe {
            let row = pg_sys::MakeSingleTupleTableSlot(rel.tupdesc(), &pg_sys::TTSOpsMinimalTuple);
            for set in sets {
                set.each(|tuple, _| {
                    silent::ExecStoreMinimalTuple(tuple, row, false);
                    let (values, nulls) = slot::all(row);
                    let at = |column: &Column| column.att as usize - 1;
                    look(&mut columns.iter().map(|c| (!nulls[at(c)]).then(|| values[at(c)])));
                });
            }
            silent::ExecDropSingleTupleTableSlot(row);
        }
        Ok(true)
    }

    /// The same for rows between the relations of a pair. So many rows are looked at as are worth counting.
    fn each_found(
        &self,
        select: &str,
        look: &mut dyn FnMut(&mut dyn Iterator<Item = Option<pg_sys::Datum>>),
    ) -> Result<bool> {
        let most = worth_counting(guc::LOCK_ESCALATION.get() as usize);
        let _snapshot = self.snapshot();
        let session = Session::open();
        let plan = self.tview.plan(&session, &format!("{select} LIMIT {}", most + 1), Size::of(self.rows))?;
        let mut found = 0;
        session.each(&plan, &mut |values, nulls| {
            found += 1;
            look(&mut values.iter().zip(nulls).map(|(value, null)| (!null).then_some(*value)));
        });
        Ok(found <= most)
    }

    /// The values with this hash of a changed row of one side, in words.
    fn words_of_meeting(&self, pairs: &[Pair], wanted: u32, side: usize) -> Option<String> {
        let mut found = None;
        for (number, pair) in (0u32..).zip(pairs).filter(|(_, pair)| self.changed.contains(&pair.sides[side])) {
            let look = &mut |hash, row: &[Typed]| {
                if found.is_none() && hash == wanted {
                    // SAFETY: the values are of these types.
                    found = Some(unsafe { values::of_row(row.iter().map(|(typid, value)| (*typid, Some(*value)))) });
                }
            };
            self.each_value(number, pair, side, usize::MAX, look).ok()?;
        }
        found
    }
}

/// Equal values have the same hash: the columns of both sides have the same hash operator family.
fn hash_of_meeting(number: u32, row: &[Typed]) -> u32 {
    row.iter().fold(number, |hash, (typid, value)| {
        // The equalities are of deterministic collations, for which equal texts are the same bytes.
        let collation = match lsyscache::get_typcollation(*typid) {
            pg_sys::InvalidOid => pg_sys::InvalidOid,
            _ => pg_sys::C_COLLATION_OID,
        };
        // SAFETY: the value is of the type.
        hash.rotate_left(7) ^ unsafe { values::hash_value(*typid, collation, *value) }
    })
}
