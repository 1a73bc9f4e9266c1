//! One random table: its key, its constraints, and what `columns` and `tree` make of it.
//! Invariant: what the model says of a table is what its DDL makes. Called by `schema::build`.

use super::columns::Extra;
use super::tree::{Root, Shape};
use super::{Built, Kind, Table};
use crate::dice::Dice;
use crate::features::Features;
use crate::hazards::Hazard;
use crate::names::ident;
use crate::types::Ty;

pub struct Maker<'a> {
    pub dice: &'a mut Dice,
    pub features: Features,
    /// the columns tables are made of
    pub pool: &'a [(String, Ty)],
    pub earlier: &'a [Table],
    pub built: &'a mut Built,
    /// few kinds only, for tables of many rows
    pub simple: bool,
}

impl Maker<'_> {
    pub(super) fn note(&mut self, hazard: Hazard) {
        self.built.hazards.push(hazard);
    }

    pub(super) fn ddl(&mut self, sql: String) {
        self.built.ddl.push(sql);
    }

    pub fn table(&mut self, number: usize, name: &str) -> Table {
        let bare = name.to_string();
        let name = ident(name);
        let (mut columns, mut key) = self.columns();
        let shape = if self.simple { Shape::Plain } else { self.dice.weighted(Shape::WEIGHTS) };
        let mut extra = Extra::default();
        self.foreign_key(number, &mut columns, &mut extra);
        if shape == Shape::Plain {
            self.computed(number, &mut columns, &mut extra);
        }
        let note = format!("note_{number}");
        let part = self.partition_column(&columns);
        if shape.method().is_some() && !key.is_empty() && !key.contains(&part) {
            key.push(part);
            columns[part].nullable = false;
        }
        if key.is_empty() {
            self.note(Hazard::TableWithoutKey);
        }
        let deferrable = shape == Shape::Plain && !key.is_empty() && !self.simple && self.dice.chance(6);
        let mut unique = vec![];
        if shape == Shape::Plain && self.dice.chance(15) {
            let able: Vec<usize> = (0..columns.len())
                .filter(|i| !key.contains(i) && columns[*i].ty.has_equality() && !columns[*i].generated)
                .collect();
            if let Some(&i) = self.dice.maybe(&able) {
                unique.push(i);
                extra.constraints.push(format!("UNIQUE ({})", columns[i].name));
            }
        }
        if !key.is_empty() {
            let names: Vec<String> = key.iter().map(|&i| columns[i].name.clone()).collect();
            let late = if deferrable { " DEFERRABLE INITIALLY DEFERRED" } else { "" };
            extra.constraints.push(format!("PRIMARY KEY ({}){late}", names.join(", ")));
        }
        if deferrable {
            self.note(Hazard::DeferrableKey);
        }
        let gone = self.dice.chance(25);
        let body = self.body(&columns, &note, gone, &extra);
        let unlogged = shape == Shape::Plain && self.earlier.is_empty() && self.dice.chance(8);
        let word = if unlogged { "UNLOGGED TABLE" } else { "TABLE" };
        let head = format!("CREATE {word} {name} (\n    {body}\n)");
        let drop_gone = gone.then(|| format!("ALTER TABLE {name} DROP COLUMN gone"));
        if gone {
            self.note(Hazard::DroppedColumn);
        }
        let root = Root { name: &name, bare: &bare, columns: &columns, note: &note };
        let parting = shape.method().map(|method| format!(" PARTITION BY {method} ({})", columns[part].name));
        self.ddl(head + &parting.unwrap_or_default());
        drop_gone.into_iter().for_each(|sql| self.ddl(sql));
        let kind = match shape {
            Shape::Plain => Kind::Plain,
            Shape::Parent => self.children(&root),
            _ => self.partitions(shape, &root, part, gone && key.is_empty()),
        };
        Table {
            name,
            columns,
            key,
            unique,
            kind,
            note,
            deferrable,
            unlogged,
            referenced: false,
            cascades: extra.cascades,
        }
    }
}
