//! Columns of a table: plain ones from the pool, a foreign key, what the server computes; and their definitions.
//! Invariant: a table has an integer column that can be written. Called by `table`.

use super::table::Maker;
use super::{Column, Kind};
use crate::hazards::Hazard;
use crate::types::Ty;

/// What a table is made of besides its columns.
#[derive(Default)]
pub(super) struct Extra {
    /// STORED or VIRTUAL
    pub generated: String,
    /// A generated column is NULL where what it is computed from is.
    pub strict: bool,
    /// ALWAYS or BY DEFAULT
    pub identity: String,
    pub constraints: Vec<String>,
    pub cascades: bool,
}

fn plain(name: &str, ty: Ty, nullable: bool) -> Column {
    Column { name: name.to_string(), ty, nullable, generated: false, fk: None }
}

impl Maker<'_> {
    /// The columns and the key.
    pub(super) fn columns(&mut self) -> (Vec<Column>, Vec<usize>) {
        let mut columns: Vec<Column> = vec![];
        let mut key = vec![];
        let kind = if self.simple {
            "int"
        } else {
            self.dice.weighted(&[(44, "int"), (12, "two"), (8, "text"), (10, "uuid"), (26, "none")])
        };
        match kind {
            "int" => columns.push(plain("id", Ty::Int, false)),
            "text" => columns.push(plain("id_text", Ty::Text, false)),
            "uuid" => columns.push(plain("id_uuid", Ty::Uuid, false)),
            _ => {}
        }
        if !columns.is_empty() {
            key.push(0);
        }
        // the first columns of the pool are in most tables: they are what joins meet on
        let width = self.dice.between(3, 7);
        for (i, (column, ty)) in self.pool.iter().enumerate() {
            if columns.len() < width + 1 && self.dice.chance(if i < 4 { 75 } else { 40 }) {
                let nullable = self.dice.chance(80);
                columns.push(plain(column, *ty, nullable));
            }
        }
        if !columns.iter().any(|c| c.ty == Ty::Int && c.name != "id") {
            columns.push(plain(&self.pool[0].0, Ty::Int, true));
        }
        if kind == "two" && columns.len() >= 2 && columns[0].ty.has_equality() && columns[1].ty.has_equality() {
            key = vec![0, 1];
            columns[0].nullable = false;
            columns[1].nullable = false;
        }
        (columns, key)
    }

    /// A real foreign key to an earlier table.
    pub(super) fn foreign_key(&mut self, number: usize, columns: &mut Vec<Column>, extra: &mut Extra) {
        let parents: Vec<usize> = (0..self.earlier.len())
            .filter(|&i| {
                let t = &self.earlier[i];
                t.kind == Kind::Plain && !t.deferrable && !t.unlogged && t.key == [0] && t.columns[0].ty == Ty::Int
            })
            .collect();
        let Some(&parent) = self.dice.maybe(&parents) else {
            return;
        };
        if !self.dice.chance(60) {
            return;
        }
        let action = *self.dice.pick(&[
            "",
            "",
            " ON DELETE CASCADE",
            " ON DELETE SET NULL",
            " ON DELETE CASCADE ON UPDATE CASCADE",
        ]);
        let deferred = if self.dice.chance(20) { " DEFERRABLE INITIALLY DEFERRED" } else { "" };
        let column = format!("fk_{number}_{parent}");
        columns.push(Column { name: column.clone(), ty: Ty::Int, nullable: true, generated: false, fk: Some(parent) });
        let name = &self.earlier[parent].name;
        extra.constraints.push(format!("FOREIGN KEY ({column}) REFERENCES {name}{action}{deferred}"));
        extra.cascades = action.contains("CASCADE") || action.contains("NULL");
    }

    /// Columns that the server computes: generated and identity ones.
    pub(super) fn computed(&mut self, number: usize, columns: &mut Vec<Column>, extra: &mut Extra) {
        let mut add = |name: String, nullable| {
            columns.push(Column { name, ty: Ty::Int, nullable, generated: true, fk: None });
        };
        if self.dice.chance(15) {
            extra.generated = "STORED".into();
            extra.strict = self.dice.chance(50);
            let mut hazard = Hazard::GeneratedColumn;
            if self.features.version >= 18 && self.dice.chance(60) {
                extra.generated = "VIRTUAL".into();
                hazard = Hazard::VirtualColumn;
            }
            add(format!("gen_{number}"), true);
            self.built.hazards.push(hazard);
        }
        if self.dice.chance(8) {
            extra.identity = self.dice.pick(&["ALWAYS", "BY DEFAULT"]).to_string();
            add(format!("ident_{number}"), false);
            self.built.hazards.push(Hazard::IdentityColumn);
        }
    }

    /// What stands between the parentheses of CREATE TABLE.
    pub(super) fn body(&mut self, columns: &[Column], note: &str, gone: bool, extra: &Extra) -> String {
        let from = columns.iter().find(|c| c.ty == Ty::Int && !c.generated).map(|c| c.name.clone()).unwrap_or_default();
        let mut lines = vec![];
        for (i, c) in columns.iter().enumerate() {
            if gone && i == columns.len() / 2 {
                lines.push("gone int DEFAULT 7".to_string());
            }
            let mut line = format!("{} {}", c.name, c.ty.sql());
            if c.name.starts_with("gen_") && c.generated {
                // Strict in half of the tables: NULL where an outer join null-extends the table, or not.
                let value = if extra.strict { from.clone() } else { format!("coalesce({from}, 0)") };
                line += &format!(" GENERATED ALWAYS AS ({value} % 3) {}", extra.generated);
            } else if c.generated {
                line += &format!(" GENERATED {} AS IDENTITY", extra.identity);
            } else if !c.nullable {
                line += " NOT NULL";
            }
            lines.push(line);
        }
        lines.push(format!("{note} int DEFAULT 0"));
        lines.extend(extra.constraints.iter().cloned());
        lines.join(",\n    ")
    }
}
