//! Orders and their lines: new ones, deleted ones, all of them at once.
//!
//! Invariant: a line belongs to an order, and to a part with one of its suppliers. Called by `Maker::write`.

use super::{Maker, Step};
use crate::values::{columns, value};

impl Maker<'_> {
    pub(super) fn new_orders(&mut self) {
        for _ in 0..self.dice.weighted(&[(6, 1), (3, 3), (1, 12)]) {
            let key = self.fresh();
            let (list, values) = self.row("orders");
            self.sql(format!("INSERT INTO orders (o_orderkey, {list}) VALUES ({key}, {values})"));
            let lines = self.dice.between(0, 7);
            for line in 1..=lines {
                self.new_line(key, line);
            }
        }
        if self.dice.chance(20) {
            // more lines for orders that were there
            let key = self.dice.between(1, self.sizes.orders);
            self.sql(format!(
                "INSERT INTO lineitem SELECT l_orderkey, l_partkey, l_suppkey, l_linenumber + 100 + {}, l_quantity, l_extendedprice, l_discount, l_tax, \
                 l_returnflag, l_linestatus, l_shipdate, l_commitdate, l_receiptdate, l_shipinstruct, l_shipmode, l_comment FROM lineitem \
                 WHERE l_orderkey BETWEEN {key} AND {key} + 60 ON CONFLICT DO NOTHING",
                self.number
            ));
        }
    }

    pub(super) fn new_line(&mut self, order: i64, line: i64) {
        let part = self.dice.between(1, self.sizes.parts);
        let values: Vec<String> = columns("lineitem")
            .iter()
            .map(|c| match *c {
                // no old row to take them from
                "l_commitdate" | "l_receiptdate" => "date '1994-03-02'".to_string(),
                _ => value(self.dice, c),
            })
            .collect();
        self.sql(format!(
            "INSERT INTO lineitem (l_orderkey, l_linenumber, l_partkey, l_suppkey, {}) SELECT {order}, {line}, ps_partkey, ps_suppkey, {} \
             FROM (SELECT * FROM partsupp WHERE ps_partkey >= {part} ORDER BY ps_partkey, ps_suppkey LIMIT 1) ps",
            columns("lineitem").join(", "),
            values.join(", ")
        ));
    }

    pub(super) fn delete_orders(&mut self) {
        let rows = self.some("orders");
        if self.dice.chance(50) {
            self.sql(format!("DELETE FROM lineitem WHERE l_orderkey IN (SELECT o_orderkey FROM orders WHERE {rows})"));
        }
        self.sql(format!("DELETE FROM orders WHERE {rows}"));
    }

    pub(super) fn delete_lines(&mut self) {
        let rows = self.some("lineitem");
        self.sql(format!("DELETE FROM lineitem WHERE {rows}"));
    }

    /// All lines at once, most of them back, as a reload does.
    pub(super) fn truncate(&mut self) {
        self.sql("CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM lineitem");
        self.sql("TRUNCATE lineitem");
        if self.dice.chance(30) {
            self.steps.push(Step::Compare);
        }
        let dropped = self.dice.between(0, 30);
        self.sql(format!("INSERT INTO lineitem SELECT * FROM kept WHERE l_orderkey % 97 <> {dropped}"));
        self.sql("DROP TABLE kept");
    }
}
