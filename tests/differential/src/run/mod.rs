//! Runs one case in a fresh schema and says what is wrong, if anything.
//! Invariant: the script it returns, run by psql on an empty database, does the same. Called by `main` and `shrink`.

mod check;
mod end;
mod session;
mod step;
mod transaction;
mod view;

pub use session::{describe, in_flush, state, Session, SCHEMA};

use crate::case::Case;
use crate::hazards::{Counts, Hazard};
use crate::oracle;
use anyhow::Result;
use postgres::SimpleQueryMessage;
use std::collections::{BTreeMap, BTreeSet};

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
    pub created: u64,
    pub refused: u64,
    /// plain SELECT refused too
    pub illegal: u64,
    pub transactions: u64,
    pub comparisons: u64,
    pub retries: u64,
    /// SQLSTATEs of statements that failed on their own account
    pub errors: BTreeMap<String, u64>,
    /// (transaction, step, SQLSTATE) of every statement that failed
    pub failed_steps: BTreeSet<(usize, usize, String)>,
    pub refusals: BTreeMap<String, u64>,
    /// how many base tables of TVIEWs are followed in which way
    pub strategies: BTreeMap<String, u64>,
    pub fingerprints: Option<(Vec<String>, Vec<String>)>,
}

#[derive(Clone, Copy, Debug)]
pub struct Mode {
    pub baseline: bool,
    /// run the transactions only: tells whether an error is the statement's own
    pub without_tviews: bool,
    pub verbose: bool,
}

struct Run<'a> {
    session: &'a mut Session,
    case: &'a Case,
    mode: Mode,
    out: Outcome,
    live: Vec<bool>,
    /// definitions as the server prints them, once a definition has changed
    texts: Option<Vec<Option<String>>>,
    at: usize,
}

pub fn run(session: &mut Session, case: &Case, mode: Mode) -> Result<Outcome> {
    session.clean()?;
    let live = vec![false; case.views.len()];
    let mut run = Run { session, case, mode, out: Outcome::default(), live, texts: None, at: 0 };
    let failure = run.whole()?;
    let mut out = run.out;
    if failure.as_ref().is_some_and(|f| f.kind.contains("closed")) {
        session.reconnect()?;
    }
    if let Some(f) = failure {
        // would the same statement fail without any TVIEW?
        let own = f.kind.strip_prefix("suspicious ").map(str::to_string);
        match own {
            Some(code) => {
                let again = self::run(session, case, Mode { without_tviews: true, ..mode })?;
                if again.failed_steps.iter().any(|(t, _, c)| *t == f.transaction && *c == code) {
                    // then the case ends here: it is not what it was meant to be, but nobody is wrong
                    *out.errors.entry(format!("{code} (case ended)")).or_default() += 1;
                } else {
                    out.failure = Some(Failure { kind: format!("error {code} only with TVIEWs"), ..f });
                }
            }
            None => out.failure = Some(f),
        }
    }
    Ok(out)
}

impl Run<'_> {
    fn fail(&self, kind: impl Into<String>, detail: impl Into<String>) -> Option<Failure> {
        Some(Failure { kind: kind.into(), detail: detail.into(), transaction: self.at })
    }

    fn log(&mut self, sql: &str) {
        if self.mode.verbose {
            println!("{sql};");
        }
        self.out.script.push(format!("{sql};"));
    }

    /// Runs SQL; the number of rows it changed.
    fn sql(&mut self, sql: &str) -> Result<u64, postgres::Error> {
        self.log(sql);
        let mut changed = 0;
        let done = self.session.client.simple_query(sql);
        if self.mode.verbose {
            if let Err(e) = &done {
                println!("-- {}", describe(e));
            }
        }
        for message in done? {
            if let SimpleQueryMessage::CommandComplete(n) = message {
                changed += n;
            }
        }
        Ok(changed)
    }

    fn whole(&mut self) -> Result<Option<Failure>> {
        for ddl in self.case.ddl.clone() {
            if let Err(e) = self.sql(&ddl) {
                return Ok(self.fail(format!("setup {}", state(&e)), describe(&e)));
            }
        }
        if !self.case.rows.is_empty() {
            let rows = self.case.rows.join(";\n");
            if let Err(e) = self.sql(&rows) {
                return Ok(self.fail(format!("setup {}", state(&e)), describe(&e)));
            }
        }
        for view in 0..self.case.views.len() {
            if self.case.views[view].late {
                continue;
            }
            if let Some(f) = self.create(view)? {
                return Ok(Some(f));
            }
        }
        if !self.mode.without_tviews
            && !self.live.iter().zip(&self.case.views).any(|(l, v)| *l && v.is_tview)
            && !self.case.views.iter().any(|v| v.late)
        {
            return Ok(None);
        }
        if self.case.odd_settings && !self.mode.baseline {
            self.sql(oracle::ODD_SETTINGS)?;
        }
        self.at = usize::MAX;
        if let Some(f) = self.check_all()? {
            return Ok(Some(f));
        }
        if self.case.odd_settings {
            self.out.counts.add(Hazard::OtherSettings);
        }
        for hazard in self.case.hazards.iter().copied() {
            self.out.counts.add(hazard);
        }
        for (index, transaction) in self.case.transactions.iter().enumerate() {
            self.at = index;
            let before = if transaction.no_change { self.places()? } else { vec![] };
            if let Some(f) = self.transaction(transaction)? {
                return Ok(Some(f));
            }
            self.out.transactions += 1;
            if let Some(f) = self.check_all()? {
                return Ok(Some(f));
            }
            if transaction.no_change && before != self.places()? {
                let after = self.places()?;
                let changed: Vec<String> = before
                    .iter()
                    .zip(&after)
                    .filter(|(b, a)| b != a)
                    .map(|(b, a)| format!("{b:?} became {a:?}"))
                    .collect();
                return Ok(self.fail("rows written without a change", changed.join("\n")));
            }
        }
        self.end()
    }
}
