//! Which plan a flush follows, by the planner's estimates.
//!
//! tviews_core::choice compares the plans: the form of the SQL for few rows, the form for many rows, and recomputing everything.
//! tviews.changed() and its like tell the planner how many rows they have (capture/srf.rs), so there are plans of their
//! own for each order of magnitude.
//! Invariant: only the cost of a flush depends on the choice. Called by the strategies, before they take locks.

use crate::analyze::rules::forms::Forms;
use crate::capture::srf;
use crate::pg::error::{Error, Result};
use crate::pg::guc;
use crate::pg::pinned::Paths;
use crate::pg::spi::{Plan, Session};
use crate::queue::changes::ChangeSet;
use crate::refresh::follow::job::Job;
use crate::refresh::follow::ways::Ways;
use pgrx::pg_sys;
use std::rc::Rc;
use tviews_core::choice::{Cost, Size, changes, cheapest, is_cheap, prefers_whole, whole};
use tviews_core::whole::Whole;

pub struct Choice {
    pub plan: Rc<Plan>,
    /// None: too cheap to compare.
    pub cost: Option<f64>,
}

impl Job<'_> {
    /// The cheapest form of some SQL.
    pub fn choose(&self, session: &Session, forms: &Forms, size: Size) -> Result<Choice> {
        let looked_up = self.look_ups(session, forms, size)?;
        if let Some((plan, cost)) = &looked_up
            && cost.is_cheap()
        {
            return Ok(Choice { plan: Rc::clone(plan), cost: None });
        }
        let mut ways = Vec::from_iter(looked_up.map(|(plan, cost)| (plan, cost.of_look_ups())));
        let _planning = Paths::any();
        let size = Size::many(self.rows);
        let forms = if forms.is_plain() { vec![&forms.by_key] } else { vec![&forms.by_key, &forms.at_once] };
        for text in forms {
            let plan = self.tview.plan(session, text, size)?;
            let cost = estimate(&plan).sum();
            ways.push((plan, cost));
        }
        let (plan, cost) = cheapest(ways).ok_or_else(|| Error::Internal("no plan".into()))?;
        Ok(Choice { plan, cost: Some(cost) })
    }

    /// The plan that looks up by index the rows that each of a few rows is joined to, and its estimated cost; None for many rows,
    /// and where no index helps.
    fn look_ups(&self, session: &Session, forms: &Forms, size: Size) -> Result<Option<(Rc<Plan>, Cost)>> {
        let Some(size) = size.of_look_ups(self.rows) else { return Ok(None) };
        let _planning = Paths::by_index();
        let plan = self.tview.plan(session, &forms.by_key, size)?;
        let cost = plan.cost().filter(|c| !c.forced);
        Ok(cost.map(|cost| (plan, cost.estimate)))
    }

    /// Whether recomputing everything is cheaper than running these forms together.
    pub fn prefers_whole(&self, forms: &[&Forms], size: Size) -> Result<bool> {
        if forms.is_empty() || guc::never_whole() {
            return Ok(false);
        }
        let _snapshot = self.snapshot();
        let session = Session::open();
        let mut cost = changes(self.rows);
        for text in forms {
            cost += self.choose(&session, text, size)?.cost.unwrap_or(0.0);
        }
        prefers_whole(cost, || self.whole_cost(&session))
    }

    /// The same, from outside of a flush.
    pub fn cost_of_whole(&self) -> Result<f64> {
        let _snapshot = self.snapshot();
        self.whole_cost(&Session::open())
    }

    /// Why everything is going to be recomputed, as far as that can be told before any change row is read. `whole`: the cost of recomputing.
    pub fn foresees_whole(&self, ways: &Ways, size: Size, whole: f64) -> Result<Option<Whole>> {
        let Some(delta) = ways.delta().filter(|d| self.reads_before() || d.before.is_none()) else {
            return Ok(ways.are_only_whole().then_some(Whole::Together));
        };
        let _snapshot = self.snapshot();
        let session = Session::open();
        let mut cost = changes(self.rows);
        let mut anchors = Vec::new();
        for wanted in &delta.anchors {
            let found = self.choose(&session, &wanted.select, size)?;
            cost += found.cost.unwrap_or(0.0);
            let rows = ChangeSet::imagined(estimate(&found.plan).rows());
            anchors.push(srf::offer_dirty(pg_sys::Oid::from(wanted.relid), rows));
        }
        for text in ways.forms(size) {
            cost += self.choose(&session, text, size)?.cost.unwrap_or(0.0);
        }
        Ok((!is_cheap(cost) && cost > whole).then_some(Whole::Cheaper))
    }

    /// The cost of running the query and reading all stored rows.
    fn whole_cost(&self, session: &Session) -> Result<f64> {
        let _planning = Paths::any();
        let plan = self.tview.plan(session, &self.tview.query, Size::WHOLE)?;
        Ok(whole(estimate(&plan), self.rel.class().relpages, self.rel.class().reltuples))
    }
}

fn estimate(plan: &Plan) -> Cost {
    plan.cost().map_or(Cost::UNKNOWN, |c| c.estimate)
}
