//! Which plan a flush follows, by the planner's estimates.
//!
//! A few changed rows take index paths, whatever the statistics of the moment say, and nothing is compared while that is
//! cheap. Otherwise the form of the SQL for few rows, the one for many, and recomputing everything are compared.
//! tviews.changed() and its like tell the planner how many rows they have (capture/srf.rs), so there are plans of their
//! own for each order of magnitude.
//! Invariant: only the cost of a flush depends on what is chosen. Called by the strategies, before they take locks.

use super::tview::Size;
use super::Job;
use crate::analyze::texts::Texts;
use crate::pg::error::Result;
use crate::pg::guc;
use crate::pg::pinned::AnyPath;
use crate::pg::spi::{Plan, Session};
use std::rc::Rc;

/// Up to this cost, in the planner's units, nothing is compared: some hundred look-ups by index.
const CHEAP: f64 = 1000.0;

pub(super) struct Choice {
    pub plan: Rc<Plan>,
    /// None: cheap.
    pub cost: Option<f64>,
}

impl Job<'_> {
    /// The cheaper form of some SQL.
    pub(super) fn choose(&self, session: &Session, texts: &Texts, size: Size) -> Result<Choice> {
        if size.is_few() {
            let plan = self.tview.plan(session, &texts.by_key, size)?;
            if plan.cost().is_some_and(|c| !c.forced && c.total < CHEAP) {
                return Ok(Choice { plan, cost: None });
            }
        }
        // No index leads from the changed rows to what they are joined to, or they are joined to much.
        let _planning = AnyPath::new();
        let size = Size::many(self.rows);
        let total = |plan: &Plan| plan.cost().map_or(f64::MAX, |c| c.total + c.handling);
        let plan = self.tview.plan(session, &texts.by_key, size)?;
        let cost = total(&plan);
        if !texts.is_plain() {
            let at_once = self.tview.plan(session, &texts.at_once, size)?;
            let all = total(&at_once);
            if all < cost {
                return Ok(Choice { plan: at_once, cost: Some(all) });
            }
        }
        Ok(Choice { plan, cost: Some(cost) })
    }

    /// Whether recomputing everything is cheaper than what these texts compute together.
    pub(super) fn prefers_whole(&self, texts: &[&Texts], size: Size) -> Result<bool> {
        if texts.is_empty() || guc::never_whole() {
            return Ok(false);
        }
        let _snapshot = self.snapshot();
        let session = Session::open();
        let mut cost = 0.0;
        for text in texts {
            cost += self.choose(&session, text, size)?.cost.unwrap_or(0.0);
        }
        Ok(cost > CHEAP && cost > self.whole_cost(&session)?)
    }

    /// The query, and reading all rows that are stored.
    fn whole_cost(&self, session: &Session) -> Result<f64> {
        let _planning = AnyPath::new();
        let plan = self.tview.plan(session, &self.tview.query, Size::WHOLE)?;
        let stored =
            f64::from(self.rel.class().relpages.max(0)) + 0.01 * f64::from(self.rel.class().reltuples.max(0.0));
        Ok(plan.cost().map_or(f64::MAX, |c| c.total + c.handling) + stored)
    }
}
