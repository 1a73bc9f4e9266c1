//! The pages of the documentation: docs/reference/tpch.md and tpch-refresh.md.
//! Invariant: no figure stands there without the conditions under which it was measured. Called by `bench` and `refresh`.

use crate::bench::Row;
use crate::refresh::{self, SHARES};
use anyhow::Result;
use postgres::Client;
use std::fmt::Write;

const HEAD: &str = "| query | changed table | strategies | recomputing | 1 row | ratio | 100 rows | ratio | 1 % | ratio |\n\
                    |---|---|---|--:|--:|--:|--:|--:|--:|--:|";

const INTRODUCTION: &str = "# TPC-H

The 22 queries of TPC-H, each as a TVIEW, with the substitution parameters of the specification's validation runs, ORDER BY and LIMIT
included; query 15 has its view as a CTE. `make bench-tpch` measures, `make check` compares every TVIEW with its query after random
transactions over all eight tables.

* **recomputing**: REFRESH of an ordinary materialized view with the same query, in the transactions that change 1 %.
* **1 row, 100 rows, 1 %**: time of the flush of one transaction that updates that many rows of the changed table, which is the largest one
  that the query reads (for query 16, `part`, since it reads only keys of `partsupp`). One row and 100 rows are chosen among those that the query uses, 1 % among
  all; every column is changed that the query computes with.
* **ratio**: recomputing, divided by that.
";

const TIES: &str = "
## Ties

ORDER BY … LIMIT does not say which of several rows with equal sort keys at the end is in the answer. A TVIEW then has one of the answers that
the query allows; `make check` tests that its sort keys are those of the query's first rows, and that its rows are rows of the query
without LIMIT. `tviews.verify` runs the query as it is, and may show such rows as different. Add a unique column to the ORDER BY to have one answer.
";

const OF_FLUSHES: &str =
    "A first transaction of each size is not counted; the time of a flush is the server's own (`tviews.stat`). ";

const SETTINGS_SHOWN: [&str; 7] = [
    "autovacuum",
    "effective_cache_size",
    "fsync",
    "jit",
    "max_parallel_workers_per_gather",
    "shared_buffers",
    "work_mem",
];

fn milliseconds(ms: f64) -> String {
    match ms {
        _ if ms.is_nan() => "–".into(),
        _ if ms < 1.0 => format!("{ms:.2} ms"),
        _ if ms < 10.0 => format!("{ms:.1} ms"),
        _ => format!("{ms:.0} ms"),
    }
}

fn ratio(recompute: f64, flush: f64) -> String {
    match recompute / flush {
        r if r.is_nan() => "–".into(),
        r if r < 10.0 => format!("{r:.1}"),
        r => format!("{r:.0}"),
    }
}

/// One line of the table.
pub fn line(row: &Row) -> String {
    let mut line = format!("| {} | {} | {} | {} |", row.name, row.table, row.strategies, milliseconds(row.recompute));
    for flush in row.flush {
        let _ = write!(line, " {} | {} |", milliseconds(flush), ratio(row.recompute, flush));
    }
    line
}

const REFRESHED: &str = "# TPC-H, refreshed later

The 22 queries of [TPC-H](tpch.md), each as a TVIEW with `refresh = manual`. A share of the rows of the changed table, chosen at random, is updated in every column that
the query computes with, and committed; then the TVIEW and an ordinary materialized view with the same query are refreshed, in turn the one or the other first.
`REFRESH=1 make bench-tpch` measures it.

* **REFRESH**: time of `REFRESH TVIEW`; *full* when it has chosen to recompute the query.
* **ratio**: time of `REFRESH MATERIALIZED VIEW` of the ordinary one in the same rounds, divided by that.
";

/// One line of the table of refreshes.
pub fn refresh_line(row: &refresh::Row) -> String {
    let mut line = format!("| {} | {} |", row.name, row.table);
    for ((followed, recomputed), way) in row.times.iter().zip(&row.ways) {
        let full = if way == "full" { ", full" } else { "" };
        let _ = write!(line, " {}{full} | {} |", milliseconds(*followed), ratio(*recomputed, *followed));
    }
    line
}

/// The page of refreshes.
pub fn refresh_page(client: &mut Client, tables: &[(f64, Vec<refresh::Row>)], rounds: usize) -> Result<String> {
    let mut page = REFRESHED.to_string();
    let head: String = SHARES.iter().map(|s| format!(" {s} %: REFRESH | ratio |")).collect();
    for (scale, rows) in tables {
        write!(
            page,
            "\n## Scale factor {scale}\n\n| query | changed table |{head}\n|---|---|{}\n",
            "--:|--:|".repeat(SHARES.len())
        )?;
        for row in rows {
            writeln!(page, "{}", refresh_line(row))?;
        }
    }
    write!(page, "\nConditions: {}\n", conditions(client, rounds, "")?)?;
    Ok(page)
}

/// The whole page.
pub fn page(client: &mut Client, tables: &[(f64, Vec<Row>)], rounds: usize) -> Result<String> {
    let mut page = INTRODUCTION.to_string();
    for (scale, rows) in tables {
        let n = rows.iter().map(|r| r.changed[2]).max().unwrap_or(0);
        write!(page, "\n## Scale factor {scale}\n\n{HEAD}\n")?;
        for row in rows {
            writeln!(page, "{}", line(row))?;
        }
        writeln!(page, "\n1 % is up to {n} rows.")?;
    }
    page.push_str(TIES);
    write!(page, "\nConditions: {}\n", conditions(client, rounds, OF_FLUSHES)?)?;
    Ok(page)
}

fn conditions(client: &mut Client, rounds: usize, times: &str) -> Result<String> {
    let row = client.query_one(
        "SELECT current_date::text, split_part(version(), ' on ', 1), extversion FROM pg_extension WHERE extname = 'pg_tviews'",
        &[],
    )?;
    let (date, server, version): (String, String, String) = (row.get(0), row.get(1), row.get(2));
    let mut settings = Vec::new();
    for name in SETTINGS_SHOWN {
        let value: String = client.query_one("SELECT current_setting($1)", &[&name])?.get(0);
        settings.push(format!("`{name} = {value}`"));
    }
    Ok(format!(
        "{date}, {server}, pg_tviews {version}, {}, medians of {rounds} rounds; one TVIEW at a time, one client; \
         load average of the machine at the end {}, of which the measurements are one; tables with primary keys, foreign keys and an index on each foreign key; {}. {times}Every TVIEW was compared with its query afterwards and was equal.",
        processor(),
        load(),
        settings.join(", ")
    ))
}

/// Of the last five minutes.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').nth(1).unwrap_or("unknown").into()
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let names: Vec<&str> =
        text.lines().filter_map(|l| l.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name)).collect();
    match names.first() {
        Some(name) => format!("{} cores of {name}", names.len()),
        None => "unknown processor".into(),
    }
}
