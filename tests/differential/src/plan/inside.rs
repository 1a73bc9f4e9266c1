//! Statements about TVIEWs themselves, among writes that are pending: created, altered, refreshed, rebuilt, dropped.
//! Invariant: a TVIEW has its name back, and is populated, when they are over. Called by `sequence` and `body`.

use super::{Planner, step};
use crate::case::{Act, Step, Transaction};
use crate::hazards::Hazard;
use crate::schema;

impl Planner<'_> {
    /// Maintenance that changes nothing that is shown.
    pub fn maintenance(&mut self) -> Vec<Step> {
        let Some(view) = self.early_tview() else {
            return vec![];
        };
        let name = self.views[view].name.clone();
        let group = self.next_group();
        match self.dice.below(6) {
            0 => vec![step(Act::Native(format!("SELECT tviews.rebuild('{name}')")), &[Hazard::Rebuild], group)],
            1 => vec![step(Act::Sql(format!("REFRESH MATERIALIZED VIEW {name}")), &[Hazard::Refresh], group)],
            2 => vec![
                step(Act::Native("SELECT tviews.flush()".into()), &[], group),
                step(Act::ReadAll, &[Hazard::FlushCalled], group),
            ],
            _ => self.altered(view),
        }
    }

    /// A TVIEW altered while changes are pending.
    fn altered(&mut self, view: usize) -> Vec<Step> {
        let name = self.views[view].name.clone();
        let group = self.next_group();
        let native = |sql: String| step(Act::Native(sql), &[], group);
        let other = self.fresh("other_name_");
        if self.dice.chance(14) {
            let sql = [
                "GRANT ALL ON SCHEMA fuzz TO fuzz_other".to_string(),
                format!(
                    "GRANT ALL ON ALL TABLES IN SCHEMA fuzz TO fuzz_other; GRANT SELECT, TRIGGER ON {name} TO PUBLIC"
                ),
                format!("ALTER TVIEW {name} OWNER TO fuzz_other"),
            ];
            let mut steps: Vec<Step> = sql.map(native).into();
            steps[2].hazards = vec![Hazard::OwnerChanged];
            return steps;
        }
        let mut steps = match self.dice.below(6) {
            0 => vec![native(format!("ALTER TVIEW {name} SET (mode = full)"))],
            1 => vec![native(format!("ALTER TVIEW {name} RESET (mode)"))],
            2 => vec![
                native(format!("ALTER TVIEW {name} RENAME TO {other}")),
                native(format!("ALTER TVIEW {other} RENAME TO {name}")),
            ],
            3 => vec![native(format!(
                "ALTER TVIEW {name} SET ({})",
                self.dice.pick(&["fillfactor = 70", "logged", "logged = false"])
            ))],
            4 => {
                let column =
                    self.views[view].query.columns.iter().find(|c| c.ty.has_equality()).map(|c| c.name.clone());
                match column {
                    Some(column) => vec![native(format!("CREATE INDEX ON {name} ({column})"))],
                    None => vec![],
                }
            }
            _ => vec![native(format!("ALTER TVIEW {name} SET {}", self.dice.pick(&["LOGGED", "UNLOGGED"])))],
        };
        if let Some(last) = steps.last_mut() {
            last.hazards = vec![Hazard::AlteredInside];
        }
        steps
    }

    /// Commands that cannot run in a transaction block, or that rewrite a TVIEW.
    pub fn housekeeping(&mut self) -> Option<Transaction> {
        let view = self.early_tview()?;
        let name = self.views[view].name.clone();
        let group = self.next_group();
        let (sql, hazard) = match self.repack(&name) {
            Some(repack) => repack,
            None => {
                let command = *self.dice.pick(&["VACUUM (FULL)", "VACUUM", "ANALYZE", "REINDEX TABLE"]);
                (format!("{command} {name}"), Hazard::Housekeeping)
            }
        };
        let steps = vec![step(Act::Native(sql), &[hazard], group)];
        Some(Transaction { end: crate::case::End::Autocommit, ..Transaction::new(steps) })
    }

    /// REPACK of a TVIEW, or of a table, CONCURRENTLY where that is possible.
    fn repack(&mut self, tview: &str) -> Option<(String, Hazard)> {
        if self.schema.features.version < 19 || self.dice.chance(25) {
            return None;
        }
        if self.dice.chance(30) {
            return Some((format!("REPACK {tview}"), Hazard::Repack));
        }
        let table = self.dice.below(self.schema.tables.len());
        let t = &self.schema.tables[table];
        if t.unlogged || t.sure_key().is_empty() {
            return Some((format!("REPACK {}", t.name), Hazard::Repack));
        }
        Some((format!("REPACK (CONCURRENTLY) {}", t.name), Hazard::RepackConcurrently))
    }

    /// Emptied, written while it is empty, populated.
    pub fn emptied(&mut self) -> Option<Transaction> {
        let able: Vec<usize> = (0..self.views.len())
            .filter(|&i| {
                let v = &self.views[i];
                v.is_tview && !v.late && !self.views.iter().any(|o| o.facts.sources.contains(&v.name))
            })
            .collect();
        let name = self.views[*self.dice.maybe(&able)?].name.clone();
        let group = self.next_group();
        let refresh = |with: &str| step(Act::Native(format!("REFRESH MATERIALIZED VIEW {name}{with}")), &[], group);
        let mut steps = self.statement();
        steps.push(refresh(" WITH NO DATA"));
        steps.extend(self.statement());
        steps.push(refresh(""));
        steps.last_mut()?.hazards.push(Hazard::EmptiedInside);
        steps.extend(self.statement());
        // a failing write must not leave the TVIEW empty: without savepoints it takes everything along
        Some(Transaction::new(steps))
    }

    pub fn created_inside(&mut self, view: usize) -> Transaction {
        let group = self.next_group();
        let mut steps = self.statement();
        steps.push(step(Act::Create(view), &[], group));
        if let Some(row) = self.row_for(view) {
            steps.push(step(Act::Sql(row), &[], group));
        }
        if self.dice.chance(50) {
            steps.push(step(Act::Read(view), &[], group));
        }
        if let Some(last) = steps.last_mut() {
            last.hazards.push(Hazard::CreatedInside);
        }
        Transaction::new(steps)
    }

    pub fn dropped_inside(&mut self, view: usize) -> Transaction {
        let group = self.next_group();
        let mut steps: Vec<Step> = self.row_for(view).map(|row| step(Act::Sql(row), &[], group)).into_iter().collect();
        if self.dice.chance(50) {
            steps.push(step(Act::Read(view), &[], group));
        }
        steps.push(step(Act::Drop(view), &[Hazard::DroppedInside], group));
        Transaction::new(steps)
    }

    /// A row for some table of a view.
    fn row_for(&mut self, view: usize) -> Option<String> {
        let tables: Vec<usize> = self.views[view].facts.tables.iter().copied().collect();
        let table = *self.dice.maybe(&tables)?;
        Some(schema::insert_row(self.dice, &self.schema, table) + self.schema.tables[table].or_nothing())
    }
}
