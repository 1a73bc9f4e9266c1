//! The sums over the cases of a run.
//! Invariant: each case is in exactly one of passed, failed and known, except cases that could not be run. Called by `sequential`.

use crate::hazards::Counts;
use crate::properties::Checks;
use crate::query::Nesting;
use crate::run::{Clock, Outcome};
use crate::tally::Tally;
use std::collections::BTreeMap;

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

    pub fn add_known(&mut self, what: &str, seed: u64) {
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
