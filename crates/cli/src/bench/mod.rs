//! `tviews bench`: a user's own script of writes, with and without TVIEWs.
//!
//! Invariant: both ways run interleaved, in transactions that are rolled back, so that the database has afterwards what it had; and nobody else is
//! locked out who was not asked about. Each way runs the script once untimed in its transaction, so that neither pays for caches that the other's
//! rollback has emptied. Called by main.

mod interval;

use crate::arguments::{Bench, Report};
use crate::outcome::Outcome;
use crate::script::Script;
use crate::server::{self, sentence};
use anyhow::{Context, Result, anyhow, bail};
use indicatif::{ProgressBar, ProgressStyle};
use interval::{Ratio, median, ratio};
use pg_query::NodeEnum;
use postgres::Client;
use serde::Serialize;
use std::time::{Duration, Instant};

/// A statement, and where it is.
struct Step {
    text: String,
    place: String,
}

#[derive(Debug, Serialize)]
struct Measured {
    rounds: usize,
    /// Medians, in milliseconds.
    with: f64,
    without: f64,
    /// 95 % confidence.
    ratio: Ratio,
    /// Milliseconds of a round in which TVIEWs were flushed, by TVIEW.
    flushes: Vec<(String, f64)>,
}

pub fn run(arguments: &Bench) -> Result<Outcome> {
    let steps = steps(&arguments.file)?;
    let Some(name) = &arguments.copy else {
        let connect = || server::connect_extension(&arguments.dsn);
        return compare(&connect, &steps, arguments);
    };
    let mut client = server::connect_extension(&arguments.dsn)?;
    let row = client
        .query_one("SELECT format('%I', current_database()), format('%I', $1::text)", &[name])
        .map_err(sentence)?;
    let (database, copy): (String, String) = (row.get(0), row.get(1));
    drop(client);
    // A template must not have the connection that copies it.
    let mut elsewhere =
        server::connect_beside(&arguments.dsn, "postgres").context("the copy is made from the database postgres")?;
    elsewhere
        .batch_execute(&format!("CREATE DATABASE {copy} TEMPLATE {database}"))
        .map_err(sentence)
        .context("the copy cannot be made")?;
    let connect = || server::with_extension(server::connect_beside(&arguments.dsn, name)?);
    let done = compare(&connect, &steps, arguments);
    let dropped = elsewhere.batch_execute(&format!("DROP DATABASE {copy} WITH (FORCE)")).map_err(sentence);
    dropped.context(format!("the copy {copy} is left over"))?;
    done
}

fn steps(path: &std::path::Path) -> Result<Vec<Step>> {
    let script = Script::read(path)?;
    let mut steps = Vec::new();
    let mut end = 0;
    for statement in &script.statements {
        let place = format!("{}:{}", path.display(), script.line(statement.start));
        if script.text[end..statement.start].lines().any(|l| l.trim_start().starts_with('\\')) {
            bail!("{place}: the line before it is a command of psql: a script for bench is SQL alone");
        }
        end = statement.end;
        let tree = statement.tree.as_ref().map_err(|why| anyhow!("{place}: {why}"))?;
        match &tree.node {
            NodeEnum::TransactionStmt(_) => {
                bail!("{place}: bench begins and ends transactions by itself: leave it out")
            }
            NodeEnum::CopyStmt(copy) if copy.filename.is_empty() => {
                bail!("{place}: COPY from or to the client is not possible here")
            }
            NodeEnum::VacuumStmt(_) | NodeEnum::CreatedbStmt(_) | NodeEnum::DropdbStmt(_) => {
                bail!("{place}: it cannot run inside of a transaction")
            }
            _ => steps.push(Step { text: script.text_of(statement).into(), place }),
        }
    }
    if steps.is_empty() {
        bail!("{} has no statement", path.display());
    }
    Ok(steps)
}

fn compare(connect: &dyn Fn() -> Result<Client>, steps: &[Step], arguments: &Bench) -> Result<Outcome> {
    let mut with = connect()?;
    let others = if arguments.lock_others { 0 } else { others(&mut with)? };
    if others > 0 {
        let sessions =
            if others == 1 { "1 other session is".to_string() } else { format!("{others} other sessions are") };
        bail!(
            "{sessions} connected to this database, and would wait for each round without TVIEWs: measure on a copy, or with --lock-others"
        );
    }
    let names = with
        .query("SELECT format('%I.%I', schema, name) FROM tviews.tviews", &[])
        .map_err(sentence)?
        .iter()
        .map(|r| r.get(0))
        .collect::<Vec<String>>();
    if names.is_empty() {
        bail!("the database has no TVIEW");
    }
    let mut without = connect()?;
    let drop = format!("DROP TVIEW {} CASCADE", names.join(", "));
    let before = flush_times(&mut with)?;
    let bar = ProgressBar::new(u64::from(arguments.rounds))
        .with_style(ProgressStyle::with_template("{bar:30} {pos}/{len} rounds, {eta} left")?);
    let mut pairs = Vec::new();
    for number in 0..arguments.rounds {
        // Which comes first changes, so that a drift of the machine is nobody's gain.
        let pair = if number % 2 == 0 {
            let first = round(&mut with, None, steps)?;
            (first, round(&mut without, Some(&drop), steps)?)
        } else {
            let first = round(&mut without, Some(&drop), steps)?;
            (round(&mut with, None, steps)?, first)
        };
        pairs.push(pair);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let after = flush_times(&mut with)?;
    // Each round flushed twice: untimed, and timed.
    let runs = 2.0 * f64::from(arguments.rounds);
    let mut flushes: Vec<(String, f64)> = after
        .into_iter()
        .map(|(name, time)| {
            let earlier = before.iter().find(|(n, _)| *n == name).map_or(0.0, |(_, t)| *t);
            (name, (time - earlier) / runs)
        })
        .filter(|(_, time)| *time > 0.0)
        .collect();
    flushes.sort_by(|a, b| b.1.total_cmp(&a.1));
    let result = Measured {
        rounds: pairs.len(),
        with: median(pairs.iter().map(|p| p.0).collect()),
        without: median(pairs.iter().map(|p| p.1).collect()),
        ratio: ratio(&pairs),
        flushes,
    };
    match arguments.format {
        Report::Json => println!("{}", serde_json::to_string_pretty(&result)?),
        Report::Text => text(&result),
    }
    Ok(Outcome::Good)
}

/// Other sessions of the database. A session that has just been closed is given a moment to end.
fn others(client: &mut Client) -> Result<i64> {
    const COUNT: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
    let deadline = Instant::now() + Duration::from_secs(2);
    loop {
        let others = client.query_one(COUNT, &[]).map_err(sentence)?.get(0);
        if others == 0 || Instant::now() > deadline {
            return Ok(others);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn text(result: &Measured) {
    println!("without TVIEWs  {:10.3} ms", result.without);
    println!("with TVIEWs     {:10.3} ms", result.with);
    for (name, time) in &result.flushes {
        println!("  {:8.3} ms  {name}", time);
    }
    let Ratio { ratio, low, high } = result.ratio;
    println!("ratio {ratio:.2}, with 95 % confidence from {low:.2} to {high:.2}, by {} rounds", result.rounds);
}

fn flush_times(client: &mut Client) -> Result<Vec<(String, f64)>> {
    let rows = client.query("SELECT tview::text, flush_time FROM tviews.stat", &[]).map_err(sentence)?;
    Ok(rows.iter().map(|r| (r.get(0), r.get(1))).collect())
}

/// Milliseconds of the script and its flush, in a transaction that is rolled back. `drop`: the statement that takes the TVIEWs away before.
fn round(client: &mut Client, drop: Option<&str>, steps: &[Step]) -> Result<f64> {
    let mut transaction = client.transaction().map_err(sentence)?;
    if let Some(drop) = drop {
        transaction
            .batch_execute(&format!("SET LOCAL lock_timeout = '10s'; SET LOCAL client_min_messages = warning; {drop}"))
            .map_err(sentence)
            .context("the TVIEWs cannot be taken away for a round")?;
    }
    let mut time = 0.0;
    for _ in 0..2 {
        let mut savepoint = transaction.savepoint("bench").map_err(sentence)?;
        let started = Instant::now();
        for step in steps {
            savepoint.batch_execute(&step.text).map_err(sentence).with_context(|| step.place.clone())?;
        }
        savepoint.batch_execute("SET CONSTRAINTS ALL IMMEDIATE").map_err(sentence).context("a deferred constraint")?;
        savepoint.batch_execute("SELECT tviews.flush()").map_err(sentence).context("the flush at the end")?;
        time = started.elapsed().as_secs_f64() * 1000.0;
        savepoint.rollback().map_err(sentence)?;
    }
    transaction.rollback().map_err(sentence)?;
    Ok(time)
}
