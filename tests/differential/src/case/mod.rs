//! One case: a schema, views over it, transactions.
//! Invariant: plain data, so that it can be replayed and made smaller. Built by `draft`; run by `run`, cut by `shrink`.

mod conditions;
mod draft;
mod mode;
mod step;
mod transaction;
mod view;
mod ways;

pub use conditions::Conditions;
pub use draft::build;
pub use mode::Mode;
pub use step::{Act, Step};
pub use transaction::{End, Transaction};
pub use view::{MANUAL, View};
pub use ways::for_sessions;

use crate::hazards::Hazard;
use crate::schema::Schema;
use std::collections::BTreeSet;

#[derive(Clone, Debug)]
pub struct Case {
    pub ddl: Vec<String>,
    pub rows: Vec<String>,
    /// triggers of the user's, created after the rows
    pub triggers: Vec<String>,
    pub schema: Schema,
    pub views: Vec<View>,
    pub transactions: Vec<Transaction>,
    pub conditions: Conditions,
    pub hazards: Vec<Hazard>,
    /// follow every row of the TVIEWs: which are written, and by which transaction
    pub watched: bool,
}

impl Case {
    /// Whether a refresh can change a view: a deferred one, or one that reads such.
    pub fn moves_by_refresh(&self, view: &View) -> bool {
        let mut sources = self.views.iter().filter(|v| view.facts.sources.contains(&v.name));
        view.is_deferred() || sources.any(|source| self.moves_by_refresh(source))
    }

    fn tviews(&self) -> impl Iterator<Item = &View> {
        self.views.iter().filter(|v| v.is_tview)
    }

    /// The hazards of its queries and writes, whether or not the statements will do something.
    fn planned(&self) -> BTreeSet<Hazard> {
        let views = self.tviews().flat_map(|v| &v.facts.hazards);
        let steps = self.transactions.iter().flat_map(|t| &t.steps).flat_map(|s| &s.hazards);
        let unusual = self.tviews().any(|v| !v.facts.unusual.is_empty()).then_some(&Hazard::ScalarTwoRows);
        self.hazards.iter().chain(views).chain(steps).chain(unusual).copied().collect()
    }
}
