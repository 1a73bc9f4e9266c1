//! Runs one case in a fresh schema and reports the first failure, if any.
//! Invariant: the script it returns, run by psql on an empty database, does the same. Called by `metamorphic` and `shrink`.
//!
//! ```text
//! whole ─► view         creates the views; `text` has their queries, `live` knows which are there
//!       ─► wal          waits until tables are captured from WAL
//!       ─► transaction  ─► step ─► read    compares in the middle, `hat` says as whom
//!       │               ─► judge, count    what an error means, which hazards were met
//!       ─► compare      all TVIEWs, by the second session
//!       ─► watch, incremental              which rows were written, and by which strategy
//!       ─► end          fresh builds, tviews.verify, DROP
//! ```

mod clock;
mod compare;
mod count;
mod end;
mod hat;
mod incremental;
mod judge;
mod live;
mod outcome;
mod read;
mod step;
mod text;
mod transaction;
mod view;
mod wal;
mod watch;
mod whole;

pub use clock::Clock;
pub use outcome::{Failure, Outcome};

use crate::case::{Case, Mode};
use crate::server::{Session, describe};
use anyhow::Result;
use hat::Hat;
use judge::settle;
use postgres::SimpleQueryMessage;

/// Instead of the number of a transaction: before the first one.
const BEFORE: usize = usize::MAX;

struct Run<'a> {
    session: &'a mut Session,
    case: &'a Case,
    mode: Mode,
    out: Outcome,
    live: Vec<bool>,
    /// TVIEWs whose rows have no hidden state
    stateless: Vec<bool>,
    hat: Hat,
    /// the user's triggers that read TVIEWs, by the name of their function
    readers: Vec<String>,
    /// definitions as the server prints them, once a definition has changed
    texts: Option<Vec<Option<String>>>,
    /// the number of the transaction
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
    out.failure = match failure {
        Some(f) => settle(session, case, mode, f, &mut out)?,
        None => None,
    };
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
}
