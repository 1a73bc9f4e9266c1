//! Transactions after which no TVIEW may have been written.
//! Invariant: every query of the case has the same result after them. Called by `sequence`.

use super::Planner;
use super::structure::there_and_back;
use crate::case::{Step, Transaction};
use crate::hazards::Hazard;
use crate::schema::Kind;
use crate::types::Ty;

impl Planner<'_> {
    pub fn no_change(&mut self) -> Transaction {
        let table = self.table();
        let t = self.schema.tables[table].clone();
        let predicate = self.predicate(table);
        let which = t.writable();
        let whole = self.views.iter().any(|v| v.facts.whole.contains(&table));
        let lossless = t.columns.iter().all(|c| c.fk.is_none() && !c.generated)
            && !t.referenced
            && matches!(t.kind, Kind::Plain)
            && t.columns.iter().any(|c| c.ty.has_equality());
        let kind = self.dice.below(4);
        let steps = match kind {
            0 | 1 if !whole => self.one(
                format!("UPDATE {} SET {n} = coalesce({n}, 0) + 1 WHERE {predicate}", t.name, n = t.note),
                &[Hazard::UnusedColumn],
            ),
            2 if lossless => {
                let list = format!("{}, {}", t.list(&which), t.note);
                let sql = format!(
                    "WITH gone AS (DELETE FROM {0} WHERE {predicate} RETURNING *) INSERT INTO {0} ({list}) SELECT {list} FROM gone",
                    t.name
                );
                self.one(sql, &[Hazard::UpdateIsDeleteInsert])
            }
            3 => {
                // there and back
                let int = t.columns.iter().find(|c| c.ty == Ty::Int && !c.generated && c.fk.is_none());
                match int.filter(|_| matches!(t.kind, Kind::Plain)) {
                    Some(c) => {
                        let sql = there_and_back(&t.name, &c.name);
                        self.several(sql, &[Hazard::BackToOriginal])
                    }
                    None => self.self_update(table, &predicate),
                }
            }
            _ => self.self_update(table, &predicate),
        };
        Transaction { no_change: true, ..Transaction::new(steps) }
    }

    fn self_update(&mut self, table: usize, predicate: &str) -> Vec<Step> {
        let t = self.schema.tables[table].clone();
        let column = &t.columns[*self.dice.pick(&t.writable())].name;
        self.one(format!("UPDATE {} SET {column} = {column} WHERE {predicate}", t.name), &[Hazard::NoOpUpdate])
    }
}
