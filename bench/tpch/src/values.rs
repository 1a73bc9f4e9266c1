//! Values for the columns, as SQL literals: few distinct ones, most of them near the constants of the queries, so that
//! rows move into and out of filters, groups and ties.
//!
//! Invariant: a value is legal for its column, whatever the row; some are of other columns of it. Called by `transaction`.

use crate::dice::Dice;

const REGIONS: [&str; 5] = ["AFRICA", "AMERICA", "ASIA", "EUROPE", "MIDDLE EAST"];
const NATIONS: [&str; 8] = ["FRANCE", "GERMANY", "BRAZIL", "CANADA", "SAUDI ARABIA", "INDIA", "KENYA", "PERU"];
const BRANDS: [&str; 6] = ["Brand#12", "Brand#23", "Brand#34", "Brand#45", "Brand#11", "Brand#55"];
const TYPES: [&str; 7] = [
    "ECONOMY ANODIZED STEEL",
    "PROMO BURNISHED BRASS",
    "STANDARD POLISHED BRASS",
    "MEDIUM POLISHED TIN",
    "MEDIUM PLATED BRASS",
    "PROMO PLATED COPPER",
    "SMALL BRUSHED NICKEL",
];
const CONTAINERS: [&str; 8] = ["MED BOX", "SM CASE", "SM BOX", "MED BAG", "MED PKG", "LG CASE", "LG PKG", "WRAP JAR"];
const NAMES: [&str; 5] = ["forest green almond", "forest red", "dark green lace", "red blue", "green"];
const SEGMENTS: [&str; 4] = ["BUILDING", "AUTOMOBILE", "MACHINERY", "FURNITURE"];
const PRIORITIES: [&str; 5] = ["1-URGENT", "2-HIGH", "3-MEDIUM", "4-NOT SPECIFIED", "5-LOW"];
const MODES: [&str; 6] = ["MAIL", "SHIP", "AIR", "AIR REG", "REG AIR", "TRUCK"];
const INSTRUCTIONS: [&str; 3] = ["DELIVER IN PERSON", "COLLECT COD", "NONE"];
const COUNTRIES: [&str; 9] = ["13", "31", "23", "29", "30", "18", "17", "10", "34"];
const SUPPLIER_COMMENTS: [&str; 3] = ["blithely Customer slyly Complaints", "Customer Recommends", "nothing"];
const ORDER_COMMENTS: [&str; 3] = ["some special packages, requests", "requests special", "carefully regular"];
/// Days at the borders of the queries' date ranges.
const DAYS: [&str; 14] = [
    "1993-07-01",
    "1993-10-01",
    "1993-12-31",
    "1994-01-01",
    "1994-06-15",
    "1995-01-01",
    "1995-03-14",
    "1995-03-15",
    "1995-03-16",
    "1995-09-01",
    "1996-01-01",
    "1996-03-31",
    "1998-09-02",
    "1998-09-03",
];

/// Columns that are changed, by table. Keys of other tables are among them.
pub fn columns(table: &str) -> &'static [&'static str] {
    match table {
        "region" => &["r_name", "r_comment"],
        "nation" => &["n_name", "n_regionkey"],
        "part" => &["p_name", "p_mfgr", "p_brand", "p_type", "p_size", "p_container", "p_retailprice"],
        "supplier" => &["s_name", "s_address", "s_nationkey", "s_phone", "s_acctbal", "s_comment"],
        "partsupp" => &["ps_availqty", "ps_supplycost", "ps_comment"],
        "customer" => &["c_name", "c_address", "c_nationkey", "c_phone", "c_acctbal", "c_mktsegment", "c_comment"],
        "orders" => &[
            "o_custkey",
            "o_orderstatus",
            "o_totalprice",
            "o_orderdate",
            "o_orderpriority",
            "o_clerk",
            "o_shippriority",
            "o_comment",
        ],
        _ => &[
            "l_quantity",
            "l_extendedprice",
            "l_discount",
            "l_tax",
            "l_returnflag",
            "l_linestatus",
            "l_shipdate",
            "l_commitdate",
            "l_receiptdate",
            "l_shipinstruct",
            "l_shipmode",
            "l_comment",
        ],
    }
}

/// A new value for a column that allows NULL.
pub fn value(dice: &mut Dice, column: &str) -> String {
    if dice.chance(6) { "NULL".into() } else { present(dice, column) }
}

fn quoted(dice: &mut Dice, from: &[&str]) -> String {
    format!("'{}'", dice.pick(from))
}

/// A new value that is not NULL. Some depend on the old one.
pub fn present(dice: &mut Dice, column: &str) -> String {
    match column {
        "r_name" => quoted(dice, &REGIONS),
        "n_name" => quoted(dice, &NATIONS),
        "n_regionkey" => dice.between(0, 4).to_string(),
        "s_nationkey" | "c_nationkey" => dice.pick(&[2, 3, 6, 7, 20, 8, 14, 17]).to_string(),
        "p_name" => quoted(dice, &NAMES),
        "p_mfgr" => format!("'Manufacturer#{}'", dice.between(1, 5)),
        "p_brand" => quoted(dice, &BRANDS),
        "p_type" => quoted(dice, &TYPES),
        "p_size" => dice.pick(&[15, 1, 3, 5, 9, 14, 49, 50]).to_string(),
        "p_container" => quoted(dice, &CONTAINERS),
        "s_name" => format!("'Supplier#{:09}'", dice.between(1, 40)),
        "s_phone" | "c_phone" => format!("'{}-{:03}-000-0000'", dice.pick(&COUNTRIES), dice.between(0, 999)),
        "s_acctbal" | "c_acctbal" | "o_totalprice" => price(dice, &column[..1], 900_000),
        "s_comment" => quoted(dice, &SUPPLIER_COMMENTS),
        "ps_availqty" => dice.pick(&[0, 1, 10, 50, 100, 9999]).to_string(),
        "ps_supplycost" => dice.pick(&["1.00", "1.01", "500.00", "999.99"]).to_string(),
        "c_mktsegment" => quoted(dice, &SEGMENTS),
        "o_custkey" => format!("(SELECT min(c_custkey) FROM customer WHERE c_custkey >= {})", dice.between(1, 1000)),
        "o_orderstatus" => quoted(dice, &["F", "O", "P"]),
        "o_orderpriority" => quoted(dice, &PRIORITIES),
        "o_shippriority" => dice.between(0, 1).to_string(),
        "o_comment" => quoted(dice, &ORDER_COMMENTS),
        "l_quantity" => dice.pick(&["1", "3", "11", "23.00", "24", "50", "120"]).to_string(),
        "l_extendedprice" => price(dice, "l", 90_000),
        "l_discount" => dice.pick(&["0.00", "0.05", "0.06", "0.07", "0.08", "0.10"]).to_string(),
        "l_tax" => dice.pick(&["0.00", "0.01", "0.08"]).to_string(),
        "l_returnflag" => quoted(dice, &["R", "A", "N"]),
        "l_linestatus" => quoted(dice, &["O", "F"]),
        "l_commitdate" | "l_receiptdate" if dice.chance(60) => {
            let other = if dice.chance(50) { "l_shipdate" } else { "l_commitdate" };
            format!("{other} + {}", dice.between(-1, 1))
        }
        "l_shipdate" | "l_commitdate" | "l_receiptdate" | "o_orderdate" => {
            format!("date '{}' + {}", dice.pick(&DAYS), dice.between(-1, 1))
        }
        "l_shipinstruct" => quoted(dice, &INSTRUCTIONS),
        "l_shipmode" => quoted(dice, &MODES),
        "p_retailprice" => price(dice, "p", 2_000),
        _ => format!("'{column} {}'", dice.between(1, 9)),
    }
}

/// Positive amounts of money, with ties.
fn price(dice: &mut Dice, kind: &str, most: i64) -> String {
    if kind == "c" && dice.chance(20) {
        return "-10.00".into();
    }
    match dice.between(0, 2) {
        0 => format!("{}.00", dice.pick(&[1, 100, 5000])),
        1 => format!("{}.00", most / 2),
        _ => format!("{}.{:02}", dice.between(1, most), dice.between(0, 99)),
    }
}
