//! Which views are there: steps that name a view that was refused or dropped are left out or changed.
//! Invariant: a view that is not there is never read. Called by `step` and `read`.

use super::Run;

impl Run<'_> {
    pub(super) fn names_dead_view(&self, sql: &str) -> bool {
        self.case.views.iter().zip(&self.live).any(|(v, live)| !*live && sql.contains(&v.name))
    }

    /// Reads a view in PL/pgSQL. Without TVIEWs all of them are computed, as a flush does.
    pub(super) fn perform(&self, view: &str) -> String {
        if !self.mode.without_tviews {
            return format!("PERFORM count(*) FROM {view}");
        }
        let live = self.case.views.iter().zip(&self.live).filter(|(_, live)| **live);
        let compute = |name: &str| format!("PERFORM md5(string_agg(v::text, '')) FROM fuzz.{name} AS v");
        live.map(|(v, _)| compute(&v.name)).collect::<Vec<_>>().join("; ")
    }

    /// DO blocks read a view only while it is there.
    pub(super) fn without_dead_views(&self, sql: &str) -> String {
        if !sql.starts_with("DO ") {
            return sql.to_string();
        }
        let dead = |line: &str| line.trim_start().starts_with("PERFORM count(*) FROM") && self.names_dead_view(line);
        let line = |l: &str| match l.trim().strip_prefix("PERFORM count(*) FROM ").and_then(|l| l.strip_suffix(';')) {
            Some(view) => format!("        {};", self.perform(view)),
            None => l.to_string(),
        };
        sql.lines().filter(|l| !dead(l)).map(line).collect::<Vec<_>>().join("\n")
    }
}
