//! One schema, written by all sessions in several rounds.
//! Invariant: every TVIEW equals its query in every snapshot of a round, and when all sessions are done with it. Called by `concurrent::run`.

use super::log::Log;
use super::reader::{self, compare};
use super::{Found, Shared, writer};
use crate::case::{self, Case, Mode};
use crate::server::Session;
use anyhow::{Context, Result};
use std::sync::atomic::{AtomicBool, Ordering};

const ROUNDS: u64 = 3;

/// What went wrong, if anything, with all that is known of it.
pub fn rounds(
    session: &mut Session,
    dsn: &str,
    seed: u64,
    sessions: usize,
    sums: &mut Found,
) -> Result<Option<String>> {
    session.clean()?;
    let case = case::build(seed, session.features);
    for sql in case.ddl.iter().chain([&case.rows.join(";\n")]).chain(&case.triggers).filter(|s| !s.is_empty()) {
        session.client.batch_execute(sql).with_context(|| sql.clone())?;
    }
    let mut live = vec![false; case.views.len()];
    for (i, v) in case.views.iter().enumerate().filter(|(_, v)| !v.late) {
        live[i] = session.client.batch_execute(&v.create(Mode::default())).is_ok();
    }
    let log = Log::default();
    for round in 0..ROUNDS {
        let stop = AtomicBool::new(false);
        let shared = Shared { case: &case, live: &live, log: &log, stop: &stop };
        let mut trouble = None;
        for found in together(&shared, dsn, sessions, |me| seed ^ (round * 64 + me as u64 + 1)) {
            sums.committed += found.committed;
            sums.comparisons += found.comparisons;
            sums.errors.merge(&found.errors);
            trouble = match (trouble, found.failure) {
                (Some(a), Some(b)) => Some(format!("{a}\nand {b}")),
                (a, b) => a.or(b),
            };
        }
        trouble = trouble
            .or_else(|| compare(&mut session.checker, &case, &live, sums).map(|f| format!("when all were done: {f}")));
        if let Some(text) = trouble {
            return Ok(Some(report(text, &case, &live, &log)));
        }
    }
    Ok(None)
}

/// All writers at the same time, and the reader until they are done.
fn together(shared: &Shared, dsn: &str, sessions: usize, seed: impl Fn(usize) -> u64) -> Vec<Found> {
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| reader::read(shared, dsn));
        let writers: Vec<_> = (0..sessions)
            .map(|me| {
                let seed = seed(me);
                scope.spawn(move || writer::write(shared, dsn, me, seed))
            })
            .collect();
        let mut all: Vec<Found> = writers.into_iter().filter_map(|w| w.join().ok()).collect();
        shared.stop.store(true, Ordering::Relaxed);
        all.extend(reader.join().ok());
        all
    })
}

fn report(text: String, case: &Case, live: &[bool], log: &Log) -> String {
    let mut out = text + "\n\n-- schema\n";
    for sql in case.ddl.iter().chain(&case.rows).chain(&case.triggers) {
        out += &format!("{sql};\n");
    }
    for (v, _) in case.views.iter().zip(live).filter(|(_, l)| **l) {
        out += &format!("{};\n", v.create(Mode::default()));
    }
    out + "\n-- what the sessions sent\n" + &log.text()
}
