//! Random transactions: their steps, and how they end.
//! Invariant: statements are text fixed in advance; a statement that fails by itself only ends its transaction or savepoint. Called by `case`.
//!
//! ```text
//! sequence ─► structure ─► statement   one random write: row, update, duplicates, upsert, bulk, reach, swap
//!          │            ─► scenario    several, aimed at one hazard of one view
//!          │            ─► inside      about the TVIEWs themselves
//!          ─► definition, functions, policy   changes of tables and types, of functions and triggers, of row security
//!          ─► unchanged                writes without effect
//!          ─► rehearsal                changes of definitions, taken back first
//! ```

mod bulk;
mod definition;
mod duplicates;
mod functions;
mod inside;
mod policy;
mod reach;
mod rehearsal;
mod row;
mod scenario;
mod sequence;
mod statement;
mod structure;
mod swap;
mod unchanged;
mod update;
mod upsert;

pub use sequence::transactions;

use crate::case::{Act, Step, View};
use crate::dice::Dice;
use crate::hazards::Hazard;
use crate::schema::Schema;

/// Makes the steps of one plan.
pub struct Planner<'a> {
    pub dice: &'a mut Dice,
    pub schema: Schema,
    pub views: &'a [View],
    /// the last one given out
    group: u32,
    /// how many names have been made up
    made_up: u32,
}

fn step(act: Act, hazards: &[Hazard], group: u32) -> Step {
    Step { act, hazards: hazards.to_vec(), group, as_delete_insert: None, is_ddl: false, is_rehearsal: false }
}

impl Planner<'_> {
    fn next_group(&mut self) -> u32 {
        self.group += 1;
        self.group
    }

    /// One statement as a group of its own.
    fn one(&mut self, sql: String, hazards: &[Hazard]) -> Vec<Step> {
        let group = self.next_group();
        vec![step(Act::Sql(sql), hazards, group)]
    }

    /// Several statements that together are a hazard.
    fn several(&mut self, sql: Vec<String>, hazards: &[Hazard]) -> Vec<Step> {
        let group = self.next_group();
        sql.into_iter().map(|s| step(Act::Sql(s), hazards, group)).collect()
    }

    /// A name that nothing has.
    fn fresh(&mut self, prefix: &str) -> String {
        self.made_up += 1;
        format!("{prefix}{}", self.made_up)
    }

    /// A table that some TVIEW reads, mostly.
    fn table(&mut self) -> usize {
        let used: Vec<usize> = self.views.iter().flat_map(|v| v.facts.tables.iter().copied()).collect();
        if !used.is_empty() && self.dice.chance(85) {
            *self.dice.pick(&used)
        } else {
            self.dice.below(self.schema.tables.len())
        }
    }
}
