//! What came of a case.
//! Invariant: `kind` of a failure is the same however small the case has become. Made by `run`; summed up by `report`, followed by `shrink`.

use super::Clock;
use crate::hazards::Counts;
use crate::properties::Checks;
use crate::query::Nesting;
use crate::tally::Tally;
use std::collections::BTreeSet;

#[derive(Clone, Debug)]
pub struct Failure {
    /// what must stay the same while a case is made smaller
    pub kind: String,
    pub detail: String,
    /// index of the transaction
    pub transaction: usize,
}

#[derive(Default)]
pub struct Outcome {
    pub failure: Option<Failure>,
    pub script: Vec<String>,
    pub counts: Counts,
    pub checks: Checks,
    pub created: u64,
    pub refused: u64,
    /// plain SELECT refused too
    pub illegal: u64,
    pub transactions: u64,
    pub comparisons: u64,
    pub nesting: Nesting,
    /// SQLSTATEs of statements that failed on their own account
    pub errors: Tally<String>,
    /// (transaction, step, SQLSTATE) of every statement that failed
    pub failed_steps: BTreeSet<(usize, usize, String)>,
    pub refusals: Tally<String>,
    /// how many base tables of TVIEWs are followed in which way
    pub strategies: Tally<String>,
    pub clock: Clock,
    pub fingerprints: Option<(Vec<String>, Vec<String>)>,
}
