//! Trees of tables: partitions by list, range or hash, partitions of partitions, children by inheritance.
//! Invariant: a partitioned table has a place for every row, by a default or because the bounds cover all. Called by `table`.

use super::table::Maker;
use super::{Column, Kind};
use crate::hazards::Hazard;
use crate::names::ident;
use crate::types::Ty;

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Shape {
    Plain,
    List,
    Range,
    Hash,
    Parent,
}

impl Shape {
    pub const WEIGHTS: &[(u32, Shape)] =
        &[(66, Shape::Plain), (10, Shape::List), (8, Shape::Range), (4, Shape::Hash), (12, Shape::Parent)];

    /// How it is partitioned, if it is.
    pub fn method(self) -> Option<&'static str> {
        match self {
            Shape::List => Some("LIST"),
            Shape::Range => Some("RANGE"),
            Shape::Hash => Some("HASH"),
            Shape::Plain | Shape::Parent => None,
        }
    }
}

/// The table at the top.
#[derive(Clone, Copy)]
pub(super) struct Root<'a> {
    pub name: &'a str,
    /// without quotes
    pub bare: &'a str,
    pub columns: &'a [Column],
    pub note: &'a str,
}

impl Maker<'_> {
    pub(super) fn partition_column(&self, columns: &[Column]) -> usize {
        let able: Vec<usize> = (0..columns.len())
            .filter(|&i| columns[i].ty == Ty::Int && columns[i].fk.is_none() && !columns[i].generated)
            .collect();
        able.into_iter().find(|&i| columns[i].name != "id").unwrap_or(0)
    }

    pub(super) fn children(&mut self, root: &Root) -> Kind {
        let Root { name, bare, .. } = *root;
        let child = ident(&format!("{bare}_child"));
        self.ddl(format!("CREATE TABLE {child} (child_extra int) INHERITS ({name})"));
        if self.dice.chance(40) {
            let below = ident(&format!("{bare}_grandchild"));
            self.ddl(format!("CREATE TABLE {below} (more int) INHERITS ({child})"));
            self.note(Hazard::Grandchild);
        }
        Kind::Parent { child }
    }

    /// `reordered`: one leaf has another physical order of columns.
    pub(super) fn partitions(&mut self, shape: Shape, root: &Root, column: usize, reordered: bool) -> Kind {
        let Root { name, bare, columns, note } = *root;
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
                let mut own: Vec<String> = columns
                    .iter()
                    .map(|c| format!("{} {}{}", c.name, c.ty.sql(), if c.nullable { "" } else { " NOT NULL" }))
                    .collect();
                own.push(format!("{note} int DEFAULT 0"));
                own.reverse();
                self.ddl(format!("CREATE TABLE {leaf} ({})", own.join(", ")));
                self.ddl(format!("ALTER TABLE {name} ATTACH PARTITION {leaf} {bound}"));
            } else if i == 0 && deeper {
                self.note(Hazard::SubPartition);
                let by = &columns[column].name;
                self.ddl(format!("CREATE TABLE {leaf} PARTITION OF {name} {bound} PARTITION BY RANGE ({by})"));
                for (j, bound) in ["FROM (MINVALUE) TO (1)", "FROM (1) TO (MAXVALUE)"].iter().enumerate() {
                    let sub = ident(&format!("{bare}_p0{j}"));
                    self.ddl(format!("CREATE TABLE {sub} PARTITION OF {leaf} FOR VALUES {bound}"));
                    below.push(sub);
                }
            } else {
                self.ddl(format!("CREATE TABLE {leaf} PARTITION OF {name} {bound}"));
            }
            leaves.push(leaf);
        }
        Kind::Parted { column, leaves, bounds: bounds.map(String::from).to_vec(), below }
    }
}
