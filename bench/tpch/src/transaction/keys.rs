//! Primary keys change, with and without rows that follow.
//!
//! Invariant: no row has a new key. Called by `Maker::write`.

use super::Maker;

impl Maker<'_> {
    pub(super) fn keys(&mut self) {
        let key = self.fresh();
        match self.dice.between(0, 6) {
            6 => {
                let (rows, column) = (self.rows("lineitem", 5), self.dice.pick(&["l_partkey", "l_suppkey"]));
                self.sql(format!("UPDATE lineitem SET {column} = NULL WHERE {rows}"));
            }
            kind @ 0..=2 => {
                let (table, column) =
                    [("orders", "o_orderkey"), ("part", "p_partkey"), ("customer", "c_custkey")][kind as usize];
                let rows = self.rows(table, 1);
                self.sql(format!("UPDATE {table} SET {column} = {key} WHERE {rows}"));
            }
            3 => {
                let rows = self.rows("lineitem", 20);
                self.sql(format!("UPDATE lineitem SET l_linenumber = l_linenumber + {key} WHERE {rows}"));
            }
            4 => {
                // to another order
                let rows = self.rows("lineitem", 3);
                let order = self.dice.between(1, self.sizes.orders);
                self.sql(format!(
                    "UPDATE lineitem SET l_linenumber = l_linenumber + 200 + (l_orderkey % 1000000000)::int, \
                     l_orderkey = (SELECT min(o_orderkey) FROM orders WHERE o_orderkey >= {order}) WHERE {rows}"
                ));
            }
            _ => {
                // to another supplier of the part
                let rows = self.rows("lineitem", 20);
                self.sql(format!(
                    "UPDATE lineitem l SET l_suppkey = (SELECT max(ps_suppkey) FROM partsupp WHERE ps_partkey = l.l_partkey) WHERE {rows} \
                     AND l_partkey IN (SELECT ps_partkey FROM partsupp)"
                ));
            }
        }
    }
}
