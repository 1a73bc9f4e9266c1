//! The ways in which one flush of a TVIEW can follow its changes, and which one is taken.
//!
//! Invariant: relations are locked before the flush reads any rows; values before the snapshot that rows are computed with. A flush that
//! recomputes everything because that is cheaper holds all keys: writers that add to the TVIEW come before or after it.
//! Called by the flush for each TVIEW.

use crate::analyze::rules::delta::Weighted;
use crate::analyze::rules::forms::Forms;
use crate::pg::error::Result;
use crate::pg::relation::Relation;
use crate::pg::spi::Session;
use crate::pg::{guc, pinned};
use crate::refresh::follow::anchors::Found;
use crate::refresh::follow::job::Job;
use crate::refresh::follow::{locks, provisional};
use crate::refresh::plan::bag::BagSql;
use crate::refresh::plan::first_rows::FirstRowsSql;
use crate::refresh::plan::fold::FoldSql;
use crate::refresh::plan::interval::IntervalPlan;
use crate::refresh::plan::keyed::KeyedSql;
use crate::refresh::plan::loops::Loops;
use crate::refresh::plan::tview::Tview;
use pgrx::FromDatum;
use std::collections::BTreeSet;
use std::rc::Rc;
use tviews_core::choice::Size;
use tviews_core::whole::Whole;

/// The strategies that these changes can follow; without any, everything is recomputed.
#[derive(Default)]
pub struct Ways {
    fold: Option<Rc<FoldSql>>,
    bag: Option<Rc<BagSql>>,
    keyed: Option<Rc<KeyedSql>>,
    first_rows: Option<Rc<FirstRowsSql>>,
    /// Of windows over all rows.
    interval: Option<Rc<IntervalPlan>>,
}

impl Ways {
    pub fn of(tview: &Tview, rel: &Relation, changed: &BTreeSet<u32>) -> Result<Ways> {
        Ok(Ways {
            fold: if tview.is_fold(changed) { tview.fold_sql(rel, changed)? } else { None },
            bag: if tview.is_delta(changed) { tview.bag_sql(rel, changed)? } else { None },
            keyed: if tview.is_keyed(changed) { tview.sql(rel, changed)? } else { None },
            first_rows: tview.first_rows(rel, changed)?,
            interval: if tview.region { None } else { tview.interval(rel, changed)? },
        })
    }

    /// The SQL of the weighted rows.
    pub fn forms(&self, size: Size) -> Vec<&Forms> {
        match (&self.fold, &self.bag) {
            (Some(sql), _) => sql.forms(size),
            (_, Some(sql)) => sql.forms(),
            _ => Vec::new(),
        }
    }

    /// Whether there is no way but recomputing, when nothing is added.
    pub fn are_only_whole(&self) -> bool {
        self.keyed.is_none() && self.first_rows.is_none() && self.interval.is_none()
    }

    /// The weighted rows that are added to the TVIEW. A flush that recomputes instead has to find and to lock the same anchors and values.
    pub fn delta(&self) -> Option<&Weighted> {
        self.fold.as_ref().map(|f| &f.delta).or(self.bag.as_ref().map(|b| &b.delta))
    }

    /// Conditions that must be true to follow any of these strategies, see analyze/rules/value_range.rs.
    fn gates(&self) -> BTreeSet<&String> {
        let added = self.delta().map_or(&[][..], |d| &d.gates);
        let keyed = self.keyed.as_ref().map_or(&[][..], |k| &k.gates);
        added.iter().chain(keyed).collect()
    }
}

impl Job<'_> {
    /// Whether this flush runs loops, where there are any: few change rows, whose sum is all there is to follow.
    pub fn may_loop(&self, size: Size) -> bool {
        let once = self.changed.len() > 1 || !self.pairs();
        size.is_few() && !self.apart && once && guc::NESTED_LOOPS.get()
    }

    /// Follows few rows without SQL; false when they lead to too many rows for that: nothing is done then but locking.
    pub fn follow_by_loops(&mut self, loops: &Loops) -> Result<bool> {
        self.lock_for_commit(self.tview.is_keyed(self.changed));
        self.lock_relations()?;
        match loops {
            Loops::Fold(loops) => {
                locks::unknown_values(self.tview, self.changed, Some(false));
                self.fold_by_loops(loops)
            }
            _ if !self.keep && provisional::any(self.tview.oid) => Ok(false),
            Loops::Together(loops) => {
                locks::unknown_values(self.tview, self.changed, None);
                self.together_by_loops(loops)
            }
            Loops::Keyed(loops) => {
                locks::unknown_values(self.tview, self.changed, None);
                self.keyed_by_loops(loops)
            }
        }
    }

    /// Before a flush in the middle of a transaction, under its own snapshot or inside of a statement that writes: where everything is recomputed at
    /// commit, the locks for that, so that no lock that is held has to become a stronger one then.
    fn lock_for_commit(&self, is_keyed: bool) {
        if self.keep && !is_keyed || self.provisional {
            locks::for_full(self.tview, self.changed);
        }
    }

    /// When some changes have been followed before, only strategies that recompute may be followed.
    pub fn follow(&mut self, ways: &Ways, size: Size) -> Result<()> {
        let adds = ways.delta().is_some_and(|d| self.reads_before() || d.before.is_none()) && !self.again;
        if size.is_few() {
            pinned::small();
        }
        if let Some(sql) = ways.first_rows.as_ref().filter(|_| !(self.again || self.keep || self.provisional)) {
            return self.first_rows(sql, size);
        }
        if let Some(plan) = ways.interval.as_ref().filter(|_| self.knows_before()) {
            locks::for_full(self.tview, self.changed);
            return if self.in_intervals(plan, size)? { Ok(()) } else { self.full(Whole::Many(self.rows)) };
        }
        // The ways to rows of a recursive query go through the rows that are stored.
        let knows_ways = !self.tview.is_recursive() || self.knows_before();
        let why = match !adds && (ways.keyed.is_none() || !knows_ways) {
            true => Some(if self.again { Whole::Again } else { Whole::Together }),
            false => (!self.are_open(&ways.gates(), size)?).then_some(Whole::NullValue),
        };
        if let Some(why) = why {
            locks::for_full(self.tview, self.changed);
            return self.full(why);
        }
        self.lock_for_commit(ways.keyed.is_some());
        self.lock_relations()?;
        locks::unknown_values(self.tview, self.changed, ways.delta().map(|d| d.alone));
        let (anchors, values) = ways.delta().map_or((&[][..], &[][..]), |d| (&d.anchors, &d.locks));
        let finding: Vec<&Forms> = anchors.iter().map(|a| &a.select).collect();
        if adds && self.prefers_whole(&finding, size)? {
            return self.instead(Whole::Cheaper);
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
        if self.prefers_whole(&ways.forms(size), size)? {
            return self.instead(Whole::Cheaper);
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
    pub fn instead(&mut self, why: Whole) -> Result<()> {
        locks::everything(self.tview);
        self.full(why)
    }
}
