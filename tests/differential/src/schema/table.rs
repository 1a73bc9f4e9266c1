//! One random table: columns, key, foreign key, generated and identity columns, partitions, children. Called by `schema::build`.

use super::{Built, Column, Kind, Table};
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

fn plain(name: &str, ty: Ty, nullable: bool) -> Column {
    Column { name: name.to_string(), ty, nullable, generated: false, fk: None }
}

#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Plain,
    List,
    Range,
    Hash,
    Parent,
}

/// What a table is made of besides its columns.
#[derive(Default)]
struct Extra {
    generated: String,
    identity: String,
    constraints: Vec<String>,
    cascades: bool,
}

impl Maker<'_> {
    fn note(&mut self, hazard: Hazard) {
        self.built.hazards.push(hazard);
    }

    fn run(&mut self, sql: String) {
        self.built.ddl.push(sql);
    }

    pub fn table(&mut self, number: usize, name: &str) -> Table {
        let bare = name.to_string();
        let name = ident(name);
        let (mut columns, mut key) = self.columns();
        let shape = if self.simple {
            Shape::Plain
        } else {
            self.dice.weighted(&[
                (66, Shape::Plain),
                (10, Shape::List),
                (8, Shape::Range),
                (4, Shape::Hash),
                (12, Shape::Parent),
            ])
        };
        let mut extra = Extra::default();
        self.foreign_key(number, &mut columns, &mut extra);
        if shape == Shape::Plain {
            self.computed(number, &mut columns, &mut extra);
        }
        let note = format!("note_{number}");
        let part = self.partition_column(&columns);
        let parted = matches!(shape, Shape::List | Shape::Range | Shape::Hash);
        if parted && !key.is_empty() && !key.contains(&part) {
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
        let kind = match shape {
            Shape::Plain | Shape::Parent => {
                self.run(head);
                drop_gone.into_iter().for_each(|sql| self.run(sql));
                if shape == Shape::Plain { Kind::Plain } else { self.children(&name, &bare) }
            }
            _ => {
                let reordered = gone && key.is_empty();
                let by = format!("{} ({})", ["LIST", "RANGE", "HASH"][shape as usize - 1], columns[part].name);
                self.run(format!("{head} PARTITION BY {by}"));
                drop_gone.into_iter().for_each(|sql| self.run(sql));
                self.partitions(shape, &name, &bare, part, &columns, &note, reordered)
            }
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

    /// The columns and the key.
    fn columns(&mut self) -> (Vec<Column>, Vec<usize>) {
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

    fn partition_column(&self, columns: &[Column]) -> usize {
        let able: Vec<usize> = (0..columns.len())
            .filter(|&i| columns[i].ty == Ty::Int && columns[i].fk.is_none() && !columns[i].generated)
            .collect();
        able.into_iter().find(|&i| columns[i].name != "id").unwrap_or(0)
    }

    /// A real foreign key to an earlier table.
    fn foreign_key(&mut self, number: usize, columns: &mut Vec<Column>, extra: &mut Extra) {
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
    fn computed(&mut self, number: usize, columns: &mut Vec<Column>, extra: &mut Extra) {
        let mut add = |name: String, nullable| {
            columns.push(Column { name, ty: Ty::Int, nullable, generated: true, fk: None });
        };
        if self.dice.chance(15) {
            extra.generated = "STORED".into();
            let mut hazard = Hazard::GeneratedColumn;
            if self.features.version >= 18 && self.dice.chance(40) {
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

    fn body(&mut self, columns: &[Column], note: &str, gone: bool, extra: &Extra) -> String {
        let from = columns.iter().find(|c| c.ty == Ty::Int && !c.generated).map(|c| c.name.clone()).unwrap_or_default();
        let mut lines = vec![];
        for (i, c) in columns.iter().enumerate() {
            if gone && i == columns.len() / 2 {
                lines.push("gone int DEFAULT 7".to_string());
            }
            let mut line = format!("{} {}", c.name, c.ty.sql());
            if c.name.starts_with("gen_") && c.generated {
                line += &format!(" GENERATED ALWAYS AS (coalesce({from}, 0) % 3) {}", extra.generated);
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

    fn children(&mut self, name: &str, bare: &str) -> Kind {
        let child = ident(&format!("{bare}_child"));
        self.run(format!("CREATE TABLE {child} (child_extra int) INHERITS ({name})"));
        if self.dice.chance(40) {
            let below = ident(&format!("{bare}_grandchild"));
            self.run(format!("CREATE TABLE {below} (more int) INHERITS ({child})"));
            self.note(Hazard::Grandchild);
        }
        Kind::Parent { child }
    }

    #[allow(clippy::too_many_arguments)]
    fn partitions(
        &mut self,
        shape: Shape,
        name: &str,
        bare: &str,
        column: usize,
        columns: &[Column],
        note: &str,
        reordered: bool,
    ) -> Kind {
        let bounds = match shape {
            Shape::List => ["FOR VALUES IN (0, 1)", "FOR VALUES IN (2, NULL)", "DEFAULT"],
            Shape::Hash => [
                "FOR VALUES WITH (MODULUS 3, REMAINDER 0)",
                "FOR VALUES WITH (MODULUS 3, REMAINDER 1)",
                "FOR VALUES WITH (MODULUS 3, REMAINDER 2)",
            ],
            _ => ["FOR VALUES FROM (MINVALUE) TO (2)", "FOR VALUES FROM (2) TO (4)", "DEFAULT"],
        };
        let deeper = shape == Shape::List && self.dice.chance(40);
        let mut leaves = vec![];
        let mut below = vec![];
        for (i, bound) in bounds.iter().enumerate() {
            let leaf = ident(&format!("{bare}_p{i}"));
            if i == 1 && reordered {
                // another physical order of columns than the parent's
                let mut own: Vec<String> = columns
                    .iter()
                    .map(|c| format!("{} {}{}", c.name, c.ty.sql(), if c.nullable { "" } else { " NOT NULL" }))
                    .collect();
                own.push(format!("{note} int DEFAULT 0"));
                own.reverse();
                self.run(format!("CREATE TABLE {leaf} ({})", own.join(", ")));
                self.run(format!("ALTER TABLE {name} ATTACH PARTITION {leaf} {bound}"));
            } else if i == 0 && deeper {
                self.note(Hazard::SubPartition);
                let by = &columns[column].name;
                self.run(format!("CREATE TABLE {leaf} PARTITION OF {name} {bound} PARTITION BY RANGE ({by})"));
                for (j, bound) in ["FROM (MINVALUE) TO (1)", "FROM (1) TO (MAXVALUE)"].iter().enumerate() {
                    let sub = ident(&format!("{bare}_p0{j}"));
                    self.run(format!("CREATE TABLE {sub} PARTITION OF {leaf} FOR VALUES {bound}"));
                    below.push(sub);
                }
            } else {
                self.run(format!("CREATE TABLE {leaf} PARTITION OF {name} {bound}"));
            }
            leaves.push(leaf);
        }
        Kind::Parted { column, leaves, bounds: bounds.map(String::from).to_vec(), below }
    }
}
