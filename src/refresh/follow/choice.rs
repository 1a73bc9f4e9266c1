//! Which plan a flush follows, by the planner's estimates.
//!
//! A few changed rows take index paths, whatever the statistics of the moment say, and nothing is compared while that is
//! cheap. Otherwise the form of the SQL for few rows, the one for many, and recomputing everything are compared.
//! tviews.changed() and its like tell the planner how many rows they have (capture/srf.rs), so there are plans of their
//! own for each order of magnitude.
//! Invariant: only the cost of a flush depends on what is chosen. Called by the strategies, before they take locks.

use crate::analyze::rules::texts::Texts;
use crate::pg::error::{Error, Result};
use crate::pg::guc;
use crate::pg::pinned::Paths;
use crate::pg::spi::{Cost, Plan, Session};
use crate::refresh::follow::job::Job;
use crate::refresh::plan::size::Size;
use std::rc::Rc;

/// Up to this cost, in the planner's units, nothing is compared: some hundred look-ups by index.
const CHEAP: f64 = 1000.0;

/// Up to so many rows, what they are joined to may be looked up for each of them although the planner knows better.
const LOOK_UPS: usize = 1000;

/// By how much the planner overrates looking up a few rows by index: it assumes that most of their pages have to be read
/// (random_page_cost), but those beside rows that were just written, and the upper ones of indexes, are in memory.
/// Measured with TPC-H, everything in memory: 2 to 30 times, compared with reading a table.
const CACHED: f64 = 8.0;

pub struct Choice {
    pub plan: Rc<Plan>,
    /// None: cheap.
    pub cost: Option<f64>,
}

impl Job<'_> {
    /// The cheapest form of some SQL.
    pub fn choose(&self, session: &Session, texts: &Texts, size: Size) -> Result<Choice> {
        let looked_up = self.look_ups(session, texts, size)?;
        if let Some((plan, cost)) = &looked_up
            && cost.total + cost.handling < CHEAP
        {
            return Ok(Choice { plan: Rc::clone(plan), cost: None });
        }
        let mut ways = Vec::from_iter(looked_up.map(|(plan, cost)| (plan, cost.total / CACHED + cost.handling)));
        let _planning = Paths::any();
        let size = Size::many(self.rows);
        let forms = if texts.is_plain() { vec![&texts.by_key] } else { vec![&texts.by_key, &texts.at_once] };
        for text in forms {
            let plan = self.tview.plan(session, text, size)?;
            let cost = plan.cost().map_or(f64::MAX, |c| c.total + c.handling);
            ways.push((plan, cost));
        }
        let cheapest = ways.into_iter().min_by(|(_, a), (_, b)| a.total_cmp(b));
        let (plan, cost) = cheapest.ok_or_else(|| Error::Internal("no plan".into()))?;
        Ok(Choice { plan, cost: Some(cost) })
    }

    /// Looking up by index what each of a few rows is joined to, and what the planner says that costs; None for many rows,
    /// and where no index leads.
    fn look_ups(&self, session: &Session, texts: &Texts, size: Size) -> Result<Option<(Rc<Plan>, Cost)>> {
        if self.rows > LOOK_UPS && !size.is_few() {
            return Ok(None);
        }
        let _planning = Paths::by_index();
        let size = if size.is_few() { size } else { Size::many(self.rows).by_index() };
        let plan = self.tview.plan(session, &texts.by_key, size)?;
        let cost = plan.cost().filter(|c| !c.forced);
        Ok(cost.map(|cost| (plan, cost)))
    }

    /// Whether recomputing everything is cheaper than what these texts compute together.
    pub fn prefers_whole(&self, texts: &[&Texts], size: Size) -> Result<bool> {
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
        let _planning = Paths::any();
        let plan = self.tview.plan(session, &self.tview.query, Size::WHOLE)?;
        let stored =
            f64::from(self.rel.class().relpages.max(0)) + 0.01 * f64::from(self.rel.class().reltuples.max(0.0));
        Ok(plan.cost().map_or(f64::MAX, |c| c.total + c.handling) + stored)
    }
}
