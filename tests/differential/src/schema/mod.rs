//! A random schema: two to five tables with their initial rows, functions and aggregates.
//! Invariant: a column name has one type throughout the schema (so NATURAL and USING are legal), and every table has a column, `note_N`, that no query uses
//! unless it uses whole rows. Called by `case`; used by the query and transaction generators.

pub mod routine;
mod table;
mod value;

pub use value::{insert_many, insert_row, value};

use crate::dice::Dice;
use crate::features::Features;
use crate::hazards::Hazard;
use crate::names::{self, ident};
use crate::types::Ty;

#[derive(Clone, Debug)]
pub struct Column {
    /// already quoted
    pub name: String,
    pub ty: Ty,
    pub nullable: bool,
    /// the server computes it: generated or identity
    pub generated: bool,
    /// index of the table it references
    pub fk: Option<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Plain,
    /// partitioned by this column; names and bounds of the leaves, names of leaves below the first
    Parted {
        column: usize,
        leaves: Vec<String>,
        bounds: Vec<String>,
        below: Vec<String>,
    },
    /// has this inheritance child
    Parent {
        child: String,
    },
}

#[derive(Clone, Debug)]
pub struct Table {
    pub name: String,
    pub columns: Vec<Column>,
    pub key: Vec<usize>,
    pub unique: Vec<usize>,
    pub kind: Kind,
    pub note: String,
    /// its key holds at commit only
    pub deferrable: bool,
    pub unlogged: bool,
    /// tables whose foreign keys point here
    pub referenced: bool,
    pub cascades: bool,
}

impl Table {
    /// Columns that can be written.
    pub fn writable(&self) -> Vec<usize> {
        (0..self.columns.len()).filter(|&i| !self.columns[i].generated).collect()
    }

    pub fn list(&self, which: &[usize]) -> String {
        which.iter().map(|&i| self.columns[i].name.clone()).collect::<Vec<_>>().join(", ")
    }

    /// The same, with other SQL in place of one of them.
    pub fn list_with(&self, which: &[usize], column: usize, sql: &str) -> String {
        let shown = |&i: &usize| if i == column { sql } else { &self.columns[i].name };
        which.iter().map(shown).collect::<Vec<_>>().join(", ")
    }

    /// The key, when no two rows have the same, at any time.
    pub fn sure_key(&self) -> Vec<usize> {
        if self.kind == Kind::Plain && !self.deferrable { self.key.clone() } else { vec![] }
    }

    /// Expressions that order its rows totally, except rows that are the same in every column.
    pub fn total_order(&self, alias: &str) -> Vec<String> {
        let key = self.sure_key();
        let which: Vec<usize> = if key.is_empty() { (0..self.columns.len()).collect() } else { key };
        which
            .iter()
            .map(|&i| {
                let c = &self.columns[i];
                let sql = format!("{alias}.{}", c.name);
                crate::query::Expr::plain(sql, c.ty).order()
            })
            .collect()
    }

    /// What ends an INSERT that may meet an existing key.
    pub fn or_nothing(&self) -> &'static str {
        if self.deferrable { "" } else { " ON CONFLICT DO NOTHING" }
    }
}

#[derive(Clone, Debug)]
pub struct Schema {
    pub tables: Vec<Table>,
    pub features: Features,
    /// the first table gets thousands of rows
    pub large: bool,
    /// a trigger of the user's writes to some table whenever another is written
    pub has_trigger: bool,
    /// the user's functions are those of an extension, of this version
    pub extension: Option<usize>,
}

impl Schema {
    /// The table that an INSERT, UPDATE, DELETE or COPY names, as long as it has its first name.
    pub fn written(&self, sql: &str) -> Option<&Table> {
        let rest =
            ["INSERT INTO ", "UPDATE ", "DELETE FROM ", "COPY "].iter().find_map(|word| sql.strip_prefix(word))?;
        self.tables.iter().find(|t| rest.strip_prefix(&t.name).is_some_and(|r| r.starts_with(' ')))
    }
}

#[derive(Default)]
pub struct Built {
    pub ddl: Vec<String>,
    pub rows: Vec<String>,
    /// after the rows
    pub triggers: Vec<String>,
    pub hazards: Vec<Hazard>,
}

pub fn build(dice: &mut Dice, features: Features) -> (Schema, Built) {
    let mut built = Built { ddl: features.create_types(), ..Built::default() };
    let extension = dice.chance(50).then_some(0);
    built.ddl.extend(routine::create(extension.is_some()));
    let large = dice.chance(4);
    let pool = pool(dice, features);
    let count = if large { 2 } else { dice.between(2, 5) };
    let table_names = names::some(dice, names::TABLES, count);
    let mut tables: Vec<Table> = vec![];
    for (number, name) in table_names.iter().enumerate() {
        let simple = large && number == 0;
        let mut maker = table::Maker { dice, features, pool: &pool, earlier: &tables, built: &mut built, simple };
        let table = maker.table(number, name);
        for column in &table.columns {
            if let Some(parent) = column.fk {
                tables[parent].referenced = true;
            }
        }
        tables.push(table);
    }
    if !large {
        routine::trigger(dice, &tables, &mut built.triggers, &mut built.hazards);
    }
    let has_trigger = built.hazards.contains(&Hazard::UserTrigger);
    let schema = Schema { tables, features, large, has_trigger, extension };
    for (number, table) in schema.tables.iter().enumerate() {
        // rows that meet in a key are left out by ON CONFLICT only
        let most = if table.deferrable { 2 } else { 9 };
        for _ in 0..dice.below(most) {
            built.rows.push(insert_row(dice, &schema, number) + table.or_nothing());
        }
    }
    (schema, built)
}

/// The columns tables are made of: name and type.
fn pool(dice: &mut Dice, features: Features) -> Vec<(String, Ty)> {
    let names = names::some(dice, names::COLUMNS, 12);
    let types = features.types();
    let mut pool = vec![];
    for (i, name) in names.into_iter().enumerate() {
        let ty = match i {
            0..=2 => Ty::Int,
            3 => Ty::Text,
            4 => *dice.pick(&[Ty::Num, Ty::Num, Ty::Float, Ty::Float, Ty::Real, Ty::Big, Ty::Big]),
            5 => *dice.pick(&[Ty::Num, Ty::Float, Ty::Big, Ty::Small, Ty::Interval, Ty::Money]),
            6 => *dice.pick(&[Ty::Ints, Ty::Texts, Ty::Jsonb, Ty::Bool]),
            _ => *dice.pick(&types),
        };
        pool.push((ident(&name), ty));
    }
    pool
}
