//! What the 22 queries are sensitive to: conditions that their rows meet, and writes over their thresholds.
//!
//! Invariant: text only; every statement is true to the constraints of the tables. Called by `transaction`.

use super::Maker;

impl Maker<'_> {
    /// A condition that rows of some query meet.
    pub(super) fn relevant(&mut self, table: &str) -> &'static str {
        let conditions: &[&str] = match table {
            "lineitem" => &[
                "l_orderkey IN (SELECT o_orderkey FROM q18)",
                "l_orderkey IN (SELECT l_orderkey FROM q03)",
                "l_suppkey IN (SELECT s_suppkey FROM q15)",
                "l_partkey IN (SELECT p_partkey FROM part WHERE p_brand = 'Brand#23' AND p_container = 'MED BOX')",
                "l_partkey IN (SELECT p_partkey FROM part WHERE p_name LIKE 'forest%')",
                "l_shipdate BETWEEN date '1994-01-01' AND date '1995-01-01' AND l_discount BETWEEN 0.05 AND 0.07",
                "l_shipmode IN ('MAIL', 'SHIP') AND l_commitdate < l_receiptdate",
                "l_receiptdate > l_commitdate AND l_suppkey IN (SELECT s_suppkey FROM supplier WHERE s_nationkey = 20)",
                "l_shipdate BETWEEN date '1995-09-01' AND date '1995-10-01'",
                "l_returnflag = 'R'",
            ],
            "orders" => &[
                "o_custkey IN (SELECT c_custkey FROM q10)",
                "o_orderkey IN (SELECT o_orderkey FROM q18)",
                "o_orderdate BETWEEN date '1993-07-01' AND date '1993-10-01'",
                "o_orderdate < date '1995-03-15' AND o_custkey IN (SELECT c_custkey FROM customer WHERE c_mktsegment = 'BUILDING')",
                "o_comment LIKE '%special%requests%'",
            ],
            "customer" => &[
                "c_custkey IN (SELECT c_custkey FROM q10)",
                "c_mktsegment = 'BUILDING'",
                "NOT EXISTS (SELECT FROM orders WHERE o_custkey = c_custkey)",
                "c_phone LIKE '13%'",
            ],
            "supplier" => &[
                "s_suppkey IN (SELECT s_suppkey FROM q15)",
                "s_nationkey IN (3, 7, 20)",
                "s_comment LIKE '%Customer%'",
            ],
            "part" => &[
                "p_partkey IN (SELECT p_partkey FROM q02)",
                "p_size = 15",
                "p_brand = 'Brand#23'",
                "p_type LIKE 'PROMO%'",
                "p_name LIKE '%green%'",
                "p_type = 'ECONOMY ANODIZED STEEL'",
            ],
            "partsupp" => &[
                "ps_partkey IN (SELECT p_partkey FROM q02)",
                "ps_partkey IN (SELECT ps_partkey FROM q11)",
                "ps_partkey IN (SELECT p_partkey FROM part WHERE p_name LIKE 'forest%')",
                "ps_suppkey IN (SELECT s_suppkey FROM supplier WHERE s_nationkey = 7)",
            ],
            "nation" => &["n_name IN ('FRANCE', 'GERMANY', 'BRAZIL', 'CANADA', 'SAUDI ARABIA')"],
            _ => &["r_name IN ('EUROPE', 'ASIA', 'AMERICA')"],
        };
        self.dice.pick(conditions)
    }

    /// A change that one of the queries is sensitive to.
    pub(super) fn aimed(&mut self) {
        let key = self.dice.between(1, self.sizes.orders);
        let part = self.dice.between(1, self.sizes.parts);
        let supplier = self.dice.between(1, self.sizes.suppliers);
        let customer = self.dice.between(1, self.sizes.customers);
        let order = format!("(SELECT min(o_orderkey) FROM orders WHERE o_orderkey >= {key})");
        let statements = [
            // 18: over the threshold and back
            format!("UPDATE lineitem SET l_quantity = l_quantity + 60 WHERE l_orderkey = {order}"),
            "UPDATE lineitem SET l_quantity = 1 WHERE l_orderkey IN (SELECT o_orderkey FROM q18 ORDER BY o_orderkey LIMIT 2)".into(),
            // 2: the minimum leaves, is tied, is beaten
            "UPDATE partsupp SET ps_supplycost = ps_supplycost + 100 WHERE ps_partkey IN (SELECT p_partkey FROM q02 ORDER BY 1 LIMIT 3)".into(),
            format!(
                "UPDATE partsupp p SET ps_supplycost = (SELECT min(ps_supplycost) FROM partsupp m WHERE m.ps_partkey = p.ps_partkey) \
                 WHERE ps_partkey BETWEEN {part} AND {part} + 20"
            ),
            format!("UPDATE part SET p_size = 15, p_type = 'SMALL PLATED BRASS' WHERE p_partkey BETWEEN {part} AND {part} + 20"),
            // 15: another top supplier, and a tie
            format!(
                "UPDATE lineitem SET l_extendedprice = 500000, l_shipdate = date '1996-02-01' WHERE l_suppkey = {supplier} \
                 AND l_orderkey IN (SELECT l_orderkey FROM lineitem WHERE l_suppkey = {supplier} ORDER BY 1 LIMIT 4)"
            ),
            "UPDATE lineitem SET l_extendedprice = 1 WHERE l_shipdate >= date '1996-01-01' AND l_shipdate < date '1996-04-01' \
             AND l_suppkey IN (SELECT s_suppkey FROM q15)"
                .into(),
            // 17: the average of a part moves
            "UPDATE part SET p_brand = 'Brand#23', p_container = 'MED BOX' WHERE p_partkey IN \
             (SELECT p_partkey FROM part WHERE p_brand LIKE 'Brand#2%' ORDER BY p_name, p_partkey LIMIT 3)"
                .into(),
            "UPDATE lineitem SET l_quantity = CASE WHEN l_linenumber = 1 THEN 1 ELSE l_quantity + 9 END WHERE l_partkey IN \
             (SELECT p_partkey FROM part WHERE p_brand = 'Brand#23' AND p_container = 'MED BOX')"
                .into(),
            // 19
            "UPDATE lineitem SET l_shipmode = 'AIR', l_shipinstruct = 'DELIVER IN PERSON', l_quantity = 5 WHERE l_partkey IN \
             (SELECT p_partkey FROM part WHERE p_brand = 'Brand#12' ORDER BY p_size, p_partkey LIMIT 5)"
                .into(),
            "UPDATE part SET p_container = 'SM BOX', p_size = 3 WHERE p_brand = 'Brand#12' AND p_partkey IN \
             (SELECT p_partkey FROM part WHERE p_brand = 'Brand#12' ORDER BY p_size, p_partkey LIMIT 5)"
                .into(),
            "UPDATE part SET p_container = 'MED PKG', p_size = p_size % 10 + 1 WHERE p_brand = 'Brand#23' AND p_partkey IN \
             (SELECT l_partkey FROM lineitem WHERE l_shipmode IN ('AIR', 'AIR REG') AND l_quantity BETWEEN 10 AND 20)"
                .into(),
            // 20
            format!("UPDATE part SET p_name = 'forest brown' WHERE p_partkey BETWEEN {part} AND {part} + 9"),
            "UPDATE partsupp SET ps_availqty = 1 WHERE ps_partkey IN (SELECT p_partkey FROM part WHERE p_name LIKE 'forest%')".into(),
            format!("UPDATE supplier SET s_nationkey = 3 WHERE s_suppkey BETWEEN {supplier} AND {supplier} + 2"),
            // 21 and 4: late and in time
            format!("UPDATE lineitem SET l_receiptdate = l_commitdate + 1 WHERE l_orderkey = {order} AND l_linenumber = 1"),
            format!("UPDATE lineitem SET l_receiptdate = l_commitdate WHERE l_orderkey BETWEEN {key} AND {key} + 64"),
            format!("UPDATE supplier SET s_nationkey = 20 WHERE s_suppkey BETWEEN {supplier} AND {supplier} + 2"),
            format!("UPDATE orders SET o_orderstatus = 'F' WHERE o_orderkey BETWEEN {key} AND {key} + 200"),
            // 13 and 22: from one customer to another, and the first and last order of one
            format!(
                "UPDATE orders SET o_custkey = (SELECT min(c_custkey) FROM customer WHERE c_custkey >= {customer}) \
                 WHERE o_orderkey BETWEEN {key} AND {key} + 40"
            ),
            format!("DELETE FROM orders WHERE o_custkey BETWEEN {customer} AND {customer} + 2"),
            format!("UPDATE customer SET c_acctbal = c_acctbal + 5000 WHERE c_custkey BETWEEN {customer} AND {customer} + 30"),
            // 16
            format!("UPDATE supplier SET s_comment = 'Customer Complaints' WHERE s_suppkey = {supplier}"),
            // 11: the threshold moves with everything
            "UPDATE partsupp SET ps_availqty = ps_availqty + 2000 WHERE ps_partkey IN (SELECT ps_partkey FROM q11 ORDER BY 1 LIMIT 4)".into(),
            // 8 and 14: the shares of a type and of promotions
            "UPDATE part SET p_type = 'ECONOMY ANODIZED STEEL' WHERE p_type LIKE 'ECONOMY ANODIZED%' AND p_size < 25".into(),
            format!("UPDATE part SET p_type = 'PROMO PLATED STEEL' WHERE p_partkey BETWEEN {part} AND {part} + 9"),
            format!("UPDATE supplier SET s_nationkey = 2 WHERE s_suppkey BETWEEN {supplier} AND {supplier} + 4"),
            // two nations of one name
            "UPDATE nation SET n_name = (SELECT n_name FROM nation WHERE n_nationkey = 8) WHERE n_nationkey = 9".into(),
        ];
        let chosen = self.dice.between(0, statements.len() as i64 - 1) as usize;
        self.sql(statements[chosen].clone());
    }
}
