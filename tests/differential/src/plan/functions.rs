//! Functions of the user's that are replaced or renamed, and triggers of the user's that read TVIEWs.
//! Invariant: the model knows old names only: a renamed function is named back. Called by `sequence`.

use super::{Planner, step};
use crate::case::{Act, Step, Transaction};
use crate::hazards::Hazard;
use crate::schema;

impl Planner<'_> {
    /// A function that TVIEWs may call, renamed and back.
    pub fn renamed_function(&mut self) -> Vec<Transaction> {
        let (old, new) = (*self.dice.pick(&["shade", "tint"]), self.fresh("hue_"));
        let rename = |from: &str, to: &str| vec![format!("ALTER FUNCTION {from}(int) RENAME TO {to}")];
        self.in_two(rename(old, &new), rename(&new, old), Hazard::FunctionRenamed)
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
