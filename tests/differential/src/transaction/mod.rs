//! Random transactions: what they are made of, and how they end.
//! Invariant: statements are text fixed in advance; one that fails on its own account only ends its transaction or savepoint.
//! `statement` has single writes, `scenario` aims several at one hazard of one view, `structure` wraps them. Called by `case`.

mod scenario;
mod statement;
mod structure;

use crate::case::{Act, End, Step, Transaction, View};
use crate::dice::Dice;
use crate::hazards::Hazard;
use crate::schema::Schema;

pub struct Writer<'a> {
    pub dice: &'a mut Dice,
    pub schema: Schema,
    pub views: &'a [View],
    group: u32,
    names: u32,
}

fn step(act: Act, hazards: &[Hazard], group: u32) -> Step {
    Step { act, hazards: hazards.to_vec(), group, is_ddl: false }
}

impl Writer<'_> {
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

    fn fresh(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names)
    }

    fn table(&mut self) -> usize {
        // tables that some TVIEW reads, mostly
        let used: Vec<usize> = self.views.iter().flat_map(|v| v.facts.tables.iter().copied()).collect();
        if !used.is_empty() && self.dice.chance(85) {
            *self.dice.pick(&used)
        } else {
            self.dice.below(self.schema.tables.len())
        }
    }
}

/// `definitions`: also transactions that change definitions, which must run in the order of the plan.
pub fn plan(dice: &mut Dice, schema: &Schema, views: &[View], definitions: bool) -> Vec<Transaction> {
    let mut w = Writer { dice, schema: schema.clone(), views, group: 0, names: 0 };
    let mut all = vec![];
    let count = w.dice.between(5, 24);
    let late = views.iter().position(|v| v.late);
    let late_at = count / 3;
    while all.len() < count {
        if let Some(view) = late.filter(|_| all.len() == late_at) {
            all.push(w.created_inside(view));
        }
        match w.dice.below(100) {
            0..=6 if !w.schema.has_trigger => all.push(w.no_change()),
            7..=10 if definitions => all.extend(w.definition()),
            _ => {
                let (before, steps) = w.body();
                if !before.is_empty() {
                    all.push(Transaction {
                        isolation: "READ COMMITTED",
                        steps: before,
                        end: End::Commit,
                        no_change: false,
                    });
                }
                let end = w.dice.weighted(&[
                    (70, End::Commit),
                    (8, End::Rollback),
                    (6, End::PreparedCommit),
                    (4, End::PreparedRollback),
                    (12, End::Autocommit),
                ]);
                let isolation =
                    w.dice.weighted(&[(70, "READ COMMITTED"), (15, "REPEATABLE READ"), (15, "SERIALIZABLE")]);
                all.push(Transaction { isolation, steps, end, no_change: false });
            }
        }
    }
    if let Some(view) = late.filter(|_| w.dice.chance(70)) {
        all.push(w.dropped_inside(view));
    }
    all
}
