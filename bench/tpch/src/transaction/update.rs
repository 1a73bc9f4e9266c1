//! Updates of any columns, and some that are taken back.
//!
//! Invariant: primary keys stay. Called by `Maker::write`.

use super::Maker;
use crate::values::{columns, value};

impl Maker<'_> {
    pub(super) fn update(&mut self) {
        let table = self.table();
        let columns = columns(table);
        let mut set: Vec<String> = Vec::new();
        for _ in 0..self.dice.weighted(&[(6, 1), (3, 2), (1, 4)]) {
            let column = self.dice.pick(columns);
            if !set.iter().any(|s| s.starts_with(&format!("{column} = "))) {
                set.push(format!("{column} = {}", value(self.dice, column)));
            }
        }
        let rows = self.some(table);
        self.sql(format!("UPDATE {table} SET {} WHERE {rows}", set.join(", ")));
    }

    /// Written and taken back: nothing, in the end.
    pub(super) fn undone(&mut self) {
        let rows = self.some("lineitem");
        self.sql(format!("UPDATE lineitem SET l_quantity = l_quantity + 1 WHERE {rows}"));
        self.sql("UPDATE orders SET o_totalprice = o_totalprice + 1 WHERE o_orderdate = date '1994-01-01'");
        self.sql(format!("UPDATE lineitem SET l_quantity = l_quantity - 1 WHERE {rows}"));
        self.sql("UPDATE orders SET o_totalprice = o_totalprice - 1 WHERE o_orderdate = date '1994-01-01'");
    }
}
