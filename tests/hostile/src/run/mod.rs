//! One case: its runs, each by one actor in one mode, and what must hold after each.
//! Invariant: a run starts from the fixture and the setup of its case, whatever the runs before have done. Called by `rounds`.

mod judge;
mod prepared;

use crate::actor::Actor;
use crate::corpus::Case;
use crate::database::{self, Server};
use crate::log::{Log, bad_lines};
use crate::mode::Mode;
use crate::watchdog::Watchdog;
use crate::wrap::{self, Sent};
use anyhow::Result;
use judge::{hung, is_control, wanted};
use prepared::{Prepared, Used};
use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

pub struct Failure {
    pub what: String,
    pub actor: Actor,
    pub mode: Mode,
    pub script: Vec<String>,
}

pub struct Runner {
    pub server: Server,
    pub log: Log,
    pub watchdog: Watchdog,
    pub verbose: bool,
    prepared: Option<Prepared>,
}

/// Failures, the statements sent, and the statements that the session had sent before.
type Attempt = (Vec<String>, Vec<Sent>, Vec<String>);

impl Runner {
    pub fn new(server: Server, log: Log, verbose: bool) -> Result<Runner> {
        let watchdog = Watchdog::start();
        Ok(Runner { server, log, watchdog, verbose, prepared: None })
    }

    /// The pairs of actor and mode of a case: always alone as the first actor, the rest by the dice.
    fn plan(&self, case: &Case, runs: f64, dice: &mut ChaCha8Rng) -> Vec<(Actor, Mode)> {
        let actors =
            Actor::ALL.into_iter().filter(|a| case.actors.is_empty() || case.actors.iter().any(|n| n == a.name()));
        let modes = |m: &Mode| case.modes.is_empty() || case.modes.contains(&m.name());
        let mut pairs: Vec<_> = actors.flat_map(|a| Mode::ALL.into_iter().filter(modes).map(move |m| (a, m))).collect();
        if runs > 0.0 && pairs.len() > 1 {
            pairs[1..].shuffle(dice);
            let one_more = dice.random_bool(runs.fract());
            pairs.truncate((runs as usize).max(1) + usize::from(one_more));
        }
        pairs
    }

    pub fn case(&mut self, case: &Case, runs: f64, dice: &mut ChaCha8Rng) -> Result<(usize, Vec<Failure>)> {
        let plan = self.plan(case, runs, dice);
        let mut failures = vec![];
        for &(actor, mode) in &plan {
            let (mut found, sent) = match self.once(case, actor, mode, dice) {
                Ok(done) => done,
                Err(e) => {
                    // a setup that fails, or a server that goes down between statements
                    self.start_again()?;
                    (vec![format!("{e:#}")], vec![])
                }
            };
            if let Some(what) = wanted(case, mode, actor, plan[0].0, &sent) {
                found.push(what);
            }
            let mut script: Vec<String> = case.setup.iter().map(|s| format!("{s};  -- setup")).collect();
            script.extend(sent.iter().map(|s| format!("{};  -- {}", s.sql, s.answer)));
            failures.extend(found.into_iter().map(|what| Failure { what, actor, mode, script: script.clone() }));
        }
        Ok((plan.len(), failures))
    }

    /// A run that fails in a session that had others before is done again in a new one, so that the report shows all that is needed.
    fn once(
        &mut self,
        case: &Case,
        actor: Actor,
        mode: Mode,
        dice: &mut ChaCha8Rng,
    ) -> Result<(Vec<String>, Vec<Sent>)> {
        let again = dice.clone();
        let (failures, sent, history) = self.attempt(case, actor, mode, dice)?;
        if failures.is_empty() || history.is_empty() {
            return Ok((failures, sent));
        }
        self.spoil();
        let (alone, sent_alone, _) = self.attempt(case, actor, mode, &mut again.clone())?;
        if !alone.is_empty() {
            return Ok((alone, sent_alone));
        }
        let note = format!("only in a session that has sent before: {}", history.join("; "));
        Ok((failures.into_iter().chain([note]).collect(), sent))
    }

    /// One run.
    fn attempt(&mut self, case: &Case, actor: Actor, mode: Mode, dice: &mut ChaCha8Rng) -> Result<Attempt> {
        let (database, before) = self.fresh(case)?;
        self.log.news()?;
        let role = if mode == Mode::InFlush { None } else { actor.role() };
        let Used { mut session, mut history, .. } = self.session(&database, role)?;
        self.watchdog.watch(session.pid, format!("{} as {} {mode:?}", case.name(), actor.name()));
        let mut sent = wrap::run(&mut session, actor, mode, &case.statements, dice);
        if self.verbose {
            println!("# {} {} {mode:?}", case.name(), actor.name());
            sent.iter().for_each(|s| println!("#   {}; -- {}", s.sql, s.answer));
        }
        let mut failures = vec![];
        let nothing_done = sent.iter().all(|s| !s.answer.is_ok() || is_control(&s.sql));
        let undone = (mode.undoes() && !case.ends_transactions()) || nothing_done;
        if !sent.iter().any(|s| s.answer.is_lost()) {
            self.ask(&mut session, undone && !case.may("residue"), case, &mut sent, &mut failures);
        }
        self.watchdog.rest();
        if let Some(at) = sent.iter().position(|s| s.answer.is_lost()) {
            failures.extend(self.lost(case, &sent[at])?);
            return Ok((failures, sent, history));
        }
        self.compare(case, &database, &before, undone, &mut failures)?;
        let news = self.log.news()?;
        let bad = bad_lines(&news, &case.allow);
        failures.extend(bad.iter().map(|line| format!("log: {line}")));
        failures.extend(hung(&sent));
        // what follows must not depend on whether a RESET was reached
        let changes_settings = case.statements.iter().any(|s| s.starts_with("SET "));
        let had = history.clone();
        if let Some(prepared) = self.prepared.as_mut().filter(|p| p.clean && failures.is_empty() && !changes_settings) {
            history.extend(case.statements.iter().map(|s| format!("{s} ({})", mode.name())));
            prepared.sessions.push(Used { role, session, history });
        }
        Ok((failures, sent, had))
    }

    /// Nothing of the fixture is left.
    pub fn end(&mut self) -> Result<()> {
        if let Some(prepared) = self.prepared.take() {
            self.server.drop(&prepared.name)?;
        }
        self.server.drop(database::TEMPLATE)
    }
}
