//! Conditions that choose rows of a table, and values for a new one.
//!
//! Invariant: chosen rows exist, and are the same ones for the same contents. Called by all kinds of writes.

use super::{FRESH, Maker};
use crate::values::{columns, value};

impl Maker<'_> {
    /// A condition that chooses some rows of a table, all of which exist.
    pub(super) fn some(&mut self, table: &str) -> String {
        let rows = self.dice.weighted(&[(50, 1), (25, 5), (15, 20), (8, 150), (2, 1500)]);
        self.rows(table, rows)
    }

    /// The same for about so many.
    pub(super) fn rows(&mut self, table: &str, rows: i64) -> String {
        let (key, most) = match table {
            "region" => ("r_regionkey", 4),
            "nation" => ("n_nationkey", 24),
            "part" => ("p_partkey", self.sizes.parts),
            "supplier" => ("s_suppkey", self.sizes.suppliers),
            "partsupp" => ("ps_partkey, ps_suppkey", self.sizes.parts),
            "customer" => ("c_custkey", self.sizes.customers),
            "orders" => ("o_orderkey", self.sizes.orders),
            _ => ("l_orderkey, l_linenumber", self.sizes.orders),
        };
        // A supplier has many rows elsewhere, a nation even more.
        let rows = if most < 200 { rows.min(3) } else { rows };
        let first = key.split(',').next().unwrap_or(key);
        let from = if self.dice.chance(8) { FRESH } else { self.dice.between(1, most.max(2) - 1) };
        let relevant = if self.dice.chance(50) { self.relevant(table) } else { "true" };
        format!(
            "({key}) IN (SELECT {key} FROM {table} WHERE {first} >= {from} AND {relevant} ORDER BY {key} LIMIT {rows})"
        )
    }

    /// A table to write, the larger the more often.
    pub(super) fn table(&mut self) -> &'static str {
        self.dice.weighted(&[
            (40, "lineitem"),
            (20, "orders"),
            (10, "partsupp"),
            (10, "part"),
            (8, "customer"),
            (8, "supplier"),
            (3, "nation"),
            (1, "region"),
        ])
    }

    /// Columns other than the key, and values for them.
    pub(super) fn row(&mut self, table: &str) -> (String, String) {
        let values: Vec<String> = columns(table).iter().map(|c| value(self.dice, c)).collect();
        (columns(table).join(", "), values.join(", "))
    }
}
