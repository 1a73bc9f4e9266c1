//! The anchors of a delta: keys of rows that changes can affect. They are found first, so that the SQL that reads them is
//! planned for their real number, and locked, so that writers with a common anchor follow one another.
//!
//! Invariant: a writer has locked the values by which its changes can affect rows before it takes the snapshot that those
//! rows are computed with. Called by the flush after the relations are locked, see analyze/rules/anchor.rs and outer.rs.

use crate::analyze::rules::delta::{Anchors, Values};
use crate::capture::srf::{self, DirtyOffer};
use crate::capture::trigger::ImageBuilder;
use crate::pg::error::{Error, Result};
use crate::pg::relation::Relation;
use crate::pg::spi::Session;
use crate::pg::values::hash_value;
use crate::queue::changes::ChangeSet;
use crate::refresh::follow::job::Job;
use crate::refresh::follow::locks;
use pgrx::pg_sys;
use std::collections::{BTreeMap, BTreeSet};
use tviews_core::choice::Size;

/// The anchors found; they are offered to the SQL of the flush while this lives.
#[derive(Default)]
pub struct Found {
    pub rows: usize,
    hashes: BTreeSet<u32>,
    _offers: Vec<DirtyOffer>,
}

impl Job<'_> {
    /// Finds all anchors.
    pub fn find_anchors(&self, anchors: &[Anchors], size: Size) -> Result<Found> {
        let mut found = Found::default();
        let mut sets: BTreeMap<u32, ChangeSet> = BTreeMap::new();
        for wanted in anchors {
            let _snapshot = self.snapshot();
            let session = Session::open();
            let plan = self.choose(&session, &wanted.select, size)?.plan;
            let types = plan.types();
            let set = sets.entry(wanted.relid).or_default();
            let Some(rel) = Relation::open(pg_sys::Oid::from(wanted.relid), pg_sys::AccessShareLock) else {
                return Err(Error::Internal(format!("relation {} does not exist", wanted.relid)));
            };
            // SAFETY: values are of the types of the key columns.
            unsafe {
                let mut image = ImageBuilder::new(rel.tupdesc());
                session.each(&plan, &mut |values, nulls| {
                    found.rows += 1;
                    locks::note(&mut found.hashes, hash_of_anchor(&types, values, nulls, wanted.relid));
                    for (i, column) in wanted.columns.iter().enumerate() {
                        image.set(*column as usize - 1, (!nulls[i]).then_some(values[i]));
                    }
                    image.add_to(set, 1);
                });
            }
        }
        found._offers = sets.into_iter().map(|(relid, set)| srf::offer_dirty(pg_sys::Oid::from(relid), set)).collect();
        Ok(found)
    }

    /// Locks anchors, and the values by which changes find their partners.
    pub fn lock_values(&self, found: &Found, partners: &[Values], size: Size) -> Result<()> {
        if found.hashes.is_empty() && partners.is_empty() {
            return Ok(());
        }
        let mut all = found.hashes.clone();
        for Values { place, select } in partners {
            let _snapshot = self.snapshot();
            let session = Session::open();
            let plan = self.tview.plan(&session, select, size)?;
            let types = plan.types();
            session
                .each(&plan, &mut |values, nulls| locks::note(&mut all, hash_of_anchor(&types, values, nulls, *place)));
        }
        if !all.is_empty() {
            locks::values(self.tview, &all);
        }
        Ok(())
    }
}

/// The hash of a row.
fn hash_of_anchor(types: &[(pg_sys::Oid, pg_sys::Oid)], values: &[pg_sys::Datum], nulls: &[bool], seed: u32) -> u32 {
    types.iter().enumerate().fold(seed, |hash, (i, (typid, collation))| {
        // SAFETY: the value is of the column's type.
        let own = if nulls[i] { 0 } else { unsafe { hash_value(*typid, *collation, values[i]) } };
        hash.rotate_left(1) ^ own
    })
}
