//! `bench`: what a flush of each query costs for 1, 100 and 1 % changed rows, next to recomputing the query.
//!
//! Invariant: a query whose TVIEW differs from it afterwards has no figures, and the run fails. Called by `main`.
//!
//! One TVIEW at a time. Flush times are the server's own (`tviews.stat`), in transactions that are rolled back, except
//! the last one of each size. Recomputing is REFRESH MATERIALIZED VIEW of an ordinary materialized view with the same query, in the transactions that
//! change 1 %, in turn before and after the flush: both read the same tables in the same state.

use crate::changes::{self, Change};
use crate::compare::differences;
use crate::query::{self, Query};
use crate::{data, page};
use anyhow::{Context, Result, bail};
use postgres::{Client, NoTls};
use std::path::PathBuf;
use std::time::Instant;

/// What `bench` is asked to do.
#[derive(clap::Args, Debug, Clone)]
pub struct Options {
    /// libpq-style connection string; the database's schema `tpch` is dropped and made new
    #[arg(long)]
    pub dsn: String,
    /// scale factors of the data
    #[arg(long, value_delimiter = ',', default_value = "0.1")]
    pub scale: Vec<f64>,
    /// measure these queries only, by number
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<usize>,
    /// measurements of each kind, of which the median is taken
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// file for the page of the documentation
    #[arg(long)]
    pub out: Option<PathBuf>,
}

/// Milliseconds of one query at one scale.
pub struct Row {
    pub name: String,
    pub table: &'static str,
    pub strategies: String,
    /// For 1, 100 and 1 % changed rows.
    pub flush: [f64; 3],
    /// Number of changed rows.
    pub changed: [u64; 3],
    pub recompute: f64,
}

const SETTINGS: &str = "SET search_path = tpch, public; SET jit = off; SET max_parallel_workers_per_gather = 0; \
     SET client_min_messages = error";

pub fn run(options: &Options) -> Result<bool> {
    each(options, measure, page::line, page::page)
}

/// Measures each query at each scale factor, and writes the page of that.
pub fn each<R>(
    options: &Options,
    measure: impl Fn(&mut Client, &Query, usize) -> Result<R>,
    line: impl Fn(&R) -> String,
    page: impl Fn(&mut Client, &[(f64, Vec<R>)], usize) -> Result<String>,
) -> Result<bool> {
    let mut client = Client::connect(&options.dsn, NoTls)?;
    client.batch_execute(SETTINGS)?;
    let mut tables = Vec::new();
    for scale in &options.scale {
        eprintln!("loading scale factor {scale}");
        data::load(&mut client, *scale, false)?;
        client.batch_execute("CHECKPOINT")?;
        let mut rows = Vec::new();
        for query in query::all(*scale) {
            if options.only.is_empty() || options.only.contains(&query.number) {
                let row = measure(&mut client, &query, options.rounds).with_context(|| query.name.clone())?;
                eprintln!("{}", line(&row));
                rows.push(row);
            }
        }
        tables.push((*scale, rows));
    }
    let text = page(&mut client, &tables, options.rounds)?;
    println!("{text}");
    if let Some(file) = &options.out {
        std::fs::write(file, text).with_context(|| file.display().to_string())?;
    }
    Ok(true)
}

fn measure(client: &mut Client, query: &Query, rounds: usize) -> Result<Row> {
    let change = changes::of(query);
    let sampled = sample(client, &change, query.number)?;
    query.create(client)?;
    client.batch_execute(&format!("CREATE MATERIALIZED VIEW ordinary USING heap AS {}", query.text))?;
    client.batch_execute(&format!("ANALYZE {}", query.name))?;
    let strategies = query.strategies(client)?;
    let sizes = [("relevant", 1), ("relevant", 100), ("sampled", sampled)];
    let (mut flush, mut changed, mut recomputed) = ([0.0; 3], [0; 3], Vec::new());
    for (i, (from, rows)) in sizes.into_iter().enumerate() {
        let mut times = Vec::new();
        // The first round makes the plans.
        for round in 0..=rounds {
            let (time, n, refreshed) = flush_once(client, query, &change, from, rows, round, round == rounds)?;
            changed[i] = n;
            if round > 0 && n > 0 {
                times.push(time);
                recomputed.extend(refreshed);
            }
        }
        flush[i] = median(times);
    }
    let differences = differences(client, query)?;
    if !differences.is_empty() {
        bail!("the TVIEW differs from its query: {}", differences.join("; "));
    }
    client.batch_execute(&format!("DROP TVIEW {}; DROP MATERIALIZED VIEW ordinary", query.name))?;
    client.batch_execute(&format!("VACUUM {}", change.table))?;
    let recompute = median(recomputed);
    Ok(Row { name: query.name.clone(), table: change.table, strategies, flush, changed, recompute })
}

/// Chooses rows to change: 2000 rows that the query uses, and 1 % of the table. Returns the number of rows in the 1 %.
/// A seed chooses places in the table: the same one again would miss the rows that have been updated since.
fn sample(client: &mut Client, change: &Change, seed: usize) -> Result<i64> {
    let Change { table, key, relevant, .. } = change;
    client.batch_execute(&format!(
        "DROP TABLE IF EXISTS relevant, sampled;
         CREATE TEMP TABLE relevant AS SELECT row_number() OVER () - 1 AS number, * FROM
             (SELECT DISTINCT {key}, hashint8extended(hash_array(ARRAY[{key}]), 1) AS h {relevant} ORDER BY h, {key} LIMIT 2000) r;
         CREATE TEMP TABLE sampled AS SELECT row_number() OVER () - 1 AS number, {key} FROM {table} TABLESAMPLE BERNOULLI (1) REPEATABLE ({seed});
         ANALYZE relevant; ANALYZE sampled"
    ))?;
    Ok(client.query_one("SELECT count(*) FROM sampled", &[])?.get(0))
}

/// One transaction that changes rows and flushes; milliseconds, the number of rows, and for 1 % milliseconds of REFRESH.
fn flush_once(
    client: &mut Client,
    query: &Query,
    change: &Change,
    from: &str,
    rows: i64,
    round: usize,
    commit: bool,
) -> Result<(f64, u64, Option<f64>)> {
    let Change { table, key, set, .. } = change;
    client.batch_execute("BEGIN")?;
    let offset = rows * round as i64;
    let n = client.execute(
        &format!(
            "UPDATE {table} SET {set} WHERE ({key}) IN \
             (SELECT {key} FROM {from} WHERE (number + {offset}) % (SELECT count(*) FROM {from}) < {rows})"
        ),
        &[],
    )?;
    let refresh = from == "sampled";
    let first = if refresh && round.is_multiple_of(2) { Some(recompute(client)?) } else { None };
    let before = flush_time(client, query)?;
    client.batch_execute("SELECT tviews.flush()")?;
    let time = flush_time(client, query)? - before;
    let last = if refresh && !round.is_multiple_of(2) { Some(recompute(client)?) } else { None };
    client.batch_execute(if commit { "COMMIT" } else { "ROLLBACK" })?;
    Ok((time, n, first.or(last)))
}

fn flush_time(client: &mut Client, query: &Query) -> Result<f64> {
    let sql = "SELECT flush_time FROM tviews.stat_of(to_regclass($1))";
    Ok(client.query_one(sql, &[&query.name])?.get(0))
}

fn recompute(client: &mut Client) -> Result<f64> {
    let started = Instant::now();
    client.batch_execute("REFRESH MATERIALIZED VIEW ordinary")?;
    Ok(started.elapsed().as_secs_f64() * 1e3)
}

pub fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}
