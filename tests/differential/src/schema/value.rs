//! Values and rows for the tables of a schema.
//! Invariant: a value is legal for its column; a row may still meet another one in a key. Called by all that writes.

use super::{Kind, Schema};
use crate::dice::Dice;
use crate::types::Ty;

/// A value for a column of a new row.
pub fn value(dice: &mut Dice, schema: &Schema, table: usize, column: usize) -> String {
    let c = &schema.tables[table].columns[column];
    if let Some(parent) = c.fk {
        let parent = &schema.tables[parent];
        let key = &parent.columns[0].name;
        return format!("(SELECT {key} FROM {} ORDER BY {key} OFFSET {} LIMIT 1)", parent.name, dice.below(5));
    }
    if c.nullable && dice.chance(20) {
        return "NULL".into();
    }
    if schema.tables[table].key.contains(&column) && !is_partition_column(schema, table, column) {
        let raw = c.ty.raw_key(dice);
        return c.ty.quote(&raw);
    }
    c.ty.literal(dice)
}

pub fn is_partition_column(schema: &Schema, table: usize, column: usize) -> bool {
    matches!(&schema.tables[table].kind, Kind::Parted { column: part, .. } if *part == column)
}

/// `INSERT` of one random row, without ending.
pub fn insert_row(dice: &mut Dice, schema: &Schema, table: usize) -> String {
    let t = &schema.tables[table];
    let which = t.writable();
    let values: Vec<String> = which.iter().map(|&i| value(dice, schema, table, i)).collect();
    format!("INSERT INTO {} ({}) VALUES ({})", t.name, t.list(&which), values.join(", "))
}

/// `INSERT` of `n` rows at once, without ending. Keys are new, other columns are of wider domains than single rows have, or of small ones.
pub fn insert_many(dice: &mut Dice, schema: &Schema, table: usize, n: usize, wide: bool) -> String {
    let t = &schema.tables[table];
    let which = t.writable();
    // products of two of them are integers still
    let start = dice.between(1, 4) * 3_000;
    let mut values = vec![];
    for &i in &which {
        let c = &t.columns[i];
        let unique = t.key.contains(&i) && !is_partition_column(schema, table, i) || t.unique.contains(&i);
        let step = dice.between(1, 7);
        values.push(if c.fk.is_some() {
            value(dice, schema, table, i)
        } else if unique {
            match c.ty {
                Ty::Small => "(g % 30000)::smallint".into(),
                ty if ty.is_number() => format!("({start} + g)::{}", ty.sql()),
                Ty::Text | Ty::NoCase | Ty::Citext => format!("('k' || {start} + g)::{}", c.ty.sql()),
                Ty::Uuid => format!("('00000000-0000-0000-0000-0000' || lpad(({start} + g)::text, 8, '0'))::uuid"),
                _ => value(dice, schema, table, i),
            }
        } else if wide && matches!(c.ty, Ty::Int | Ty::Big) && dice.chance(60) {
            format!("(g * {step}) % 300")
        } else {
            let some: Vec<String> = (0..4).map(|_| c.ty.literal(dice)).collect();
            let null = if c.nullable { format!("WHEN 4 THEN NULL::{} ", c.ty.sql()) } else { String::new() };
            format!(
                "CASE (g * {step}) % 5 WHEN 0 THEN {} WHEN 1 THEN {} WHEN 2 THEN {} {null}ELSE {} END",
                some[0], some[1], some[2], some[3]
            )
        });
    }
    format!(
        "INSERT INTO {} ({}) SELECT {} FROM generate_series(1, {n}) AS g",
        t.name,
        t.list(&which),
        values.join(", ")
    )
}
