//! The oracle: a TVIEW against its defining query, as multisets, both ways.
//! Invariant: reading through a second session repairs nothing (it has no pending changes); columns are compared by text, so that 1.0 is not 1.000
//! and json can be compared, except those marked fuzzy, where the query itself may return either of two equal values.
//! Called by `run`.

use crate::case::View;
use postgres::{Client, SimpleQueryMessage};

/// Settings under which TVIEWs are computed, so that text compares; jit costs more than these queries.
pub const SETTINGS: &str = "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, MDY'; SET extra_float_digits = 1; SET IntervalStyle = 'postgres'; SET bytea_output = 'hex'; \
     SET client_min_messages = 'error'; SET jit = off; SET statement_timeout = '20s'; SET lock_timeout = '15s'";

/// Other settings for a writer: TVIEWs must not depend on them.
pub const ODD_SETTINGS: &str = "SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'German, DMY'; SET extra_float_digits = -3; SET IntervalStyle = 'iso_8601'; SET bytea_output = 'escape'";

/// The comparison, as one statement that returns the rows that differ.
pub fn comparison(view: &View, query: &str) -> String {
    let names: Vec<String> = (1..=view.query.columns.len()).map(|i| format!("c{i}")).collect();
    let shown: Vec<String> = view
        .query
        .columns
        .iter()
        .zip(&names)
        .map(|(c, n)| if c.fuzzy { n.clone() } else { format!("{n}::text AS {n}") })
        .collect();
    let (names, shown) = (names.join(", "), shown.join(", "));
    format!(
        "WITH stored AS MATERIALIZED (SELECT {shown} FROM {name} AS s({names})), wanted AS MATERIALIZED (SELECT {shown} FROM ({query}) AS w({names}))\n\
         SELECT 'missing' AS problem, m::text FROM (TABLE wanted EXCEPT ALL TABLE stored) AS m\nUNION ALL SELECT 'extra', e::text FROM (TABLE stored EXCEPT ALL TABLE wanted) AS e",
        name = view.name
    )
}

/// Runs a statement and returns its rows, columns joined by a blank.
pub fn rows(client: &mut Client, sql: &str) -> Result<Vec<String>, postgres::Error> {
    let mut out = vec![];
    for message in client.simple_query(sql)? {
        if let SimpleQueryMessage::Row(row) = message {
            out.push((0..row.len()).map(|i| row.get(i).unwrap_or("NULL")).collect::<Vec<_>>().join(" "));
        }
    }
    Ok(out)
}

/// Where each row of a TVIEW is and who wrote it.
pub fn places(client: &mut Client, name: &str) -> Result<Vec<String>, postgres::Error> {
    rows(client, &format!("SELECT ctid::text || ' ' || xmin::text FROM {name} ORDER BY 1"))
}

/// A summary of the contents of all tables of the schema, and of the TVIEWs given.
pub fn fingerprint(client: &mut Client, tables: &[String]) -> Result<Vec<String>, postgres::Error> {
    let mut out = vec![];
    for t in tables {
        out.extend(rows(client, &format!("SELECT md5(coalesce(string_agg(r, '|' ORDER BY r), '')) FROM (SELECT x::text AS r FROM {t} AS x) AS all_rows"))?);
    }
    Ok(out)
}
