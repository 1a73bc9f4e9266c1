//! Runs one case in a fresh schema and says what is wrong, if anything.
//! Invariant: the script it returns, run by psql on an empty database, does the same. Called by `main` and `shrink`.

mod check;
mod clock;
mod end;
mod hat;
mod incremental;
mod judge;
mod step;
mod transaction;
mod view;
mod watch;

pub use clock::Clock;

use crate::case::{Case, Mode};
use crate::hazards::{Counts, Hazard};
use crate::properties::{Checks, Property};
use crate::query::Nesting;
use crate::server::{Session, describe, settings, state};
use crate::tally::Tally;
use anyhow::Result;
use hat::Hat;
use postgres::SimpleQueryMessage;
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

/// Instead of the number of a transaction: before the first one.
const BEFORE: usize = usize::MAX;

struct Run<'a> {
    session: &'a mut Session,
    case: &'a Case,
    mode: Mode,
    out: Outcome,
    live: Vec<bool>,
    /// TVIEWs whose rows have nothing but what they show
    stateless: Vec<bool>,
    hat: Hat,
    /// the user's triggers that read TVIEWs, by the name of their function
    readers: Vec<String>,
    /// definitions as the server prints them, once a definition has changed
    texts: Option<Vec<Option<String>>>,
    at: usize,
}

pub fn run(session: &mut Session, case: &Case, mode: Mode) -> Result<Outcome> {
    let mut clock = Clock::default();
    clock.to("emptying the schema");
    session.clean()?;
    clock.to("making tables");
    let none = vec![false; case.views.len()];
    let mut run = Run {
        session,
        case,
        mode,
        out: Outcome { clock, ..Outcome::default() },
        live: none.clone(),
        stateless: none,
        hat: Hat::Admin,
        readers: vec![],
        texts: None,
        at: BEFORE,
    };
    let failure = run.whole()?;
    let mut out = run.out;
    out.clock.to("");
    if failure.as_ref().is_some_and(|f| f.kind.contains("closed")) {
        session.reconnect()?;
    }
    if let Some(f) = failure {
        // would the same statement fail without any TVIEW?
        let own = f.kind.strip_prefix("suspicious ").map(str::to_string);
        match own {
            Some(code) => {
                if code == "21000" {
                    out.counts.add(Hazard::ScalarTwoRows);
                }
                let again = self::run(session, case, Mode { without_tviews: true, ..mode })?;
                if again.failed_steps.iter().any(|(t, _, c)| *t == f.transaction && *c == code) {
                    // then the case ends here: it is not what it was meant to be, but nobody is wrong
                    out.errors.add(format!("{code} (case ended)"));
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
        if self.mode.verbose
            && let Err(e) = &done
        {
            println!("-- {}", describe(e));
        }
        for message in done? {
            if let SimpleQueryMessage::CommandComplete(n) = message {
                changed += n;
            }
        }
        Ok(changed)
    }

    /// Runs statements of the setup.
    fn setup(&mut self, statements: &[String]) -> Option<Failure> {
        for sql in statements {
            if let Err(e) = self.sql(sql) {
                return self.fail(format!("setup {}", state(&e)), format!("{sql}\n{}", describe(&e)));
            }
        }
        None
    }

    fn whole(&mut self) -> Result<Option<Failure>> {
        let case = self.case;
        let mut statements = case.ddl.clone();
        if !case.rows.is_empty() {
            statements.push(case.rows.join(";\n"));
        }
        if case.watched {
            // plans as on a server that knows its tables, and none of them is given up for recomputing everything
            let names: Vec<&str> = case.schema.tables.iter().map(|t| t.name.as_str()).collect();
            statements.push(format!("ANALYZE {}", names.join(", ")));
            statements.push("SET pg_tviews.full_refresh_threshold = 1".into());
        }
        statements.extend(case.triggers.clone());
        statements.extend(case.conditions.setup(&case.schema));
        if case.conditions.odd_settings {
            statements.push(settings::DECOY.into());
        }
        if let Some(f) = self.setup(&statements) {
            return Ok(Some(f));
        }
        if case.conditions.owner {
            self.session.checker.batch_execute("SET ROLE fuzz_owner")?;
        }
        for view in 0..case.views.len() {
            if case.views[view].late {
                continue;
            }
            self.out.clock.to("creating TVIEWs");
            if let Some(f) = self.create(view)? {
                return Ok(Some(f));
            }
        }
        if !self.live.iter().zip(&case.views).any(|(l, v)| *l && v.is_tview) && !case.views.iter().any(|v| v.late) {
            return Ok(None);
        }
        if let Some(f) = self.check_all(Property::Contents)? {
            return Ok(Some(f));
        }
        if case.watched && !self.mode.without_tviews {
            self.analyze_stored()?;
        }
        self.count_conditions();
        for (index, transaction) in case.transactions.iter().enumerate() {
            self.at = index;
            if let Some(f) = self.drop_readers(transaction)? {
                return Ok(Some(f));
            }
            self.out.clock.to("watching");
            let (before, counted) = (self.watch(transaction)?, self.counters(transaction)?);
            self.out.clock.to("writing");
            let ended = match self.transaction(transaction)? {
                Ok(ended) => ended,
                Err(f) => return Ok(Some(f)),
            };
            self.out.transactions += 1;
            if let Some(f) = self.check_all(Property::Contents)? {
                return Ok(Some(f));
            }
            self.out.checks.add(Property::NoError);
            self.out.clock.to("watching");
            if let Some(f) = self.compare_watched(transaction, ended, before)? {
                return Ok(Some(f));
            }
            if let Some(f) = self.compare_counters(transaction, ended, counted)? {
                return Ok(Some(f));
            }
        }
        self.out.clock.to("ends");
        self.end()
    }

    /// Statistics of TVIEWs and their stages.
    fn analyze_stored(&mut self) -> Result<()> {
        self.wear(Hat::Admin)?;
        self.sql(
            "DO $$ DECLARE r regclass; BEGIN FOR r IN SELECT oid FROM pg_class WHERE relkind = 'm' LOOP EXECUTE 'ANALYZE ' || r; END LOOP; END $$",
        )?;
        Ok(())
    }

    fn count_conditions(&mut self) {
        let c = self.case.conditions;
        for (is, hazard) in [
            (c.odd_settings, Hazard::OtherSettings),
            (c.setting.is_some(), Hazard::OneSetting),
            (c.writer, Hazard::OtherWriter),
            (c.owner, Hazard::OtherOwner),
            (c.row_security, Hazard::RowSecurity),
        ] {
            if is {
                self.out.counts.add(hazard);
            }
        }
        for hazard in self.case.hazards.iter().copied() {
            self.out.counts.add(hazard);
        }
    }
}
