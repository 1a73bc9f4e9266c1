//! What single writes are made of: rows, values, predicates.
//! Invariant: a column may have each of its values, and they are few enough for writes to meet. Called by all that writes.

use super::Planner;
use crate::schema;

impl Planner<'_> {
    /// INSERT of one random row.
    pub fn insert(&mut self, table: usize) -> String {
        let mut sql = schema::insert_row(self.dice, &self.schema, table);
        if !self.schema.tables[table].key.is_empty() && self.dice.chance(60) {
            sql += self.schema.tables[table].or_nothing();
        }
        sql
    }

    /// A row with this value in this column.
    pub fn insert_with(&mut self, table: usize, column: usize, value: &str) -> String {
        let which = self.schema.tables[table].writable();
        let mut values = vec![];
        for &i in &which {
            values.push(if i == column { value.to_string() } else { schema::value(self.dice, &self.schema, table, i) });
        }
        let t = &self.schema.tables[table];
        format!("INSERT INTO {} ({}) VALUES ({}){}", t.name, t.list(&which), values.join(", "), t.or_nothing())
    }

    /// A value this column may have, as SQL.
    pub fn value_of(&mut self, table: usize, column: usize) -> String {
        for _ in 0..5 {
            let v = schema::value(self.dice, &self.schema, table, column);
            if v != "NULL" {
                return v;
            }
        }
        self.schema.tables[table].columns[column].ty.literal(self.dice)
    }

    /// A condition that some rows of a table meet.
    pub fn predicate(&mut self, table: usize) -> String {
        if self.dice.chance(12) {
            return "true".into();
        }
        let t = &self.schema.tables[table];
        let able: Vec<usize> = (0..t.columns.len()).filter(|&i| t.columns[i].ty.has_equality()).collect();
        let Some(&column) = self.dice.maybe(&able) else {
            return "true".into();
        };
        let name = t.columns[column].name.clone();
        let nullable = t.columns[column].nullable;
        let value = self.value_of(table, column);
        match self.dice.below(8) {
            0 if nullable => format!("{name} IS NULL"),
            1 => format!("{name} >= {value}"),
            2 => format!("{name} <> {value}"),
            _ => format!("{name} = {value}"),
        }
    }
}
