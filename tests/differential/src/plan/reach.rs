//! Statements that write another table than they name, or one more: data-modifying CTEs, cascades, leaves and children.
//! Invariant: where a schema has nothing of the kind, they are ordinary writes. Called by `statement`.

use super::Planner;
use crate::case::Step;
use crate::hazards::Hazard;
use crate::schema::{self, Kind};

impl Planner<'_> {
    pub(super) fn modifying_cte(&mut self, table: usize) -> Vec<Step> {
        let other = self.table();
        let row = self.insert(other);
        let predicate = self.predicate(table);
        let t = &self.schema.tables[table];
        let first = if self.dice.chance(50) {
            format!("DELETE FROM {} WHERE {predicate}", t.name)
        } else {
            format!("UPDATE {} SET {n} = {n} WHERE {predicate}", t.name, n = t.columns[0].name)
        };
        let hazards = if other == table { vec![] } else { vec![Hazard::ModifyingCte] };
        self.one(format!("WITH first AS ({first} RETURNING 1) {row}"), &hazards)
    }

    pub(super) fn fk_cascade(&mut self) -> Vec<Step> {
        let mut found = vec![];
        for t in &self.schema.tables {
            for c in &t.columns {
                if let Some(parent) = c.fk.filter(|_| t.cascades) {
                    found.push((t.name.clone(), c.name.clone(), parent));
                }
            }
        }
        let Some((child, column, parent)) = self.dice.maybe(&found).cloned() else {
            return self.statement();
        };
        let p = &self.schema.tables[parent];
        let key = &p.columns[0].name;
        let which = format!("WHERE {key} = (SELECT min({column}) FROM {child})");
        let sql = match self.dice.below(4) {
            // an error, unless updates cascade
            0 => format!("UPDATE {} SET {key} = {key} + 15 {which}", p.name),
            _ => format!("DELETE FROM {} {which}", p.name),
        };
        self.one(sql, &[Hazard::FkCascade])
    }

    pub(super) fn leaf_write(&mut self, table: usize) -> Vec<Step> {
        let t = self.schema.tables[table].clone();
        let predicate = self.predicate(table);
        let which = t.writable();
        match &t.kind {
            Kind::Parted { leaves, below, .. } => {
                let all: Vec<String> = leaves.iter().chain(below).cloned().collect();
                let leaf = self.dice.pick(&all).clone();
                if self.dice.chance(50) {
                    self.one(format!("DELETE FROM {leaf} WHERE {predicate}"), &[Hazard::LeafWrite])
                } else {
                    let column = *self.dice.pick(&which);
                    let value = schema::value(self.dice, &self.schema, table, column);
                    self.one(
                        format!("UPDATE {leaf} SET {} = {value} WHERE {predicate}", t.columns[column].name),
                        &[Hazard::LeafWrite],
                    )
                }
            }
            Kind::Parent { child } => {
                let values: Vec<String> =
                    which.iter().map(|&i| schema::value(self.dice, &self.schema, table, i)).collect();
                match self.dice.below(3) {
                    0 => self.one(format!("DELETE FROM {child} WHERE {predicate}"), &[Hazard::LeafWrite]),
                    _ => self.one(
                        format!(
                            "INSERT INTO {child} ({}, child_extra) VALUES ({}, 1)",
                            t.list(&which),
                            values.join(", ")
                        ),
                        &[Hazard::LeafWrite],
                    ),
                }
            }
            Kind::Plain => self.update(table),
        }
    }
}
