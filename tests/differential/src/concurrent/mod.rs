//! Several sessions write to one schema at the same time; a reader compares all the while, and everything is compared when all are done.
//! Invariant: the last line is `N passed, N failed`, one schema each. Runs are seeded but not replayable to the statement: the report has what
//! every session ran. Called by `main` for `--concurrent N`.
//!
//! `rounds` sets several `writer`s and a `reader` on one schema; `judge` knows which of their errors may happen, `log` keeps their statements.

mod judge;
mod log;
mod reader;
mod rounds;
mod writer;

use crate::args::Args;
use crate::case::Case;
use crate::dice::case_seed;
use crate::server::{self, Session};
use crate::tally::Tally;
use anyhow::Result;
use log::Log;
use postgres::Client;
use rounds::rounds;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// What the sessions of a round have in common.
#[derive(Clone, Copy)]
struct Shared<'a> {
    case: &'a Case,
    /// which of its views are there
    live: &'a [bool],
    log: &'a Log,
    /// for all sessions: somebody has failed, or all writers are done
    stop: &'a AtomicBool,
}

/// What one session has seen, or all of them together.
#[derive(Default)]
struct Found {
    failure: Option<String>,
    errors: Tally<String>,
    committed: u64,
    comparisons: u64,
}

fn connect(dsn: &str) -> Result<Client, postgres::Error> {
    let mut client = server::connect(dsn)?;
    client.batch_execute("SET deadlock_timeout = '200ms'")?;
    Ok(client)
}

pub fn run(args: &Args) -> Result<bool> {
    let mut session = Session::connect(&args.dsn)?;
    session.client.batch_execute("CREATE EXTENSION IF NOT EXISTS pg_tviews")?;
    let started = Instant::now();
    let (mut passed, mut failed, mut number) = (0, 0, 0);
    let mut sums = Found::default();
    while failed < args.max_failures
        && (args.seconds == 0 || started.elapsed() < Duration::from_secs(args.seconds))
        && (args.cases == 0 || number < args.cases)
    {
        let seed = args.case.unwrap_or_else(|| case_seed(args.seed, number));
        number += 1;
        let result = rounds(&mut session, &args.dsn, seed, args.concurrent, &mut sums);
        match result {
            Ok(None) => passed += 1,
            Ok(Some(text)) => {
                failed += 1;
                let file = args.out.join(format!("{seed}-concurrent.txt"));
                std::fs::create_dir_all(&args.out)?;
                std::fs::write(&file, &text)?;
                println!(
                    "not ok - case {seed}: {}\nwritten to {}",
                    text.split("\n\n").next().unwrap_or(""),
                    file.display()
                );
            }
            Err(e) => {
                failed += 1;
                println!("not ok - case {seed}: {e:#}");
                session.reconnect()?;
            }
        }
    }
    let _ = session.clean();
    println!(
        "{number} schemas, {} transactions of {} sessions, {} comparisons; errors by SQLSTATE: {:?}",
        sums.committed, args.concurrent, sums.comparisons, sums.errors
    );
    let compared = sums.comparisons > 0 || args.case.is_some();
    if !compared {
        println!("not ok - nothing was compared");
    }
    println!("{passed} passed, {} failed", failed + u64::from(!compared));
    Ok(failed == 0 && compared)
}
