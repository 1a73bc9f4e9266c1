//! The 22 queries, with the substitution parameters that the specification gives for validation, one file each.
//!
//! Invariant: their text is used as it is, ORDER BY and LIMIT included; only the fraction of query 11 follows the scale
//! factor, as the specification says. Called by everyone here.

use anyhow::Result;
use postgres::Client;

const TEXTS: [&str; 22] = [
    include_str!("../queries/q01.sql"),
    include_str!("../queries/q02.sql"),
    include_str!("../queries/q03.sql"),
    include_str!("../queries/q04.sql"),
    include_str!("../queries/q05.sql"),
    include_str!("../queries/q06.sql"),
    include_str!("../queries/q07.sql"),
    include_str!("../queries/q08.sql"),
    include_str!("../queries/q09.sql"),
    include_str!("../queries/q10.sql"),
    include_str!("../queries/q11.sql"),
    include_str!("../queries/q12.sql"),
    include_str!("../queries/q13.sql"),
    include_str!("../queries/q14.sql"),
    include_str!("../queries/q15.sql"),
    include_str!("../queries/q16.sql"),
    include_str!("../queries/q17.sql"),
    include_str!("../queries/q18.sql"),
    include_str!("../queries/q19.sql"),
    include_str!("../queries/q20.sql"),
    include_str!("../queries/q21.sql"),
    include_str!("../queries/q22.sql"),
];

pub struct Query {
    pub number: usize,
    /// Name of its TVIEW.
    pub name: String,
    /// Without semicolon.
    pub text: String,
    pub top: Option<Top>,
}

/// Sort keys and number of rows of a query with LIMIT.
pub struct Top {
    pub rows: u32,
    /// The query without LIMIT.
    pub unlimited: String,
    /// As in ORDER BY; all of them are output columns.
    pub order: String,
    pub columns: Vec<String>,
}

/// All of them, for data of a scale factor.
pub fn all(scale: f64) -> Vec<Query> {
    TEXTS.iter().enumerate().map(|(i, text)| one(i + 1, text, scale)).collect()
}

fn one(number: usize, text: &str, scale: f64) -> Query {
    let mut text = text.trim_end().trim_end_matches(';').to_string();
    if number == 11 {
        text = text.replace("0.0001", &format!("{:.10}", 0.0001 / scale));
    }
    let top = text.rsplit_once("\nlimit ").map(|(unlimited, rows)| {
        let order = unlimited.rsplit_once("order by\n").map_or("", |(_, order)| order).to_string();
        let columns = order.split(',').map(|c| c.trim().trim_end_matches(" desc").to_string()).collect();
        Top { rows: rows.parse().unwrap_or(0), unlimited: unlimited.to_string(), order, columns }
    });
    Query { number, name: format!("q{number:02}"), text, top }
}

impl Query {
    pub fn create(&self, client: &mut Client) -> Result<(), postgres::Error> {
        client.batch_execute(&format!("CREATE TVIEW {} AS {}", self.name, self.text))
    }

    /// Strategy and tables: `keyed` when it is the same for all, else `keyed: lineitem, orders; full: part`.
    pub fn strategies(&self, client: &mut Client) -> Result<String> {
        let sql = "SELECT strategy, string_agg(base_table::text, ', ' ORDER BY base_table::text) FROM tviews.strategies($1::text::regclass) \
                   GROUP BY strategy ORDER BY count(*) DESC, strategy";
        let rows = client.query(sql, &[&format!("tpch.{}", self.name)])?;
        let parts: Vec<(String, String)> = rows.iter().map(|r| (r.get(0), r.get(1))).collect();
        Ok(match parts.as_slice() {
            [(strategy, _)] => strategy.clone(),
            _ => parts.iter().map(|(s, tables)| format!("{s}: {tables}")).collect::<Vec<_>>().join("; "),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_found() {
        let top: Vec<(usize, u32, String)> =
            all(1.0).iter().filter_map(|q| q.top.as_ref().map(|t| (q.number, t.rows, t.columns.join(" ")))).collect();
        let expected = [
            (2, 100, "s_acctbal n_name s_name p_partkey"),
            (3, 10, "revenue o_orderdate"),
            (10, 20, "revenue"),
            (18, 100, "o_totalprice o_orderdate"),
            (21, 100, "numwait s_name"),
        ];
        assert_eq!(top, expected.map(|(n, rows, order)| (n, rows, order.to_string())));
    }

    #[test]
    fn fraction_follows_the_scale() {
        assert!(all(0.01)[10].text.contains("* 0.0100000000"));
    }
}
