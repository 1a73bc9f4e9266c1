//! Strategy delta: outputs without a key, as multisets. The weighted rows by which the output changes are added and taken
//! away one by one; a row to take away is found by a hash of its columns and compared byte by byte.
//!
//! Invariant: the stored rows are the query's rows, each as often; a row that must go is there. Two transactions that take
//! away equal rows follow one another, because the hash is locked.

use super::apply::Change;
use super::tview::{Size, Tview};
use super::{locks, Job};
use crate::analyze::delta::Weighted;
use crate::analyze::load;
use crate::analyze::texts::Texts;
use crate::capture::srf;
use crate::capture::trigger::ImageBuilder;
use crate::pg::error::{Error, Result};
use crate::pg::fault::{self, Fault};
use crate::pg::memory::Arena;
use crate::pg::name;
use crate::pg::relation::Relation;
use crate::pg::snapshot::Active;
use crate::pg::spi::{Rows, Session};
use crate::queue::changes::{ChangeSet, Image};
use pgrx::{pg_sys, FromDatum};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use tviews_core::zset::ZSet;

/// Texts for one set of changed relations.
pub struct BagSql {
    /// Targets are the output columns.
    pub delta: Weighted,
    /// ctid of stored rows with the hash of a row that goes.
    pub lookup: String,
}

impl Job<'_> {
    pub(super) fn bag(&mut self, sql: &BagSql, size: Size) -> Result<()> {
        let arena = Arena::current();
        let mut rows: ZSet<Image> = ZSet::default();
        if self.lead(|job| job.weigh(&mut rows, &arena, sql, size))?.is_none() {
            return self.without_lead();
        }
        self.done.dirty_keys += rows.len() as u64;
        let mut going: HashMap<Image, i64> = HashMap::new();
        let mut coming: Vec<Image> = Vec::new();
        for (image, weight) in rows.iter() {
            if weight < 0 {
                let weight = if fault::on(Fault::RemoveOneOfSeveral) { -1 } else { weight };
                going.insert(image.clone(), -weight);
            } else {
                coming.extend((0..weight).map(|_| image.clone()));
            }
        }
        drop(rows);
        let mut changes: Vec<Change<Image>> = Vec::new();
        if !going.is_empty() {
            locks::keys(self.tview, &going.keys().map(hash_of).collect());
        }
        let snapshot = self.snapshot();
        if !going.is_empty() {
            self.find(&mut going, &sql.lookup, size, &snapshot, &mut changes)?;
        }
        changes.extend(coming.into_iter().map(Change::Insert));
        let desc = self.rel.tupdesc();
        // SAFETY: images are minimal tuples of the relation's row type.
        let slot = unsafe { pg_sys::MakeSingleTupleTableSlot(desc, &pg_sys::TTSOpsMinimalTuple) };
        self.apply(changes, &snapshot, &mut |image, values, nulls| unsafe {
            pg_sys::ExecStoreMinimalTuple(image.as_ptr().cast_mut().cast(), slot, false);
            let (found, empty) = crate::pg::slot::all(slot);
            values.copy_from_slice(found);
            nulls.copy_from_slice(empty);
        })?;
        // SAFETY: ours.
        unsafe { pg_sys::ExecDropSingleTupleTableSlot(slot) };
        Ok(())
    }

    /// The rows by which the output changes.
    fn weigh(&mut self, rows: &mut ZSet<Image>, arena: &Arena, sql: &BagSql, size: Size) -> Result<()> {
        for (text, before) in [(&sql.delta.now, false), (&sql.delta.before, true)] {
            let Some(text) = text.as_ref().filter(|_| !(before && fault::on(Fault::SkipBefore))) else { continue };
            let _snapshot = if before { self.snapshot_before() } else { self.snapshot() };
            let session = Session::open();
            let plan = self.choose(&session, text, size)?.plan;
            let rel = self.rel;
            session.stream(&plan, 500, |batch| collect(rel, batch, arena, rows));
        }
        Ok(())
    }

    /// The places of the rows that go.
    fn find(
        &self,
        going: &mut HashMap<Image, i64>,
        sql: &str,
        size: Size,
        snapshot: &Active,
        changes: &mut Vec<Change<Image>>,
    ) -> Result<()> {
        let mut dirty = ChangeSet::default();
        for image in going.keys() {
            // SAFETY: an image is a minimal tuple.
            unsafe { dirty.add(image.as_ptr().cast_mut().cast(), 1) };
        }
        let offer = srf::offer_dirty(self.tview.oid, dirty);
        let session = Session::open();
        let plan = self.tview.plan(&session, sql, size)?;
        let found = session.query(&plan);
        drop(offer);
        let mut seen: HashSet<(u32, u16)> = HashSet::new();
        // SAFETY: column 0 is a tid of this relation, seen by the snapshot.
        unsafe {
            let mut reader = crate::tam::read::Reader::open(self.rel.raw());
            let mut image = ImageBuilder::new(self.rel.tupdesc());
            for row in 0..found.len() {
                let Some(tid) = found.get(row, 0) else { continue };
                let tid = *tid.cast_mut_ptr::<pg_sys::ItemPointerData>();
                let block = (u32::from(tid.ip_blkid.bi_hi) << 16) | u32::from(tid.ip_blkid.bi_lo);
                if !seen.insert((block, tid.ip_posid)) {
                    continue;
                }
                let Some((values, nulls)) = reader.fetch(tid, snapshot.raw()) else { continue };
                for i in 0..values.len() {
                    image.set(i, (!nulls[i]).then(|| plain(self.rel, i, values[i])));
                }
                if let Some(n) = going.get_mut(&image.image()).filter(|n| **n > 0) {
                    *n -= 1;
                    changes.push(Change::Delete(tid));
                }
            }
            reader.close();
        }
        if going.values().any(|n| *n > 0) {
            return Err(Error::Internal(format!(
                "a row of TVIEW {} that must go is not there; tviews.rebuild() brings it back",
                self.tview.title
            )));
        }
        Ok(())
    }
}

/// A value without TOAST.
unsafe fn plain(rel: &Relation, i: usize, value: pg_sys::Datum) -> pg_sys::Datum {
    if rel.attribute(i).attlen == -1 {
        pg_sys::pg_detoast_datum(value.cast_mut_ptr()).into()
    } else {
        value
    }
}

fn collect(rel: &Relation, batch: &Rows, arena: &Arena, rows: &mut ZSet<Image>) {
    let attributes: Vec<usize> = (0..rel.natts()).filter(|i| !rel.attribute(*i).attisdropped).collect();
    // SAFETY: column 0 is bigint, the others are of the attributes' types.
    arena.enter(|| unsafe {
        let mut image = ImageBuilder::new(rel.tupdesc());
        for row in 0..batch.len() {
            let weight = batch.get(row, 0).and_then(|d| i64::from_datum(d, false)).unwrap_or(0);
            for (i, att) in attributes.iter().enumerate() {
                image.set(*att, batch.get(row, i + 1).map(|d| plain(rel, *att, d)));
            }
            rows.add(image.image(), weight);
        }
    });
}

fn hash_of(image: &Image) -> u32 {
    let mut hasher = DefaultHasher::new();
    image.hash(&mut hasher);
    hasher.finish() as u32
}

/// The expression by which rows are found: a hash of the columns whose types can be hashed.
pub fn hash_expression(rel: &Relation, tview: &Tview, prefix: &str) -> String {
    let columns: Vec<String> = (0..tview.columns.len())
        .filter(|i| name::is_hashable(rel.attribute(*i).atttypid) && rel.attribute(*i).atttypid != pg_sys::RECORDOID)
        .map(|i| format!("{prefix}{}", tview.columns[i]))
        .collect();
    format!("pg_catalog.hash_record_extended(ROW({}), 0)", columns.join(", "))
}

impl BagSql {
    pub fn texts(&self) -> Vec<&Texts> {
        [&self.delta.now, &self.delta.before].into_iter().flatten().collect()
    }
}

impl Tview {
    /// The SQL of strategy delta, None when these relations together must be maintained otherwise.
    pub fn bag_sql(&self, rel: &Relation, changed: &BTreeSet<u32>) -> Result<Option<Rc<BagSql>>> {
        if let Some(known) = self.bag_sql.borrow().get(changed) {
            return Ok(known.clone());
        }
        let made = self.make_bag_sql(rel, changed)?.map(Rc::new);
        self.bag_sql.borrow_mut().insert(changed.clone(), made.clone());
        Ok(made)
    }

    fn make_bag_sql(&self, rel: &Relation, changed: &BTreeSet<u32>) -> Result<Option<BagSql>> {
        // SAFETY: a private copy of the stored query.
        let terms = unsafe {
            let query = load::expand(load::maintained(rel)?)?;
            match super::decide::bag_terms(query, changed, &super::decide::captured(self.oid))? {
                Ok(terms) => terms,
                Err(_) => return Ok(None),
            }
        };
        let lookup = format!(
            "SELECT s.ctid FROM tviews.dirty(NULL::{view}) d JOIN {view} s ON {} = {}",
            hash_expression(rel, self, "s."),
            hash_expression(rel, self, "d."),
            view = self.name,
        );
        Ok(Some(BagSql { delta: terms.into(), lookup }))
    }
}
