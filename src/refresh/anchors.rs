//! The anchors of a delta: keys of rows that changes can affect, found first, so that what is computed from them is
//! planned for their real number; and the locks by which writers see each other's.
//!
//! Invariant: a writer has locked the values by which its changes can affect rows before it takes the snapshot that those
//! rows are computed with. Called by the flush after the relations are locked, see analyze/anchor.rs and outer.rs.

use super::keyed::hash_value;
use super::tview::Size;
use super::{locks, Job};
use crate::analyze::delta::Anchors;
use crate::capture::srf::{self, DirtyOffer};
use crate::capture::trigger::ImageBuilder;
use crate::pg::error::{Error, Result};
use crate::pg::relation::Relation;
use crate::pg::spi::{Rows, Session};
use crate::queue::changes::ChangeSet;
use pgrx::pg_sys;
use std::collections::{BTreeMap, BTreeSet};

/// What was found; it is offered to the SQL of the flush while this lives.
#[derive(Default)]
pub(super) struct Found {
    pub rows: usize,
    hashes: BTreeSet<u32>,
    _offers: Vec<DirtyOffer>,
}

impl Job<'_> {
    /// Finds all anchors.
    pub(super) fn find_anchors(&self, anchors: &[Anchors], size: Size) -> Result<Found> {
        let mut found = Found::default();
        let mut sets: BTreeMap<u32, ChangeSet> = BTreeMap::new();
        for wanted in anchors {
            let _snapshot = self.snapshot();
            let session = Session::open();
            let plan = self.choose(&session, &wanted.select, size)?.plan;
            let rows = session.query(&plan);
            found.rows += rows.len();
            if wanted.lock {
                found.hashes.extend(hashes(&rows, wanted.relid));
            }
            add(&rows, wanted, sets.entry(wanted.relid).or_default())?;
        }
        found._offers = sets.into_iter().map(|(relid, set)| srf::offer_dirty(pg_sys::Oid::from(relid), set)).collect();
        Ok(found)
    }

    /// Locks anchors, and the rows of some SELECTs.
    pub(super) fn lock_values(&self, found: &Found, selects: &[String], size: Size) -> Result<()> {
        if found.hashes.is_empty() && selects.is_empty() {
            return Ok(());
        }
        let mut all = found.hashes.clone();
        for (number, text) in selects.iter().enumerate() {
            let _snapshot = self.snapshot();
            let session = Session::open();
            let plan = self.tview.plan(&session, text, size)?;
            all.extend(hashes(&session.query(&plan), number as u32));
        }
        if !all.is_empty() {
            locks::values(self.tview, &all);
        }
        Ok(())
    }
}

/// Rows of the relation's type that have the keys.
fn add(rows: &Rows, wanted: &Anchors, set: &mut ChangeSet) -> Result<()> {
    let Some(rel) = Relation::open(pg_sys::Oid::from(wanted.relid), pg_sys::AccessShareLock) else {
        return Err(Error::Internal(format!("relation {} does not exist", wanted.relid)));
    };
    // SAFETY: values are of the types of the key columns.
    unsafe {
        let mut image = ImageBuilder::new(rel.tupdesc());
        for row in 0..rows.len() {
            for (i, column) in wanted.columns.iter().enumerate() {
                image.set(*column as usize - 1, rows.get(row, i));
            }
            image.add_to(set, 1);
        }
    }
    Ok(())
}

/// Hashes of rows.
fn hashes(rows: &Rows, seed: u32) -> Vec<u32> {
    let of_row = |row: usize| {
        (0..rows.columns()).fold(seed, |hash, column| {
            let (typid, collation) = rows.type_of(column);
            // SAFETY: the value is of the column's type.
            let own = rows.get(row, column).map_or(0, |v| unsafe { hash_value(typid, collation, v) });
            hash.rotate_left(1) ^ own
        })
    };
    (0..rows.len()).map(of_row).collect()
}
