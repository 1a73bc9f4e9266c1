//! `refresh`: what REFRESH of each query costs as a manual TVIEW, after 0.1, 1, 10 and 50 % of its largest table have changed, next to recomputing it.
//!
//! Invariant: a query whose TVIEW differs from it after a refresh has no figures, and the run fails. Called by `main`.
//!
//! One TVIEW at a time. Changes are committed; then the TVIEW and an ordinary materialized view with the same query are refreshed, in turn the one or the
//! other first. Both times are those of the client.

use crate::bench::{self, Options, median};
use crate::changes::{self, Change};
use crate::compare::differences;
use crate::page;
use crate::query::Query;
use anyhow::{Result, bail};
use postgres::Client;
use std::time::Instant;

/// Shares of changed rows, in percent.
pub const SHARES: [f64; 4] = [0.1, 1.0, 10.0, 50.0];

/// Milliseconds of one query.
pub struct Row {
    pub name: String,
    pub table: &'static str,
    /// Of the TVIEW, and of the ordinary materialized view, for each share.
    pub times: [(f64, f64); 4],
    /// Whether the last refresh was incremental or full.
    pub ways: [String; 4],
}

pub fn run(options: &Options) -> Result<bool> {
    bench::each(options, measure, page::refresh_line, page::refresh_page)
}

fn measure(client: &mut Client, query: &Query, rounds: usize) -> Result<Row> {
    let change = changes::of(query);
    client.batch_execute(&format!(
        "CREATE TVIEW {0} WITH (refresh = manual) AS {1};
         CREATE MATERIALIZED VIEW ordinary USING heap AS {1};
         ANALYZE {0}",
        query.name, query.text
    ))?;
    let mut row =
        Row { name: query.name.clone(), table: change.table, times: [(0.0, 0.0); 4], ways: Default::default() };
    for (at, share) in SHARES.into_iter().enumerate() {
        let (mut followed, mut recomputed) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            touch(client, &change, share, round)?;
            let tview = format!("REFRESH TVIEW {}", query.name);
            let ordinary = "REFRESH MATERIALIZED VIEW ordinary";
            let first = if round % 2 == 0 { timed(client, &tview)? } else { timed(client, ordinary)? };
            let last = if round % 2 == 0 { timed(client, ordinary)? } else { timed(client, &tview)? };
            let (t, o) = if round % 2 == 0 { (first, last) } else { (last, first) };
            followed.push(t);
            recomputed.push(o);
        }
        row.times[at] = (median(followed), median(recomputed));
        row.ways[at] = way(client, query)?;
        let differences = differences(client, query)?;
        if !differences.is_empty() {
            bail!("the TVIEW differs from its query: {}", differences.join("; "));
        }
        client.batch_execute(&format!("VACUUM (ANALYZE) {}", change.table))?;
    }
    client.batch_execute(&format!("DROP TVIEW {}; DROP MATERIALIZED VIEW ordinary", query.name))?;
    client.batch_execute(&format!("VACUUM FULL {}", change.table))?;
    client.batch_execute(&format!("ANALYZE {}", change.table))?;
    Ok(row)
}

fn touch(client: &mut Client, change: &Change, share: f64, round: usize) -> Result<()> {
    let Change { table, key, set, .. } = change;
    client.batch_execute(&format!(
        "UPDATE {table} SET {set} WHERE ({key}) IN (SELECT {key} FROM {table} TABLESAMPLE BERNOULLI ({share}) REPEATABLE ({round}))"
    ))?;
    Ok(())
}

/// What the history says of the last refresh.
fn way(client: &mut Client, query: &Query) -> Result<String> {
    let sql = "SELECT action FROM tviews.refresh_history WHERE tview = to_regclass($1) ORDER BY started DESC LIMIT 1";
    Ok(client.query_opt(sql, &[&query.name])?.and_then(|r| r.get(0)).unwrap_or_default())
}

fn timed(client: &mut Client, sql: &str) -> Result<f64> {
    let started = Instant::now();
    client.batch_execute(sql)?;
    Ok(started.elapsed().as_secs_f64() * 1e3)
}
