//! A view of a case: its query, and its statements.
//! Invariant: its name is the same in every mode of a run. Built by `draft`; used by `run` and `oracle`.

use super::Mode;
use crate::query::{Facts, Query};

#[derive(Clone, Debug)]
pub struct View {
    pub name: String,
    /// otherwise a plain view, to be a source
    pub is_tview: bool,
    /// ` WITH (…)`, or nothing
    pub options: String,
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
            (true, false) => format!("CREATE TVIEW {}{} AS {sql}", self.name, self.options),
        }
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
