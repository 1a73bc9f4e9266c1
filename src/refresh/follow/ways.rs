//! The ways in which one flush of a TVIEW can follow its changes, and which one is taken.
//!
//! Invariant: relations are locked before the flush reads any rows; values before the snapshot that rows are computed with. A flush that
//! recomputes everything because that is cheaper holds all keys: writers that add to the TVIEW come before or after it.
//! Called by the flush for each TVIEW.

use crate::analyze::rules::delta::Weighted;
use crate::analyze::rules::forms::Forms;
use crate::pg::error::Result;
use crate::pg::pinned;
use crate::pg::relation::Relation;
use crate::pg::spi::Session;
use crate::refresh::follow::anchors::Found;
use crate::refresh::follow::job::Job;
use crate::refresh::follow::locks;
use crate::refresh::plan::bag::BagSql;
use crate::refresh::plan::fold::FoldSql;
use crate::refresh::plan::keyed::KeyedSql;
use crate::refresh::plan::tview::Tview;
use pgrx::FromDatum;
use std::collections::BTreeSet;
use std::rc::Rc;
use tviews_core::choice::Size;

/// The strategies that these changes can follow; without any, everything is recomputed.
#[derive(Default)]
pub struct Ways {
    fold: Option<Rc<FoldSql>>,
    bag: Option<Rc<BagSql>>,
    keyed: Option<Rc<KeyedSql>>,
}

impl Ways {
    pub fn of(tview: &Tview, rel: &Relation, changed: &BTreeSet<u32>) -> Result<Ways> {
        Ok(Ways {
            fold: if tview.is_fold(changed) { tview.fold_sql(rel, changed)? } else { None },
            bag: if tview.is_delta(changed) { tview.bag_sql(rel, changed)? } else { None },
            keyed: if tview.is_keyed(changed) { tview.sql(rel, changed)? } else { None },
        })
    }

    /// The weighted rows that are added to the TVIEW. A flush that recomputes instead has to find and to lock the same anchors and values.
    fn delta(&self) -> Option<&Weighted> {
        self.fold.as_ref().map(|f| &f.delta).or(self.bag.as_ref().map(|b| &b.delta))
    }

    /// Whether few rows are followed by nested loops.
    fn have_loops(&self, adds: bool) -> bool {
        match (&self.fold, &self.keyed) {
            (Some(fold), _) if adds => fold.loops.is_some(),
            (_, Some(keyed)) if !adds => keyed.loops.is_some(),
            _ => false,
        }
    }

    /// Conditions that must be true to follow any of these strategies, see analyze/rules/value_range.rs.
    fn gates(&self) -> BTreeSet<&String> {
        let added = self.delta().map_or(&[][..], |d| &d.gates);
        let keyed = self.keyed.as_ref().map_or(&[][..], |k| &k.gates);
        added.iter().chain(keyed).collect()
    }
}

impl Job<'_> {
    /// When some changes have been followed before, only strategies that recompute may be followed.
    pub fn follow(&mut self, ways: &Ways, size: Size) -> Result<()> {
        let adds = ways.delta().is_some() && !self.again;
        let looped = self.may_loop(size) && ways.have_loops(adds);
        if size.is_few() && !looped {
            pinned::small();
        }
        if !adds && ways.keyed.is_none() || !self.are_open(&ways.gates(), size)? {
            locks::for_full(self.tview, self.changed);
            return self.full();
        }
        self.lock_relations()?;
        locks::unknown_values(self.tview, self.changed, ways.delta().map(|d| d.alone));
        let (anchors, values) = ways.delta().map_or((&[][..], &[][..]), |d| (&d.anchors, &d.locks));
        let finding: Vec<&Forms> = anchors.iter().map(|a| &a.select).collect();
        if adds && self.prefers_whole(&finding, size)? {
            return self.instead();
        }
        let found = match anchors {
            [] => Some(Found::default()),
            _ => self.lead(|job| job.find_anchors(anchors, size))?,
        };
        let Some(found) = found else { return self.without_lead() };
        if !adds {
            if self.lead(|job| job.lock_values(&found, values, size))?.is_none() {
                return self.without_lead();
            }
            return match &ways.keyed {
                Some(sql) => self.keyed(sql, size),
                None => Ok(()),
            };
        }
        self.rows = self.rows.max(found.rows);
        let size = size.max(Size::of(found.rows));
        let forms = match (&ways.fold, &ways.bag) {
            (Some(sql), _) => sql.forms(size),
            (_, Some(sql)) => sql.forms(),
            _ => Vec::new(),
        };
        if !looped && self.prefers_whole(&forms, size)? {
            return self.instead();
        }
        let blind = !anchors.is_empty() || !values.is_empty();
        if blind && self.lead(|job| job.lock_values(&found, values, size))?.is_none() {
            return self.without_lead();
        }
        match (&ways.fold, &ways.bag) {
            (Some(sql), _) => self.fold(sql, ways.keyed.as_deref(), size),
            (_, Some(sql)) => self.bag(sql, size),
            _ => Ok(()),
        }
    }

    /// Whether all gates are open.
    fn are_open(&self, gates: &BTreeSet<&String>, size: Size) -> Result<bool> {
        for gate in gates {
            let _snapshot = self.snapshot();
            let session = Session::open();
            let plan = self.tview.plan(&session, gate, size)?;
            let rows = session.query(&plan);
            // SAFETY: column 0 is a boolean.
            if unsafe { rows.get(0, 0).and_then(|d| bool::from_datum(d, false)) } != Some(true) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Recomputes everything, with the relations locked as for adding.
    pub fn instead(&mut self) -> Result<()> {
        locks::everything(self.tview);
        self.full()
    }
}
