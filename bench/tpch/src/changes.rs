//! What `bench` changes for each query: rows of the largest table that the query reads, chosen among the rows that it
//! uses, in columns that it uses.
//!
//! Invariant: all rows stay what the schema allows, however often they are changed. Called by `bench`.

use crate::query::Query;

pub struct Change {
    pub table: &'static str,
    /// Primary key.
    pub key: &'static str,
    /// Changes every column of the table that a query computes with; all rows stay what the schema allows.
    pub set: &'static str,
    /// FROM and WHERE that give the keys of rows that the query uses.
    pub relevant: &'static str,
}

const LINEITEM: (&str, &str, &str) = (
    "lineitem",
    "l_orderkey, l_linenumber",
    "l_quantity = l_quantity % 50 + 1, l_extendedprice = l_extendedprice + 1, l_receiptdate = l_receiptdate + 1",
);
const PARTSUPP: (&str, &str, &str) =
    ("partsupp", "ps_partkey, ps_suppkey", "ps_supplycost = ps_supplycost + 0.01, ps_availqty = ps_availqty + 1");
/// A third of the customers has no orders; three further on is one of the same kind.
const ORDERS: (&str, &str, &str) =
    ("orders", "o_orderkey", "o_custkey = CASE WHEN o_custkey > 3 THEN o_custkey - 3 ELSE o_custkey + 3 END");
const PART: (&str, &str, &str) = (
    "part",
    "p_partkey",
    "p_size = CASE p_size WHEN 49 THEN 14 WHEN 14 THEN 23 WHEN 23 THEN 45 WHEN 45 THEN 19 WHEN 19 THEN 3 ELSE 49 END",
);

pub fn of(query: &Query) -> Change {
    let ((table, key, set), relevant) = match query.number {
        2 => (
            PARTSUPP,
            "FROM part, partsupp, supplier, nation, region WHERE p_partkey = ps_partkey AND s_suppkey = ps_suppkey AND p_size = 15 \
             AND p_type LIKE '%BRASS' AND s_nationkey = n_nationkey AND n_regionkey = r_regionkey AND r_name = 'EUROPE'",
        ),
        3 => (
            LINEITEM,
            "FROM customer, orders, lineitem WHERE c_mktsegment = 'BUILDING' AND c_custkey = o_custkey AND l_orderkey = o_orderkey \
             AND o_orderdate < date '1995-03-15' AND l_shipdate > date '1995-03-15'",
        ),
        4 => (
            LINEITEM,
            "FROM orders, lineitem WHERE l_orderkey = o_orderkey AND o_orderdate >= date '1993-07-01' AND o_orderdate < date '1993-10-01'",
        ),
        5 => (
            LINEITEM,
            "FROM customer, orders, lineitem, supplier, nation, region WHERE c_custkey = o_custkey AND l_orderkey = o_orderkey \
             AND l_suppkey = s_suppkey AND c_nationkey = s_nationkey AND s_nationkey = n_nationkey AND n_regionkey = r_regionkey \
             AND r_name = 'ASIA' AND o_orderdate >= date '1994-01-01' AND o_orderdate < date '1995-01-01'",
        ),
        6 => (
            LINEITEM,
            "FROM lineitem WHERE l_shipdate >= date '1994-01-01' AND l_shipdate < date '1995-01-01' \
             AND l_discount BETWEEN 0.05 AND 0.07 AND l_quantity < 24",
        ),
        7 => (
            LINEITEM,
            "FROM supplier, lineitem, orders, customer, nation n1, nation n2 WHERE s_suppkey = l_suppkey AND o_orderkey = l_orderkey \
             AND c_custkey = o_custkey AND s_nationkey = n1.n_nationkey AND c_nationkey = n2.n_nationkey \
             AND (n1.n_name, n2.n_name) IN (('FRANCE', 'GERMANY'), ('GERMANY', 'FRANCE')) \
             AND l_shipdate BETWEEN date '1995-01-01' AND date '1996-12-31'",
        ),
        8 => (
            LINEITEM,
            "FROM part, lineitem, orders, customer, nation, region WHERE p_partkey = l_partkey AND l_orderkey = o_orderkey \
             AND o_custkey = c_custkey AND c_nationkey = n_nationkey AND n_regionkey = r_regionkey AND r_name = 'AMERICA' \
             AND o_orderdate BETWEEN date '1995-01-01' AND date '1996-12-31' AND p_type = 'ECONOMY ANODIZED STEEL'",
        ),
        9 => (LINEITEM, "FROM part, lineitem WHERE p_partkey = l_partkey AND p_name LIKE '%green%'"),
        10 => (
            LINEITEM,
            "FROM orders, lineitem WHERE l_orderkey = o_orderkey AND o_orderdate >= date '1993-10-01' \
             AND o_orderdate < date '1994-01-01' AND l_returnflag = 'R'",
        ),
        11 => (
            PARTSUPP,
            "FROM partsupp, supplier, nation WHERE ps_suppkey = s_suppkey AND s_nationkey = n_nationkey AND n_name = 'GERMANY'",
        ),
        12 => (
            LINEITEM,
            "FROM lineitem WHERE l_shipmode IN ('MAIL', 'SHIP') AND l_commitdate < l_receiptdate AND l_shipdate < l_commitdate \
             AND l_receiptdate >= date '1994-01-01' AND l_receiptdate < date '1995-01-01'",
        ),
        13 => (ORDERS, "FROM orders WHERE o_comment NOT LIKE '%special%requests%'"),
        14 => (LINEITEM, "FROM lineitem WHERE l_shipdate >= date '1995-09-01' AND l_shipdate < date '1995-10-01'"),
        15 => (LINEITEM, "FROM lineitem WHERE l_shipdate >= date '1996-01-01' AND l_shipdate < date '1996-04-01'"),
        16 => (
            PART,
            "FROM part WHERE p_brand <> 'Brand#45' AND p_type NOT LIKE 'MEDIUM POLISHED%' AND p_size IN (49, 14, 23, 45, 19, 3, 36, 9)",
        ),
        17 => (
            LINEITEM,
            "FROM part, lineitem WHERE p_partkey = l_partkey AND p_brand = 'Brand#23' AND p_container = 'MED BOX'",
        ),
        18 => (
            LINEITEM,
            "FROM lineitem WHERE l_orderkey IN (SELECT l_orderkey FROM lineitem GROUP BY l_orderkey HAVING sum(l_quantity) > 300)",
        ),
        19 => (
            LINEITEM,
            "FROM part, lineitem WHERE p_partkey = l_partkey AND l_shipinstruct = 'DELIVER IN PERSON' AND l_shipmode IN ('AIR', 'AIR REG') \
             AND (p_brand = 'Brand#12' AND p_container IN ('SM CASE', 'SM BOX', 'SM PACK', 'SM PKG') AND l_quantity BETWEEN 1 AND 11 \
             AND p_size BETWEEN 1 AND 5 OR p_brand = 'Brand#23' AND p_container IN ('MED BAG', 'MED BOX', 'MED PKG', 'MED PACK') \
             AND l_quantity BETWEEN 10 AND 20 AND p_size BETWEEN 1 AND 10 OR p_brand = 'Brand#34' \
             AND p_container IN ('LG CASE', 'LG BOX', 'LG PACK', 'LG PKG') AND l_quantity BETWEEN 20 AND 30 AND p_size BETWEEN 1 AND 15)",
        ),
        20 => (
            LINEITEM,
            "FROM part, lineitem WHERE p_partkey = l_partkey AND p_name LIKE 'forest%' AND l_shipdate >= date '1994-01-01' \
             AND l_shipdate < date '1995-01-01'",
        ),
        21 => (
            LINEITEM,
            "FROM supplier, lineitem, orders, nation WHERE s_suppkey = l_suppkey AND o_orderkey = l_orderkey AND o_orderstatus = 'F' \
             AND l_receiptdate > l_commitdate AND s_nationkey = n_nationkey AND n_name = 'SAUDI ARABIA'",
        ),
        22 => (
            ORDERS,
            "FROM orders, customer WHERE o_custkey = c_custkey AND substring(c_phone from 1 for 2) IN ('13', '31', '23', '29', '30', '18', '17')",
        ),
        _ => (LINEITEM, "FROM lineitem WHERE l_shipdate <= date '1998-09-02'"),
    };
    Change { table, key, set, relevant }
}
