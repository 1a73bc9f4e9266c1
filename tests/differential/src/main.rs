//! Differential test of pg_tviews: runs random cases until its time is over.
//! Invariant: the last line is `N passed, N failed` (one case each), and the exit status is not zero when a case failed or, in long
//! runs, when a hazard never occurred. Called by tools/check.py and by hand.

#![forbid(unsafe_code)]

mod args;
mod case;
mod concurrent;
mod dice;
mod faults;
mod features;
mod hazards;
mod known;
mod names;
mod oracle;
mod plan;
mod properties;
mod query;
mod report;
mod run;
mod schema;
mod server;
mod shrink;
mod tally;
mod types;

use anyhow::{Context, Result};
use case::{Case, End, Mode};
use clap::Parser;
use properties::Property;
use run::{Failure, Outcome};
use server::Session;
use std::time::{Duration, Instant};

/// The seed of case `number`.
fn case_seed(seed: u64, number: u64) -> u64 {
    // splitmix64, kept to 15 digits to be pleasant on a command line
    let mut z = seed.wrapping_add(number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) % 1_000_000_000_000_000
}

/// Runs a case; now and then also in other ways that must come to the same.
fn one(session: &mut Session, case: &Case, seed: u64, mode: Mode) -> Result<(Case, Outcome)> {
    let mut outcome = run::run(session, case, mode)?;
    if outcome.failure.is_some() || mode.baseline {
        return Ok((case.clone(), outcome));
    }
    if seed.is_multiple_of(9) {
        // the same work in one transaction each, and statement by statement
        let (together, apart) = (case.batches(End::Commit), case.batches(End::Autocommit));
        if let Some(failed) = same_end(session, mode, [&together, &apart], Property::Batching, &mut outcome)? {
            return Ok(failed);
        }
    }
    if seed % 9 == 1
        && let Some(deletes) = case.without_updates()
    {
        let updates = case.batches(End::Commit);
        let pair = [&updates, &deletes];
        if let Some(failed) = same_end(session, mode, pair, Property::UpdateIsDeleteInsert, &mut outcome)? {
            return Ok(failed);
        }
    }
    if seed % 40 == 2 {
        let again = run::run(session, case, mode)?;
        outcome.checks.add(Property::Replay);
        if again.failure.is_some() || again.script != outcome.script {
            let detail = "the same seed does something else the second time".to_string();
            outcome.failure = Some(Failure { kind: "no replay".into(), detail, transaction: 0 });
        }
    }
    Ok((case.clone(), outcome))
}

/// Two ways to do the same, which must leave the same in TVIEWs when they leave the same in tables. Returns a failure on one of the ways.
fn same_end(
    session: &mut Session,
    mode: Mode,
    ways: [&Case; 2],
    property: Property,
    outcome: &mut Outcome,
) -> Result<Option<(Case, Outcome)>> {
    let mut ends = vec![];
    for case in ways {
        let done = run::run(session, case, mode)?;
        if done.failure.is_some() {
            return Ok(Some((case.clone(), done)));
        }
        ends.push(done.fingerprints);
    }
    if let [Some(a), Some(b)] = &ends[..]
        && a.0 == b.0
    {
        outcome.checks.add(property);
        if a.1 != b.1 {
            let detail = format!("{property:?}: the tables have the same contents, the TVIEWs have not");
            outcome.failure =
                Some(Failure { kind: "other end".into(), detail, transaction: ways[0].transactions.len() });
        }
    }
    Ok(None)
}

fn sequential(args: &args::Args) -> Result<bool> {
    let mut session = Session::connect(&args.dsn)?;
    if !args.baseline {
        session
            .client
            .batch_execute("CREATE EXTENSION IF NOT EXISTS pg_tviews")
            .context("CREATE EXTENSION pg_tviews")?;
    }
    let mode = Mode { baseline: args.baseline, without_tviews: false, verbose: args.verbose };
    let mut totals = report::Totals::default();
    let started = Instant::now();
    let over = |failed: u64, done: u64| {
        (args.seconds > 0 && started.elapsed() > Duration::from_secs(args.seconds))
            || failed >= args.max_failures
            || (args.cases > 0 && done >= args.cases)
            || (args.case.is_some() && done > 0)
    };
    let mut number = 0;
    while !over(totals.failed, number) {
        let seed = args.case.unwrap_or_else(|| case_seed(args.seed, number));
        number += 1;
        // a backend keeps the plans of functions that were dropped, and looks at all of them at every change of a definition
        if number % CASES_PER_SESSION == 0 {
            session = Session::connect(&args.dsn)?;
        }
        let built = case::build(seed, session.features);
        let (case, outcome) = match one(&mut session, &built, seed, mode) {
            Ok(done) => done,
            Err(e) => {
                println!("not ok - case {seed}: {e:#}");
                totals.failed += 1;
                session.reconnect()?;
                continue;
            }
        };
        totals.add(&outcome);
        let Some(failure) = &outcome.failure else {
            totals.passed += 1;
            continue;
        };
        if let Some(what) = known::known(failure, &outcome.script).filter(|_| args.case.is_none()) {
            totals.known(what, seed);
            continue;
        }
        totals.failed += 1;
        println!("not ok - case {seed}: {}\n{}", failure.kind, failure.detail);
        report::failure(&args.out, seed, failure, &outcome.script, "full", args.baseline);
        if !args.no_shrink {
            match shrink::shrink(&mut session, &case, &outcome, mode) {
                Ok((_, lines, Some(failure))) => {
                    report::failure(&args.out, seed, &failure, &lines, "small", args.baseline)
                }
                Ok(_) => {}
                Err(e) => {
                    println!("could not make it smaller: {e:#}");
                    session.reconnect()?;
                }
            }
        }
    }
    let _ = session.clean();
    totals.print();
    let mut rare = totals.counts.missing(number, session.features);
    rare.extend(totals.nesting.missing(number, hazards::CASES_PER_HAZARD));
    let unchecked = totals.checks.missing();
    if !rare.is_empty() {
        println!("hardly ever occurred: {}", rare.join("; "));
    }
    if !unchecked.is_empty() {
        println!("never checked: {}", unchecked.join("; "));
    }
    let long = number >= LONG;
    let complete = !long || args.case.is_some() || args.baseline || rare.is_empty() && unchecked.is_empty();
    let seconds = started.elapsed().as_secs_f64();
    println!("{number} cases in {seconds:.0} s, seed {}", args.seed);
    if args.case.is_none() && !args.baseline {
        let version = server::version(&mut session.client)?;
        report::summary(&args.out, &version, args.seed, seconds, number, &totals);
    }
    println!("{} passed, {} failed", totals.passed, totals.failed + u64::from(!complete));
    Ok(totals.failed == 0 && complete)
}

const CASES_PER_SESSION: u64 = 30;

/// Number of cases from which every hazard must have occurred often enough.
const LONG: u64 = 600;

fn main() {
    let args = args::Args::parse();
    let done = match (args.concurrent, args.faults) {
        (1.., _) => concurrent::run(&args),
        (_, true) => faults::run(&args),
        _ => sequential(&args),
    };
    match done {
        Ok(true) => {}
        Ok(false) => std::process::exit(1),
        Err(e) => {
            println!("not ok - {e:#}\n0 passed, 1 failed");
            std::process::exit(1);
        }
    }
}
