//! Breaks one rule of the extension at a time and wants to see it noticed: a test of this test.
//! Invariant: the server names the faults it offers (builds with the feature `faults`); a case that fails without the fault proves nothing.
//! Called by `main` for `--faults`.

mod noted;
mod suits;

use crate::args::Args;
use crate::case::{Act, Case, Mode};
use crate::dice::case_seed;
use crate::server::{Session, rows};
use crate::{case, metamorphic};
use anyhow::{Result, bail};
use std::time::{Duration, Instant};
use suits::suits;

/// Shorter, since most mistakes show early, and without thousands of rows.
fn brief(mut case: Case, fault: &str) -> Option<Case> {
    if case.schema.large {
        return None;
    }
    if suits::is_of_loops(fault) {
        case.conditions.sql_only = false;
    }
    if suits::is_of_parts(fault) {
        // few changes are followed without SQL, row by row, and as a whole
        (case.conditions.sql_only, case.conditions.whole_rows) = (true, false);
        case.watched = true;
    }
    case.conditions.from_wal = suits::is_of_wal(fault);
    case.transactions.truncate(16);
    case.transactions
        .iter_mut()
        .for_each(|t| t.steps.retain(|s| !matches!(&s.act, Act::Native(sql) if sql.starts_with("VACUUM"))));
    Some(case)
}

/// The first case that notices a fault, and how; nothing when none does in the time given.
fn caught(args: &Args, fault: &str, seconds: u64) -> Result<(u64, Option<(u64, String)>)> {
    let dsn = format!("{} options='-c pg_tviews.fault={fault}'", args.dsn);
    let (mut broken, mut whole) = (Session::connect(&dsn)?, Session::connect(&args.dsn)?);
    let started = Instant::now();
    let mut tried = 0;
    let noted = noted::case_of(fault).filter(|_| !args.anew);
    for number in 0.. {
        if started.elapsed() > Duration::from_secs(seconds) {
            break;
        }
        let first = noted.filter(|_| number == 0).unwrap_or_else(|| case_seed(args.seed, number));
        let seed = args.case.unwrap_or(first);
        let built = case::build(seed, broken.features);
        let Some(case) = brief(built, fault).filter(|c| suits(c, fault)) else {
            continue;
        };
        tried += 1;
        let found = match metamorphic::run(&mut broken, &case, seed, Mode { verbose: args.verbose, ..Mode::default() })
        {
            Ok((_, outcome)) => outcome.failure.map(|f| f.kind),
            Err(e) => {
                broken.reconnect()?;
                Some(format!("{e:#}"))
            }
        };
        let Some(kind) = found else {
            continue;
        };
        broken.clean()?;
        if whole.client.is_closed() || whole.checker.is_closed() {
            whole.reconnect()?;
        }
        let innocent =
            metamorphic::run(&mut whole, &case, seed, Mode::default()).is_ok_and(|(_, o)| o.failure.is_none());
        whole.clean()?;
        if innocent {
            return Ok((tried, Some((seed, kind))));
        }
    }
    Ok((tried, None))
}

pub fn run(args: &Args) -> Result<bool> {
    let mut session = Session::connect(&args.dsn)?;
    session.client.batch_execute("CREATE EXTENSION IF NOT EXISTS pg_tviews")?;
    session.clean()?;
    let sql = "SELECT unnest(enumvals) FROM pg_settings WHERE name = 'pg_tviews.fault'";
    let mut all = rows(&mut session.client, sql)?;
    drop(session);
    all.retain(|f| f != "none" && args.fault.as_ref().is_none_or(|only| only == f));
    if all.is_empty() {
        bail!("this build has no faults: it needs the feature `faults`");
    }
    let (mut passed, mut failed, mut cases) = (0, 0, Vec::new());
    for fault in &all {
        let started = Instant::now();
        let (tried, found) = caught(args, fault, args.seconds_per_fault)?;
        let seconds = started.elapsed().as_secs_f64();
        match found {
            Some((seed, kind)) => {
                passed += 1;
                cases.push((fault.clone(), seed));
                println!("ok - {fault}: case {seed}, number {tried}, after {seconds:.0} s: {kind}");
            }
            None => {
                failed += 1;
                println!("not ok - {fault} was not noticed by {tried} cases in {seconds:.0} s");
            }
        }
    }
    if args.anew {
        noted::write(&cases)?;
    }
    println!("{passed} passed, {failed} failed");
    Ok(failed == 0)
}
