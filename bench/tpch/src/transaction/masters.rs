//! Parts, suppliers and customers: new ones, deleted ones with all that refers to them, offers that are made or changed.
//!
//! Invariant: what refers to them goes with them. Called by `Maker::write`.

use super::Maker;
use crate::values::present;

impl Maker<'_> {
    pub(super) fn insert(&mut self, table: &str, key: &str, keys: &str, suffix: &str) {
        let (list, values) = self.row(table);
        self.sql(format!("INSERT INTO {table} ({key}, {list}) SELECT {keys}, {values}{suffix}"));
    }

    /// A part with suppliers, or more suppliers for old parts.
    pub(super) fn new_parts(&mut self) {
        let suppliers = self.dice.between(1, self.sizes.suppliers);
        let key = if self.dice.chance(60) {
            let key = self.fresh();
            self.insert("part", "p_partkey", &key.to_string(), "");
            key.to_string()
        } else {
            let part = self.dice.between(1, self.sizes.parts);
            format!("(SELECT min(p_partkey) FROM part WHERE p_partkey >= {part})")
        };
        let from = format!(
            " FROM (SELECT s_suppkey FROM supplier WHERE s_suppkey >= {suppliers} ORDER BY 1 LIMIT {}) s ON CONFLICT DO NOTHING",
            self.dice.between(1, 4)
        );
        self.insert("partsupp", "ps_partkey, ps_suppkey", &format!("{key}, s_suppkey"), &from);
    }

    pub(super) fn new_people(&mut self) {
        let key = self.fresh();
        if self.dice.chance(50) {
            self.insert("customer", "c_custkey", &key.to_string(), "");
            if self.dice.chance(50) {
                let orders = self.rows("orders", 3);
                self.sql(format!("UPDATE orders SET o_custkey = {key} WHERE {orders}"));
            }
        } else {
            self.insert("supplier", "s_suppkey", &key.to_string(), "");
            let parts = self.rows("part", 5);
            let (list, values) = self.row("partsupp");
            self.sql(format!(
                "INSERT INTO partsupp (ps_partkey, ps_suppkey, {list}) SELECT p_partkey, {key}, {values} FROM part WHERE {parts}"
            ));
        }
    }

    /// Rows that others refer to; these go with them.
    pub(super) fn delete_others(&mut self) {
        let table = self.dice.weighted(&[(4, "part"), (4, "partsupp"), (4, "customer"), (1, "supplier")]);
        let few = if table == "supplier" { 1 } else { self.dice.between(1, 6) };
        let rows = self.rows(table, few);
        self.sql(format!("DELETE FROM {table} WHERE {rows}"));
    }

    pub(super) fn upsert(&mut self) {
        let part = self.dice.between(1, self.sizes.parts);
        let (quantity, cost) = (present(self.dice, "ps_availqty"), present(self.dice, "ps_supplycost"));
        self.sql(format!(
            "WITH gone AS (DELETE FROM lineitem WHERE l_partkey BETWEEN {part} AND {part} + 2 RETURNING l_partkey, l_suppkey) \
             INSERT INTO partsupp (ps_partkey, ps_suppkey, ps_availqty) SELECT DISTINCT l_partkey, l_suppkey, {quantity} FROM gone \
             WHERE l_partkey IS NOT NULL AND l_suppkey IS NOT NULL ON CONFLICT (ps_partkey, ps_suppkey) DO UPDATE SET ps_availqty = excluded.ps_availqty, ps_supplycost = {cost}"
        ));
    }
}
