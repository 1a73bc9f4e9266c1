//! Statements about TVIEWs themselves, among writes that are pending: created, altered, refreshed, rebuilt, dropped. Called by `plan` and `body`.

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
        let command = *self.dice.pick(&["VACUUM (FULL)", "VACUUM", "ANALYZE", "REINDEX TABLE"]);
        let group = self.next_group();
        let steps = vec![step(Act::Native(format!("{command} {name}")), &[Hazard::Housekeeping], group)];
        Some(Transaction { end: crate::case::End::Autocommit, ..Transaction::new(steps) })
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

    /// Another body for a function that TVIEWs may use.
    pub fn other_body(&mut self) -> Step {
        let used = self.views.iter().any(|v| v.facts.hazards.contains(&Hazard::OwnFunction));
        let group = self.next_group();
        if let Some(version) = &mut self.schema.extension {
            *version = (*version + 1 + self.dice.below(schema::routine::VERSIONS - 1)) % schema::routine::VERSIONS;
            let hazards: &[Hazard] = if used { &[Hazard::ExtensionUpdated] } else { &[] };
            return step(Act::Sql(format!("ALTER EXTENSION fuzz_tools UPDATE TO '{version}'")), hazards, group);
        }
        let hazards: &[Hazard] = if used { &[Hazard::BodyReplaced] } else { &[] };
        let (name, n) = (*self.dice.pick(&["shade", "tint"]), self.dice.below(4));
        step(Act::Sql(schema::routine::function(name, n)), hazards, group)
    }

    /// Other defining functions, triggers that read TVIEWs.
    pub fn routines(&mut self) -> Option<Transaction> {
        let group = self.next_group();
        let mut steps = if self.dice.chance(40) { self.statement() } else { vec![] };
        let used = self.views.iter().any(|v| v.facts.hazards.contains(&Hazard::OwnFunction));
        if self.dice.chance(if used { 60 } else { 30 }) {
            steps.push(self.other_body());
        } else {
            let view = self.early_tview()?;
            let tables: Vec<usize> = self.views[view].facts.tables.iter().copied().collect();
            let table = *self.dice.maybe(&tables)?;
            let table = self.schema.tables[table].name.clone();
            let (early, for_each_row) = (self.dice.chance(30), self.dice.chance(30));
            let trigger = format!("{}{}", if early { "AAA" } else { "zzz" }, self.fresh("_reads_"));
            let early = early || for_each_row;
            let hazard = if early { Hazard::EarlyTrigger } else { Hazard::ReadInTrigger };
            steps.push(step(Act::ReadInTrigger { view, table, trigger, for_each_row, early }, &[hazard], group));
        }
        Some(Transaction::new(steps))
    }
}
