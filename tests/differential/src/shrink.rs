//! Makes a failing case smaller while it fails in the same way: transactions, statements, rows, views, definitions.
//! Invariant: the case that it returns was run and failed. Called by `sequential`.

use crate::case::{Act, Case, Conditions, End, Mode};
use crate::run::{Failure, Outcome, run};
use crate::server::Session;
use anyhow::Result;
use std::time::{Duration, Instant};

struct Shrink<'a> {
    session: &'a mut Session,
    mode: Mode,
    kind: String,
    until: Instant,
    best: Case,
    script: Vec<String>,
    failure: Failure,
}

pub fn shrink(
    session: &mut Session,
    case: &Case,
    outcome: &Outcome,
    mode: Mode,
) -> Result<(Case, Vec<String>, Option<Failure>)> {
    let Some(failure) = outcome.failure.clone() else {
        return Ok((case.clone(), outcome.script.clone(), None));
    };
    let mode = Mode { verbose: false, ..mode };
    let until = Instant::now() + Duration::from_secs(40);
    let mut s = Shrink {
        session,
        mode,
        kind: failure.kind.clone(),
        until,
        best: case.clone(),
        script: outcome.script.clone(),
        failure,
    };
    // a crash costs a restart of the server for every attempt
    if s.kind.contains("closed") {
        s.until = Instant::now() + Duration::from_secs(60);
    }
    for _ in 0..3 {
        let before = s.size();
        s.pass()?;
        if s.size() == before || Instant::now() > s.until {
            break;
        }
    }
    Ok((s.best, s.script, Some(s.failure)))
}

impl Shrink<'_> {
    fn size(&self) -> usize {
        self.best.ddl.len()
            + self.best.rows.len()
            + self.best.triggers.len()
            + self.best.views.len()
            + self.best.transactions.iter().map(|t| t.steps.len() + 1).sum::<usize>()
    }

    fn attempt(&mut self, candidate: Case) -> Result<bool> {
        if Instant::now() > self.until {
            return Ok(false);
        }
        let outcome = match run(self.session, &candidate, self.mode) {
            Ok(outcome) => outcome,
            // what is left is no longer something that this program can follow
            Err(_) => {
                self.session.reconnect()?;
                return Ok(false);
            }
        };
        match outcome.failure {
            Some(f) if f.kind == self.kind => {
                self.best = candidate;
                self.script = outcome.script;
                self.failure = f;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Tries to leave out parts of a list, larger ones first.
    fn cut<T>(&mut self, list: impl Fn(&mut Case) -> &mut Vec<T>) -> Result<()> {
        let mut size = list(&mut self.best.clone()).len().max(1);
        while size >= 1 {
            let mut end = list(&mut self.best.clone()).len();
            while end > 0 && Instant::now() < self.until {
                let start = end.saturating_sub(size);
                let mut candidate = self.best.clone();
                list(&mut candidate).drain(start..end);
                self.attempt(candidate)?;
                end = start;
            }
            size /= 2;
        }
        Ok(())
    }

    fn pass(&mut self) -> Result<()> {
        let mut candidate = self.best.clone();
        if self.failure.transaction < candidate.transactions.len() {
            candidate.transactions.truncate(self.failure.transaction + 1);
            self.attempt(candidate)?;
        } else if self.failure.transaction == usize::MAX {
            candidate.transactions.clear();
            self.attempt(candidate)?;
        }
        let mut candidate = self.best.clone();
        candidate.conditions = Conditions::default();
        self.attempt(candidate)?;
        self.cut(|c| &mut c.transactions)?;
        self.views()?;
        for t in 0..self.best.transactions.len() {
            self.cut(move |c| &mut c.transactions[t].steps)?;
        }
        for t in 0..self.best.transactions.len() {
            let mut candidate = self.best.clone();
            candidate.transactions[t].isolation = "READ COMMITTED";
            candidate.transactions[t].end = End::Commit;
            if self.attempt(candidate)? {
                let mut candidate = self.best.clone();
                candidate.transactions[t].end = End::Autocommit;
                if candidate.transactions[t].steps.iter().all(|s| !matches!(s.act, Act::Savepoint(_))) {
                    self.attempt(candidate)?;
                }
            }
        }
        self.cut(|c| &mut c.triggers)?;
        self.cut(|c| &mut c.rows)?;
        self.cut(|c| &mut c.ddl)
    }

    /// Views one by one; steps refer to views by number, so a view is replaced by a view that nobody can create.
    fn views(&mut self) -> Result<()> {
        for i in (0..self.best.views.len()).rev() {
            if self.best.views[i].query.sql != "left out" {
                let mut candidate = self.best.clone();
                candidate.views[i].query.sql = "left out".into();
                self.attempt(candidate)?;
            }
        }
        Ok(())
    }
}
