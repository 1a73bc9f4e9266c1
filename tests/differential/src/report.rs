//! What a person reads: reproduction scripts and totals. Called by `main`.

use crate::hazards::Counts;
use crate::properties::Checks;
use crate::query::Nesting;
use crate::run::{Clock, Failure, Outcome};
use crate::server::{SCHEMA, settings};
use crate::tally::Tally;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Default)]
pub struct Totals {
    pub passed: u64,
    pub failed: u64,
    /// failed in a way that is known: how often, and the first cases
    pub known: BTreeMap<String, (u64, Vec<u64>)>,
    pub created: u64,
    pub refused: u64,
    pub illegal: u64,
    pub transactions: u64,
    pub comparisons: u64,
    pub counts: Counts,
    pub nesting: Nesting,
    pub checks: Checks,
    pub errors: Tally<String>,
    pub refusals: Tally<String>,
    pub strategies: Tally<String>,
    pub clock: Clock,
}

impl Totals {
    pub fn add(&mut self, o: &Outcome) {
        self.created += o.created;
        self.refused += o.refused;
        self.illegal += o.illegal;
        self.transactions += o.transactions;
        self.comparisons += o.comparisons;
        self.counts.merge(&o.counts);
        self.nesting.merge(&o.nesting);
        self.checks.merge(&o.checks);
        self.clock.merge(&o.clock);
        self.errors.merge(&o.errors);
        self.strategies.merge(&o.strategies);
        self.refusals.merge(&o.refusals);
    }

    pub fn known(&mut self, what: &str, seed: u64) {
        let (n, cases) = self.known.entry(what.to_string()).or_default();
        *n += 1;
        if cases.len() < 3 {
            cases.push(seed);
        }
    }

    pub fn print(&self) {
        self.counts.print();
        self.nesting.print();
        self.checks.print();
        println!(
            "\n{} TVIEWs created, {} refused, {} queries not legal, {} transactions, {} comparisons",
            self.created, self.refused, self.illegal, self.transactions, self.comparisons
        );
        self.clock.print();
        println!("statements that failed on their own account, by SQLSTATE: {:?}", self.errors);
        println!("base tables of TVIEWs, by strategy and reason for full:");
        for (strategy, n) in self.strategies.iter() {
            println!("{n:8}  {strategy}");
        }
        for (message, n) in self.refusals.iter() {
            println!("refused {n} times: {message}");
        }
        for (what, (n, cases)) in &self.known {
            println!("known, {n} times: {what}, as in {cases:?}");
        }
    }
}

/// Writes the figures of a run, as a row of the table in docs/internals/verification.md.
pub fn summary(out: &Path, version: &str, seed: u64, seconds: f64, cases: u64, totals: &Totals) {
    let known: u64 = totals.known.values().map(|(n, _)| n).sum();
    let minutes = seconds / 60.0;
    let text = format!(
        "| server | seed | minutes | cases | TVIEWs | transactions | comparisons | failures | known limits |\n|---|---|---|---|---|---|---|---|---|\n\
         | {version} | {seed} | {minutes:.0} | {cases} | {} | {} | {} | {} | {known} |\n",
        totals.created, totals.transactions, totals.comparisons, totals.failed
    );
    let file = out.join(format!("run-{version}-{seed}.md"));
    match std::fs::create_dir_all(out).and_then(|()| std::fs::write(&file, text)) {
        Ok(()) => println!("figures in {}", file.display()),
        Err(e) => println!("cannot write {}: {e}", file.display()),
    }
}

/// The script of a failure: runs in psql on an empty database.
pub fn script(seed: u64, failure: &Failure, lines: &[String], baseline: bool) -> String {
    let comment: String = failure.detail.lines().map(|l| format!("--   {l}\n")).collect();
    let extension = if baseline { "" } else { "CREATE EXTENSION IF NOT EXISTS pg_tviews;\n" };
    format!(
        "-- {}\n{comment}-- replay: --case {seed}\n{}{extension}DROP SCHEMA IF EXISTS {SCHEMA} CASCADE;\nCREATE SCHEMA {SCHEMA};\nSET search_path = {SCHEMA}, public;\n\n{}\n",
        failure.kind,
        settings::comparing().split("; ").map(|s| format!("{};\n", s.trim())).collect::<String>(),
        lines.join("\n")
    )
}

/// Writes the script to a file and to standard output.
pub fn failure(out: &Path, seed: u64, failure: &Failure, lines: &[String], name: &str, baseline: bool) {
    let text = script(seed, failure, lines, baseline);
    let file = out.join(format!("{seed}-{name}.sql"));
    println!("---- {name} script of case {seed} ----\n{text}----");
    match std::fs::create_dir_all(out).and_then(|()| std::fs::write(&file, &text)) {
        Ok(()) => println!("written to {}", file.display()),
        Err(e) => println!("cannot write {}: {e}", file.display()),
    }
}
