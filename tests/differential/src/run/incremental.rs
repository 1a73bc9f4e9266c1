//! Whether a flush did what `tviews.explain` says.
//! Invariant of the extension: nothing is recomputed in full where a table is followed in another way.
//! Counted by `tviews.stat` around transactions that change a single table. Called around each transaction that is watched;
//! such cases forbid that everything is recomputed because that is cheaper.

use super::transaction::Ended;
use super::watch::is_one_flush;
use super::{Failure, Hat, Run};
use crate::case::{Act, Transaction, View};
use crate::hazards::Hazard;
use crate::properties::Property;
use crate::schema::Kind;
use crate::server::rows;
use anyhow::Result;
use std::collections::BTreeMap;

/// Flushes, full recomputations and rows written, by TVIEW.
pub(super) type Counted = BTreeMap<String, [u64; 3]>;

impl Run<'_> {
    pub(super) fn counters(&mut self, t: &Transaction) -> Result<Option<Counted>> {
        let wanted = self.case.watched || t.no_change;
        if self.mode.baseline || self.mode.without_tviews || !wanted || !self.readers.is_empty() || !is_one_flush(t) {
            return Ok(None);
        }
        self.wear(Hat::Admin)?;
        let sql =
            "SELECT flushes, full_recomputes, rows_inserted + rows_updated + rows_deleted, tview FROM tviews.stat";
        let mut all = Counted::new();
        for row in rows(&mut self.session.client, sql)? {
            let mut parts = row.splitn(4, ' ');
            let mut number = || parts.next().and_then(|n| n.parse().ok()).unwrap_or(0);
            let numbers = [number(), number(), number()];
            all.insert(parts.next().unwrap_or_default().to_string(), numbers);
        }
        Ok(Some(all))
    }

    pub(super) fn compare_counters(
        &mut self,
        t: &Transaction,
        ended: Ended,
        before: Option<Counted>,
    ) -> Result<Option<Failure>> {
        let (Some(before), Ended::Committed) = (before, ended) else {
            return Ok(None);
        };
        let after = self.counters(t)?.unwrap_or_default();
        let table = self.only_table(t);
        for (view, v) in self.case.views.iter().enumerate() {
            let (Some(old), Some(new)) = (before.get(&v.name), after.get(&v.name)) else {
                continue;
            };
            if !self.live[view] || self.case.moves_by_refresh(v) {
                continue;
            }
            // recomputed in full, another one of several equal values may stand for them
            if t.no_change && new[2] > old[2] && new[1] == old[1] {
                return Ok(self.fail("rows counted as written without a change", v.name.clone()));
            }
            if t.no_change && new[0] > old[0] && !self.tells_tables_apart() {
                return Ok(self.fail("flushed without a change", v.name.clone()));
            }
            let reads_tviews =
                v.facts.sources.iter().any(|s| self.case.views.iter().any(|o| o.is_tview && o.name == *s));
            let leaf = self.reads_leaf(v);
            let Some(table) = table.as_ref().filter(|_| !reads_tviews && !leaf && new[0] > old[0]) else {
                continue;
            };
            if self.strategy(view, table)?.is_none_or(|s| s == "full") {
                continue;
            }
            if new[1] > old[1] && self.case.watched && !self.has_gate(view)? {
                let detail = format!("{}: a change of {table} alone recomputed it in full", v.name);
                return Ok(self.fail("not incremental", detail));
            }
            if new[1] == old[1] {
                self.out.checks.add(Property::Incremental);
            }
        }
        Ok(None)
    }

    /// Whether some TVIEW looks at which table of a tree a row is in: then every change concerns all of it.
    pub(super) fn tells_tables_apart(&self) -> bool {
        // a whole row is another image after ADD COLUMN
        let apart = [Hazard::TableOid, Hazard::Only, Hazard::WholeRow, Hazard::Leaf];
        self.case.views.iter().any(|v| apart.iter().any(|h| v.facts.hazards.contains(h)))
    }

    /// Whether a view reads one partition or child: it cannot tell which changes of the tables above concern it.
    fn reads_leaf(&self, view: &View) -> bool {
        let sources = || self.case.views.iter().filter(|v| view.facts.sources.contains(&v.name));
        view.facts.hazards.contains(&Hazard::Leaf) || sources().any(|v| self.reads_leaf(v))
    }

    /// How a TVIEW says it follows a table.
    fn strategy(&mut self, view: usize, table: &str) -> Result<Option<String>> {
        let sql = format!(
            "SELECT strategies->>'{}' FROM tviews.tviews WHERE quote_ident(name) = '{}'",
            table.trim_matches('"').replace("\"\"", "\""),
            self.case.views[view].name
        );
        Ok(rows(&mut self.session.client, &sql)?.pop().filter(|s| s != "NULL"))
    }

    /// Whether a TVIEW is compared with a value: a value that becomes NULL, or was NULL, has the TVIEW recomputed in full.
    fn has_gate(&mut self, view: usize) -> Result<bool> {
        let name = &self.case.views[view].name;
        let sql = format!("SELECT 1 FROM tviews.explain('{name}') AS line WHERE line LIKE '%otherwise in full:%'");
        Ok(!rows(&mut self.session.client, &sql)?.is_empty())
    }

    /// The one table that a transaction writes, when nothing makes it write others, and few rows of it.
    fn only_table(&self, t: &Transaction) -> Option<String> {
        if self.case.schema.has_trigger || self.case.schema.large {
            return None;
        }
        let mut found: Option<&str> = None;
        for step in &t.steps {
            let (Act::Sql(sql) | Act::Copy { sql, .. }) = &step.act else {
                continue;
            };
            let table = self.case.schema.written(sql)?;
            if table.referenced || matches!(table.kind, Kind::Parent { .. }) || found.is_some_and(|f| f != table.name) {
                return None;
            }
            found = Some(&table.name);
        }
        found.map(String::from)
    }
}
