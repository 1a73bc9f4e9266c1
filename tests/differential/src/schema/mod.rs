//! A random schema: two to five tables with their initial rows, functions and aggregates.
//! Invariant: a column name has one type throughout the schema (so NATURAL and USING are legal), and every table has a column, `note_N`, that no
//! query uses unless it uses whole rows. Called by `case`; used by `query` and `plan`.
//! `model` describes the schema; `table` makes a table of `columns` and as the root of a `tree`; `value` has rows, `routine` functions.

mod columns;
mod model;
pub mod routine;
mod table;
mod tree;
mod value;

pub use model::{Column, Kind, Schema, Table};
pub use value::{insert_many, insert_row, value};

use crate::dice::Dice;
use crate::features::Features;
use crate::hazards::Hazard;
use crate::names::{self, ident};
use crate::types::Ty;

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
