//! Random transactions over the eight tables: inserts, updates, deletes, NULLs, keys that change or cascade, several
//! tables together, reads in between, savepoints.
//!
//! Invariant: a transaction depends on the seed and its number only, and on the contents of the tables through its own
//! SQL, so that a run can be repeated. Called by `check`.

mod aimed;

use crate::dice::Dice;
use crate::values::{columns, present, value};

/// One step of a transaction.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    Sql(String),
    /// Compare all TVIEWs from inside the transaction.
    Compare,
}

/// Number of rows of each table, for choosing among them.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    pub parts: i64,
    pub suppliers: i64,
    pub customers: i64,
    /// Highest key; every fourth key exists.
    pub orders: i64,
}

impl Sizes {
    pub fn of(scale: f64) -> Sizes {
        let n = |at_one: f64| ((at_one * scale) as i64).max(1);
        Sizes { parts: n(200_000.0), suppliers: n(10_000.0), customers: n(150_000.0), orders: n(6_000_000.0) }
    }
}

/// Keys of new rows start here.
const FRESH: i64 = 1_000_000_000;

struct Maker<'a> {
    dice: &'a mut Dice,
    sizes: Sizes,
    number: i64,
    /// New keys given out by this transaction.
    given: i64,
    steps: Vec<Step>,
}

/// Transaction `number` of a run, from BEGIN to COMMIT or ROLLBACK.
pub fn make(seed: u64, number: u64, sizes: Sizes) -> Vec<Step> {
    let mut dice = Dice::new(seed, number);
    let mut maker = Maker { dice: &mut dice, sizes, number: number as i64, given: 0, steps: Vec::new() };
    maker.transaction();
    maker.steps
}

impl Maker<'_> {
    fn transaction(&mut self) {
        let level = self.dice.weighted(&[(8, "READ COMMITTED"), (1, "REPEATABLE READ"), (1, "SERIALIZABLE")]);
        self.sql(format!("BEGIN ISOLATION LEVEL {level}"));
        let statements = self.dice.weighted(&[(4, 1), (3, 2), (2, 4), (1, 8)]);
        for _ in 0..statements {
            if self.dice.chance(10) {
                self.sql("SAVEPOINT s");
                self.change();
                if self.dice.chance(30) {
                    self.steps.push(Step::Compare);
                }
                let end = if self.dice.chance(60) { "ROLLBACK TO s" } else { "RELEASE s" };
                self.sql(end);
            } else {
                self.change();
            }
            if self.dice.chance(8) {
                self.steps.push(Step::Compare);
            }
        }
        let end = if self.dice.chance(5) { "ROLLBACK" } else { "COMMIT" };
        self.sql(end);
    }

    fn sql(&mut self, text: impl Into<String>) {
        self.steps.push(Step::Sql(text.into()));
    }

    fn change(&mut self) {
        let kind: fn(&mut Self) = self.dice.weighted(&[
            (30, Maker::update as fn(&mut Self)),
            (25, Maker::aimed as fn(&mut Self)),
            (10, Maker::new_orders as fn(&mut Self)),
            (8, Maker::delete_orders as fn(&mut Self)),
            (8, Maker::delete_lines as fn(&mut Self)),
            (6, Maker::new_parts as fn(&mut Self)),
            (4, Maker::new_people as fn(&mut Self)),
            (4, Maker::delete_others as fn(&mut Self)),
            (4, Maker::keys as fn(&mut Self)),
            (4, Maker::geography as fn(&mut Self)),
            (3, Maker::undone as fn(&mut Self)),
            (3, Maker::upsert as fn(&mut Self)),
            (1, Maker::truncate as fn(&mut Self)),
        ]);
        kind(self);
    }

    fn fresh(&mut self) -> i64 {
        self.given += 1;
        FRESH + self.number * 100 + self.given
    }

    /// A condition that chooses some rows of a table, all of which exist.
    fn some(&mut self, table: &str) -> String {
        let rows = self.dice.weighted(&[(50, 1), (25, 5), (15, 20), (8, 150), (2, 1500)]);
        self.rows(table, rows)
    }

    fn rows(&mut self, table: &str, rows: i64) -> String {
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

    fn table(&mut self) -> &'static str {
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

    fn update(&mut self) {
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

    fn new_orders(&mut self) {
        for _ in 0..self.dice.weighted(&[(6, 1), (3, 3), (1, 12)]) {
            let key = self.fresh();
            let values: Vec<String> = columns("orders").iter().map(|c| value(self.dice, c)).collect();
            self.sql(format!(
                "INSERT INTO orders (o_orderkey, {}) VALUES ({key}, {})",
                columns("orders").join(", "),
                values.join(", ")
            ));
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

    fn new_line(&mut self, order: i64, line: i64) {
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

    fn delete_orders(&mut self) {
        let rows = self.some("orders");
        if self.dice.chance(50) {
            self.sql(format!("DELETE FROM lineitem WHERE l_orderkey IN (SELECT o_orderkey FROM orders WHERE {rows})"));
        }
        self.sql(format!("DELETE FROM orders WHERE {rows}"));
    }

    fn delete_lines(&mut self) {
        let rows = self.some("lineitem");
        self.sql(format!("DELETE FROM lineitem WHERE {rows}"));
    }

    fn insert(&mut self, table: &str, key: &str, keys: &str, suffix: &str) {
        let values: Vec<String> = columns(table).iter().map(|c| value(self.dice, c)).collect();
        self.sql(format!(
            "INSERT INTO {table} ({key}, {}) SELECT {keys}, {}{suffix}",
            columns(table).join(", "),
            values.join(", ")
        ));
    }

    /// A part with suppliers, or more suppliers for old parts.
    fn new_parts(&mut self) {
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

    fn new_people(&mut self) {
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
            let values: Vec<String> = columns("partsupp").iter().map(|c| value(self.dice, c)).collect();
            self.sql(format!(
                "INSERT INTO partsupp (ps_partkey, ps_suppkey, {}) SELECT p_partkey, {key}, {} FROM part WHERE {parts}",
                columns("partsupp").join(", "),
                values.join(", ")
            ));
        }
    }

    /// Rows that others refer to; these go with them.
    fn delete_others(&mut self) {
        let table = self.dice.weighted(&[(4, "part"), (4, "partsupp"), (4, "customer"), (1, "supplier")]);
        let few = if table == "supplier" { 1 } else { self.dice.between(1, 6) };
        let rows = self.rows(table, few);
        self.sql(format!("DELETE FROM {table} WHERE {rows}"));
    }

    /// Primary keys change, with and without rows that follow.
    fn keys(&mut self) {
        let key = self.fresh();
        match self.dice.between(0, 6) {
            6 => {
                let (rows, column) = (self.rows("lineitem", 5), self.dice.pick(&["l_partkey", "l_suppkey"]));
                self.sql(format!("UPDATE lineitem SET {column} = NULL WHERE {rows}"));
            }
            0 => {
                let rows = self.rows("orders", 1);
                self.sql(format!("UPDATE orders SET o_orderkey = {key} WHERE {rows}"));
            }
            1 => {
                let rows = self.rows("part", 1);
                self.sql(format!("UPDATE part SET p_partkey = {key} WHERE {rows}"));
            }
            2 => {
                let rows = self.rows("customer", 1);
                self.sql(format!("UPDATE customer SET c_custkey = {key} WHERE {rows}"));
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

    /// Few rows with many rows behind them.
    fn geography(&mut self) {
        let nation = self.dice.between(0, 24);
        let region = self.dice.between(0, 4);
        match self.dice.between(0, 7) {
            6 | 7 => {
                // as it was at first
                self.sql("INSERT INTO region TABLE original_region ON CONFLICT (r_regionkey) DO UPDATE SET r_name = excluded.r_name");
                self.sql(
                    "INSERT INTO nation TABLE original_nation ON CONFLICT (n_nationkey) \
                     DO UPDATE SET n_name = excluded.n_name, n_regionkey = excluded.n_regionkey",
                );
                self.sql("UPDATE supplier SET s_nationkey = s_suppkey % 25 WHERE s_nationkey IS NULL");
                self.sql("UPDATE customer SET c_nationkey = c_custkey % 25 WHERE c_nationkey IS NULL");
            }
            0 => self.sql(format!("UPDATE nation SET n_regionkey = {region} WHERE n_nationkey = {nation}")),
            1 => {
                let name = present(self.dice, "n_name");
                self.sql(format!("UPDATE nation SET n_name = {name} WHERE n_nationkey = {nation}"));
            }
            2 => {
                let name = value(self.dice, "r_name");
                self.sql(format!("UPDATE region SET r_name = {name} WHERE r_regionkey = {region}"));
            }
            3 => {
                // a nation goes, and its people have none
                self.sql(format!("UPDATE supplier SET s_nationkey = NULL WHERE s_nationkey = {nation}"));
                self.sql(format!("UPDATE customer SET c_nationkey = NULL WHERE c_nationkey = {nation}"));
                self.sql(format!("DELETE FROM nation WHERE n_nationkey = {nation}"));
                if self.dice.chance(70) {
                    let name = present(self.dice, "n_name");
                    self.sql(format!("INSERT INTO nation VALUES ({nation}, {name}, {region})"));
                }
            }
            4 => {
                self.sql(format!("UPDATE nation SET n_regionkey = NULL WHERE n_regionkey = {region}"));
                self.sql(format!("DELETE FROM region WHERE r_regionkey = {region}"));
                let name = present(self.dice, "r_name");
                self.sql(format!("INSERT INTO region VALUES ({region}, {name})"));
                self.sql(format!("UPDATE nation SET n_regionkey = {region} WHERE n_regionkey IS NULL"));
            }
            _ => self.sql("UPDATE nation a SET n_name = b.n_name FROM nation b WHERE (a.n_nationkey, b.n_nationkey) IN ((6, 7), (7, 6), (2, 3), (3, 2))"),
        }
    }

    /// Written and taken back: nothing, in the end.
    fn undone(&mut self) {
        let rows = self.some("lineitem");
        self.sql(format!("UPDATE lineitem SET l_quantity = l_quantity + 1 WHERE {rows}"));
        self.sql("UPDATE orders SET o_totalprice = o_totalprice + 1 WHERE o_orderdate = date '1994-01-01'");
        self.sql(format!("UPDATE lineitem SET l_quantity = l_quantity - 1 WHERE {rows}"));
        self.sql("UPDATE orders SET o_totalprice = o_totalprice - 1 WHERE o_orderdate = date '1994-01-01'");
    }

    fn upsert(&mut self) {
        let part = self.dice.between(1, self.sizes.parts);
        let (quantity, cost) = (present(self.dice, "ps_availqty"), present(self.dice, "ps_supplycost"));
        self.sql(format!(
            "WITH gone AS (DELETE FROM lineitem WHERE l_partkey BETWEEN {part} AND {part} + 2 RETURNING l_partkey, l_suppkey) \
             INSERT INTO partsupp (ps_partkey, ps_suppkey, ps_availqty) SELECT DISTINCT l_partkey, l_suppkey, {quantity} FROM gone \
             WHERE l_partkey IS NOT NULL AND l_suppkey IS NOT NULL ON CONFLICT (ps_partkey, ps_suppkey) DO UPDATE SET ps_availqty = excluded.ps_availqty, ps_supplycost = {cost}"
        ));
    }

    /// All lines at once, most of them back, as a reload does.
    fn truncate(&mut self) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_run() {
        let sizes = Sizes::of(0.01);
        for number in 0..50 {
            assert_eq!(make(7, number, sizes), make(7, number, sizes));
        }
        assert_ne!(make(7, 1, sizes), make(8, 1, sizes));
    }

    #[test]
    fn transactions_begin_and_end() {
        for number in 0..200 {
            let steps = make(1, number, Sizes::of(0.01));
            let Some(Step::Sql(first)) = steps.first() else { panic!("no BEGIN") };
            assert!(first.starts_with("BEGIN"));
            let last = steps.last();
            assert!(last == Some(&Step::Sql("COMMIT".into())) || last == Some(&Step::Sql("ROLLBACK".into())));
        }
    }
}
