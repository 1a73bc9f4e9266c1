//! Differential test of pg_tviews: runs random cases until its time is over.
//! Invariant: the last line is `N passed, N failed` (one case each), and the exit status is not zero when a case failed or, in runs of 100 seconds
//! and more, when a class of hazards never occurred. Called by tools/check.py and by hand.

mod args;
mod case;
mod concurrent;
mod dice;
mod hazards;
mod names;
mod oracle;
mod query;
mod report;
mod run;
mod schema;
mod shrink;
mod transaction;
mod types;

use anyhow::{Context, Result};
use clap::Parser;
use hazards::Hazard;
use run::{Failure, Mode, Outcome, Session};
use std::time::{Duration, Instant};

/// The seed of case `number`.
fn case_seed(seed: u64, number: u64) -> u64 {
    // splitmix64, kept to 15 digits to be pleasant on a command line
    let mut z = seed.wrapping_add(number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) % 1_000_000_000_000_000
}

fn one(session: &mut Session, seed: u64, mode: Mode) -> Result<(case::Case, Outcome)> {
    let case = case::build(seed);
    let mut outcome = run::run(session, &case, mode)?;
    if outcome.failure.is_none() && seed.is_multiple_of(12) {
        // the same work in one transaction each, and statement by statement, must show the same in the end
        let together = run::run(session, &case.batches(case::End::Commit), mode)?;
        if together.failure.is_some() {
            return Ok((case.batches(case::End::Commit), together));
        }
        let apart = run::run(session, &case.batches(case::End::Autocommit), mode)?;
        if apart.failure.is_some() {
            return Ok((case.batches(case::End::Autocommit), apart));
        }
        if let (Some(a), Some(b)) = (&together.fingerprints, &apart.fingerprints) {
            if a.0 == b.0 {
                outcome.counts.add(Hazard::Batching);
                if a.1 != b.1 && !mode.baseline {
                    let detail =
                        "the same statements in one transaction each and in many leave different contents".to_string();
                    outcome.failure =
                        Some(Failure { kind: "batching matters".into(), detail, transaction: case.transactions.len() });
                }
            }
        }
    }
    Ok((case, outcome))
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
        let (case, outcome) = match one(&mut session, seed, mode) {
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
    let missing = totals.counts.missing();
    let long = args.seconds == 0 || args.seconds >= 100;
    let complete = !long || args.case.is_some() || missing.is_empty() || args.baseline;
    if !missing.is_empty() {
        println!("never occurred: {}", missing.join("; "));
    }
    println!("{number} cases in {:.0} s, seed {}", started.elapsed().as_secs_f64(), args.seed);
    println!("{} passed, {} failed", totals.passed, totals.failed + u64::from(!complete));
    Ok(totals.failed == 0 && complete)
}

fn main() {
    let args = args::Args::parse();
    let done = if args.concurrent > 0 { concurrent::run(&args) } else { sequential(&args) };
    match done {
        Ok(true) => {}
        Ok(false) => std::process::exit(1),
        Err(e) => {
            println!("not ok - {e:#}\n0 passed, 1 failed");
            std::process::exit(1);
        }
    }
}
