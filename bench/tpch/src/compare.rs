//! A TVIEW against its query, as multisets of rows as text, both ways.
//!
//! Invariant: a difference that the query allows is not reported. A query with LIMIT does not say which of several rows with equal sort keys at the end it wants. What it does say is
//! compared: every stored row is a row of the query without LIMIT, no more often than there, and the sort keys are
//! those of the first rows. Called by `check` and `bench`.

use crate::query::Query;
use postgres::{Client, Error};

/// Rows that differ, each with its fault; at most `SHOWN`.
pub fn differences(client: &mut Client, query: &Query) -> Result<Vec<String>, Error> {
    let rows = client.query(&comparison(query), &[])?;
    Ok(rows.iter().map(|r| format!("{}: {}", r.get::<_, String>(0), r.get::<_, String>(1))).collect())
}

const SHOWN: usize = 10;

fn comparison(query: &Query) -> String {
    let (name, text) = (&query.name, &query.text);
    let Some(top) = &query.top else {
        return format!(
            "WITH stored AS MATERIALIZED (SELECT t::text AS r FROM tpch.{name} t), \
                  wanted AS MATERIALIZED (SELECT q::text AS r FROM ({text}) q) \
             (SELECT 'missing', r FROM (TABLE wanted EXCEPT ALL TABLE stored) m LIMIT {SHOWN}) \
             UNION ALL (SELECT 'extra', r FROM (TABLE stored EXCEPT ALL TABLE wanted) e LIMIT {SHOWN})"
        );
    };
    let keys = top.columns.join(", ");
    let (unlimited, order, rows) = (&top.unlimited, &top.order, top.rows);
    format!(
        "WITH stored AS MATERIALIZED (SELECT t::text AS r, ROW({keys})::text AS k FROM tpch.{name} t), \
              allowed AS MATERIALIZED (SELECT q::text AS r, {keys} FROM ({unlimited}) q), \
              wanted AS MATERIALIZED (SELECT r, ROW({keys})::text AS k FROM allowed ORDER BY {order} LIMIT {rows}) \
         (SELECT 'extra', r FROM (SELECT r FROM stored EXCEPT ALL SELECT r FROM allowed) e LIMIT {SHOWN}) \
         UNION ALL (SELECT 'missing, by its sort key', k FROM (SELECT k FROM wanted EXCEPT ALL SELECT k FROM stored) m LIMIT {SHOWN}) \
         UNION ALL (SELECT 'extra, by its sort key', k FROM (SELECT k FROM stored EXCEPT ALL SELECT k FROM wanted) e LIMIT {SHOWN})"
    )
}
