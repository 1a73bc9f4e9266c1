//! The sequential test: one case after the other until the time is over, each by a session that writes and another that compares.
//! Invariant: the last line is `N passed, N failed`, one case each; a long run in which a hazard, a construct or a property hardly ever occurred
//! fails. Called by `main`.

use crate::args::Args;
use crate::case::{self, Case, Mode};
use crate::dice::case_seed;
use crate::features::Features;
use crate::hazards::CASES_PER_HAZARD;
use crate::known::known;
use crate::report::{self, Totals};
use crate::run::{Failure, Outcome};
use crate::server::{self, Session};
use crate::{metamorphic, shrink};
use anyhow::{Context, Result};
use std::time::{Duration, Instant};

/// A backend keeps the plans of functions that were dropped, and looks at all of them at every change of a definition.
const CASES_PER_SESSION: u64 = 30;

/// Number of cases from which every hazard must have occurred often enough.
const LONG: u64 = 600;

fn mode(args: &Args) -> Mode {
    Mode { baseline: args.baseline, without_tviews: false, verbose: args.verbose }
}

pub fn run(args: &Args) -> Result<bool> {
    let mut session = Session::connect(&args.dsn)?;
    if !args.baseline {
        session
            .client
            .batch_execute("CREATE EXTENSION IF NOT EXISTS pg_tviews")
            .context("CREATE EXTENSION pg_tviews")?;
    }
    let mode = mode(args);
    let mut totals = Totals::default();
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
        if number % CASES_PER_SESSION == 0 {
            session = Session::connect(&args.dsn)?;
        }
        let built = case::build(seed, session.features);
        let (case, outcome) = match metamorphic::run(&mut session, &built, seed, mode) {
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
        if let Some(what) = known(failure, &outcome.script).filter(|_| args.case.is_none()) {
            totals.add_known(what, seed);
            continue;
        }
        totals.failed += 1;
        report_failure(args, &mut session, &case, &outcome, failure, seed)?;
    }
    let _ = session.clean();
    totals.print();
    let complete =
        has_met_all(&totals, number, session.features) || number < LONG || args.case.is_some() || args.baseline;
    let seconds = started.elapsed().as_secs_f64();
    println!("{number} cases in {seconds:.0} s, seed {}", args.seed);
    if args.case.is_none() && !args.baseline {
        let version = server::version(&mut session.client)?;
        report::summary(&args.out, &version, args.seed, seconds, number, &totals);
    }
    println!("{} passed, {} failed", totals.passed, totals.failed + u64::from(!complete));
    Ok(totals.failed == 0 && complete)
}

/// Prints a failure and its script, and a smaller one.
fn report_failure(
    args: &Args,
    session: &mut Session,
    case: &Case,
    outcome: &Outcome,
    failure: &Failure,
    seed: u64,
) -> Result<()> {
    println!("not ok - case {seed}: {}\n{}", failure.kind, failure.detail);
    report::failure(&args.out, seed, failure, &outcome.script, "full", args.baseline);
    if args.no_shrink {
        return Ok(());
    }
    match shrink::shrink(session, case, outcome, mode(args)) {
        Ok((_, lines, Some(failure))) => report::failure(&args.out, seed, &failure, &lines, "small", args.baseline),
        Ok(_) => {}
        Err(e) => {
            println!("could not make it smaller: {e:#}");
            session.reconnect()?;
        }
    }
    Ok(())
}

/// Whether no hazard or property is too rare in a run; prints the rare ones.
fn has_met_all(totals: &Totals, cases: u64, features: Features) -> bool {
    let mut rare = totals.counts.missing(cases, features);
    rare.extend(totals.nesting.missing(cases, CASES_PER_HAZARD));
    let unchecked = totals.checks.missing();
    if !rare.is_empty() {
        println!("hardly ever occurred: {}", rare.join("; "));
    }
    if !unchecked.is_empty() {
        println!("never checked: {}", unchecked.join("; "));
    }
    rare.is_empty() && unchecked.is_empty()
}
