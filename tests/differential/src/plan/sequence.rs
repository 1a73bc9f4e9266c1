//! The transactions of a case, in their order.
//! Invariant: what changes definitions runs in the order of the plan, for the model follows it; what ends a case comes last. Called by `case`.

use super::Planner;
use crate::case::{Conditions, End, Transaction, View};
use crate::dice::Dice;
use crate::hazards::Hazard;
use crate::schema::{self, Schema};

/// Under conditions also with transactions that change definitions, which must run in the order of the plan.
pub fn transactions(
    dice: &mut Dice,
    schema: &Schema,
    views: &[View],
    conditions: Option<Conditions>,
) -> Vec<Transaction> {
    let definitions = conditions.is_some();
    let policy = conditions.is_some_and(|c| c.row_security);
    let functions = definitions && views.iter().any(|v| v.facts.hazards.contains(&Hazard::OwnFunction));
    let mut planner = Planner { dice, schema: schema.clone(), views, group: 0, made_up: 0 };
    let mut all = vec![];
    let count = planner.dice.between(5, if schema.large { 8 } else { 24 });
    let late = views.iter().position(|v| v.late);
    let late_at = count / 3;
    let mut created = false;
    while all.len() < count {
        if let Some(view) = late.filter(|_| !created && all.len() >= late_at) {
            all.push(planner.created_inside(view));
            created = true;
        }
        match planner.dice.below(100) {
            0..=6 if !planner.schema.has_trigger => all.push(planner.no_change()),
            7..=11 if definitions => all.extend(planner.definition()),
            12 | 13 if definitions => all.extend(planner.routines()),
            14 if definitions => all.extend(planner.emptied()),
            15 | 16 if definitions => all.extend(planner.housekeeping()),
            42..=44 if functions => all.extend(planner.renamed_function()),
            46..=55 if policy => all.extend(planner.policy()),
            17..=41 if schema.large && definitions => all.extend(planner.thousands()),
            _ => all.extend(planner.ordinary()),
        }
    }
    if functions && planner.dice.chance(60) {
        let mut steps = planner.statement();
        steps.push(planner.other_body());
        all.push(Transaction::new(steps));
    }
    // an error of a query ends the case, so it comes last
    if definitions {
        all.extend(planner.two_rows());
    }
    if let Some(view) = late.filter(|_| planner.dice.chance(70)) {
        all.push(planner.dropped_inside(view));
    }
    if definitions {
        all = planner.rehearsed(all);
    }
    all
}

impl Planner<'_> {
    /// Some writes, and how they end.
    fn ordinary(&mut self) -> Vec<Transaction> {
        let (before, steps) = self.body();
        let end = self.dice.weighted(&[
            (70, End::Commit),
            (8, End::Rollback),
            (6, End::PreparedCommit),
            (4, End::PreparedRollback),
            (12, End::Autocommit),
        ]);
        let isolation = self.dice.weighted(&[(70, "READ COMMITTED"), (15, "REPEATABLE READ"), (15, "SERIALIZABLE")]);
        let replica = end == End::Commit && self.dice.chance(4);
        let mut all = vec![];
        if !before.is_empty() {
            all.push(Transaction::new(before));
        }
        all.push(Transaction { isolation, replica, steps, end, no_change: false });
        all
    }

    /// A sub-query that may return one row returns more: two rows get the value that it looks for.
    fn two_rows(&mut self) -> Option<Transaction> {
        let can_be_equal = |(table, column): &(usize, usize)| {
            let t = &self.schema.tables[*table];
            let c = &t.columns[*column];
            !c.generated && c.fk.is_none() && t.key != [*column] && !t.unique.contains(column)
        };
        let unusual = self.views.iter().filter(|v| v.is_tview).flat_map(|v| &v.facts.unusual);
        let unusual: Vec<_> = unusual.copied().filter(can_be_equal).collect();
        let (table, column) = *self.dice.maybe(&unusual)?;
        if self.dice.chance(15) {
            return None;
        }
        let t = &self.schema.tables[table];
        let sql = format!("UPDATE {} SET {} = 9", t.name, t.columns[column].name);
        Some(Transaction::new(self.one(sql, &[])))
    }

    /// More than a thousand rows, in and out again.
    fn thousands(&mut self) -> Vec<Transaction> {
        let n = self.dice.between(1001, 1400);
        let sql = schema::insert_many(self.dice, &self.schema, 0, n, true) + self.schema.tables[0].or_nothing();
        let insert = self.one(sql, &[]);
        let t = self.schema.tables[0].clone();
        let key = t.columns[0].name.clone();
        let column = *self.dice.pick(&t.writable());
        let value = schema::value(self.dice, &self.schema, 0, column);
        let set = format!("UPDATE {} SET {} = {value} WHERE {key} > 1000", t.name, t.columns[column].name);
        let update = if column == 0 { vec![] } else { self.one(set, &[]) };
        let predicate = self.dice.pick(&["> 1000", "> 1000 AND {} % 9 <> 0"]).replace("{}", &key);
        let delete = self.one(format!("DELETE FROM {} WHERE {key} {predicate}", t.name), &[]);
        [insert, update, delete].into_iter().filter(|s| !s.is_empty()).map(Transaction::new).collect()
    }
}
