//! A view of a case: its query, and its statements.
//! Invariant: its name is the same in every mode of a run. Built by `draft`; used by `run` and `oracle`.

use super::Mode;
use crate::query::{Facts, Query};

/// The option of a TVIEW that is only refreshed.
pub const MANUAL: &str = "refresh = manual";

#[derive(Clone, Debug)]
pub struct View {
    pub name: String,
    /// otherwise a plain view, to be a source
    pub is_tview: bool,
    /// what stands in `WITH (…)`, or nothing
    pub options: Vec<&'static str>,
    pub query: Query,
    pub facts: Facts,
    /// created by a transaction of the case instead of before them
    pub late: bool,
}

impl View {
    pub fn create(&self, mode: Mode) -> String {
        let Query { sql, .. } = &self.query;
        match (self.is_tview && !mode.without_tviews, mode.baseline) {
            (false, _) => format!("CREATE VIEW {} AS {sql}", self.name),
            (true, true) => format!("CREATE MATERIALIZED VIEW {} AS {sql}", self.name),
            (true, false) if self.options.is_empty() => format!("CREATE TVIEW {} AS {sql}", self.name),
            (true, false) => format!("CREATE TVIEW {} WITH ({}) AS {sql}", self.name, self.options.join(", ")),
        }
    }

    /// Whether it follows changes when it is refreshed.
    pub fn is_deferred(&self) -> bool {
        self.options.contains(&MANUAL)
    }

    pub fn drop(&self, mode: Mode) -> String {
        let what = match (self.is_tview && !mode.without_tviews, mode.baseline) {
            (false, _) => "VIEW",
            (true, true) => "MATERIALIZED VIEW",
            (true, false) => "TVIEW",
        };
        format!("DROP {what} {}", self.name)
    }
}
