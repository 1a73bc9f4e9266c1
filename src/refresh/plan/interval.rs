//! SQL for changes that concern windows in an interval of their order.

use crate::analyze::describe::interval::{self, Intervals};
use crate::analyze::query::load;
use crate::analyze::rules;
use crate::analyze::rules::interval::Stored;
use crate::pg::error::Result;
use crate::pg::memory;
use crate::pg::relation::Relation;
use crate::refresh::plan::tview::{Tview, maintained, stored_key};
use std::collections::BTreeSet;
use std::rc::Rc;
use tviews_core::strategy::Strategy;

/// How the rows are found and computed that a change concerns.
pub struct IntervalPlan {
    pub of: Intervals,
    /// See analyze/rules/interval.rs.
    pub changed: String,
    pub stored: String,
    pub computed: String,
}

impl Tview {
    /// What is needed to follow changes of these relations in intervals; None when they are followed otherwise.
    pub fn interval(&self, rel: &Relation, changed: &BTreeSet<u32>) -> Result<Option<Rc<IntervalPlan>>> {
        let strategy = if self.region { Strategy::Keyed } else { Strategy::Range };
        if changed.iter().any(|r| self.decisions[r].strategy != strategy) {
            return Ok(None);
        }
        if let Some(known) = &*self.interval_plan.borrow() {
            return Ok(known.clone());
        }
        let made = memory::aside(|| self.make_interval(rel))?.map(Rc::new);
        *self.interval_plan.borrow_mut() = Some(made.clone());
        Ok(made)
    }

    fn make_interval(&self, rel: &Relation) -> Result<Option<IntervalPlan>> {
        let query = load::expand(maintained(rel)?)?;
        let Some(of) = interval::of(query, &stored_key).filter(|of| self.is_by_key(of)) else { return Ok(None) };
        let stored = Stored { name: &self.name, columns: &self.columns };
        let sql = rules::interval::sql(query, &of, &stored)?.ok();
        Ok(sql.map(|sql| IntervalPlan { of, changed: sql.changed, stored: sql.stored, computed: sql.computed }))
    }

    /// Whether the partitions are those that writers lock.
    fn is_by_key(&self, of: &Intervals) -> bool {
        let key: BTreeSet<usize> = self.key.iter().flatten().map(|k| k.at).collect();
        of.by.iter().copied().collect::<BTreeSet<usize>>() == key
    }
}
