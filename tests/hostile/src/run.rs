//! One case: its runs, each by one actor in one mode, and what must hold after each.
//! Invariant: a run starts from the fixture and the setup of its case, whatever the runs before have done. Called by `main`.

use crate::actor::Actor;
use crate::corpus::Case;
use crate::database::{self, Picture, Server};
use crate::log::{Log, bad_lines};
use crate::mode::{self, Mode, Sent};
use crate::session::{Answer, Session};
use crate::watchdog::Watchdog;
use anyhow::{Context, Result};
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
    copy: Option<Copy>,
}

/// A copy of the fixture, as a case finds it, with sessions that stay as long as nothing in it has changed.
struct Copy {
    name: String,
    before: Picture,
    /// made for a case with a setup of its own
    of: String,
    clean: bool,
    sessions: Vec<Used>,
}

struct Used {
    role: Option<&'static str>,
    session: Session,
    /// what was sent before
    history: Vec<String>,
}

type Attempt = (Vec<String>, Vec<Sent>, Vec<String>);

const DOWN: &str = "the server went down";

impl Runner {
    pub fn new(server: Server, log: Log, verbose: bool) -> Result<Runner> {
        let watchdog = Watchdog::start();
        Ok(Runner { server, log, watchdog, verbose, copy: None })
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

    /// A database as the case finds it.
    fn fresh(&mut self, case: &Case) -> Result<(String, Picture)> {
        let of = case.setup.join(";\n");
        if let Some(copy) = self.copy.as_ref().filter(|c| c.clean && c.of == of) {
            return Ok((copy.name.clone(), copy.before.clone()));
        }
        let name = self.server.copy(self.copy.take().map(|c| c.name))?;
        self.copy = Some(Copy {
            name: name.clone(),
            before: Picture::default(),
            of: of.clone(),
            clean: false,
            sessions: vec![],
        });
        let mut session = Session::connect_again(&self.server.dsn, &name, None)?;
        for sql in &case.setup {
            session.rows(sql).with_context(|| format!("setup of {}", case.name()))?;
        }
        let before = database::picture(&mut session)?;
        self.copy = Some(Copy { name: name.clone(), before: before.clone(), of, clean: true, sessions: vec![] });
        Ok((name, before))
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

    fn start_again(&mut self) -> Result<()> {
        self.watchdog.rest();
        self.server.admin()?;
        if let Some(copy) = self.copy.take() {
            self.server.drop(&copy.name)?;
        }
        self.server.make_template()
    }

    /// The next run starts from a new copy of the fixture.
    fn spoil(&mut self) {
        if let Some(copy) = &mut self.copy {
            copy.clean = false;
            copy.sessions.clear();
        }
    }

    /// Returns failures, what was sent, and what the session had sent before.
    fn attempt(&mut self, case: &Case, actor: Actor, mode: Mode, dice: &mut ChaCha8Rng) -> Result<Attempt> {
        let (database, before) = self.fresh(case)?;
        self.log.news()?;
        let role = if mode == Mode::InFlush { None } else { actor.role() };
        let Used { mut session, mut history, .. } = self.session(&database, role)?;
        self.watchdog.watch(session.pid, format!("{} as {} {mode:?}", case.name(), actor.name()));
        let mut sent = mode::run(&mut session, actor, mode, &case.statements, dice);
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
        if let Some(copy) = self.copy.as_mut().filter(|c| c.clean && failures.is_empty() && !changes_settings) {
            history.extend(case.statements.iter().map(|s| format!("{s} ({})", mode.name())));
            copy.sessions.push(Used { role, session, history });
        }
        Ok((failures, sent, had))
    }

    fn session(&mut self, database: &str, role: Option<&'static str>) -> Result<Used> {
        let used = self.copy.as_mut().and_then(|c| {
            let at = c.sessions.iter().position(|u| u.role == role)?;
            Some(c.sessions.swap_remove(at))
        });
        match used {
            Some(used) => Ok(used),
            None => {
                let session = Session::connect_again(&self.server.dsn, database, role)?;
                Ok(Used { role, session, history: vec![] })
            }
        }
    }

    /// A connection is gone: alone, or the server with it, which is waited for.
    fn lost(&mut self, case: &Case, at: &Sent) -> Result<Option<String>> {
        self.spoil();
        // a server that goes down takes a moment to say so
        std::thread::sleep(std::time::Duration::from_millis(100));
        self.server.admin()?;
        let news = self.log.news()?;
        let bad = bad_lines(&news, &case.allow).join(" / ");
        if bad.contains("was terminated by") {
            self.copy = None;
            self.server.make_template()?;
            return Ok(Some(format!("{DOWN}: {bad}")));
        }
        Ok((!case.may("kill")).then(|| format!("the connection was lost at {}: {} {bad}", at.sql, at.answer)))
    }

    /// The session that was mistreated answers, its writes reach every TVIEW, and these equal their queries.
    fn ask(&self, session: &mut Session, undone: bool, case: &Case, sent: &mut Vec<Sent>, failures: &mut Vec<String>) {
        let end = if undone { "ROLLBACK" } else { "COMMIT" };
        for sql in ["SELECT 1", "BEGIN", "SELECT * FROM hostile.probe()", end] {
            let answer = session.send(sql);
            match &answer {
                Answer::Rows(rows) if sql.contains("probe") => {
                    let rows = rows.iter().flatten().filter(|row| !is_expected(case, row));
                    failures.extend(rows.map(|row| format!("afterwards {row}")));
                }
                Answer::Error(e) if !case.may("fail") || e.state.starts_with("XX") => {
                    failures.push(format!(
                        "afterwards {sql}: {} {} {}",
                        e.state,
                        e.message,
                        e.context.replace('\n', " / ")
                    ));
                }
                _ => {}
            }
            let stop = !answer.is_ok();
            sent.push(Sent { sql: sql.to_string(), answer });
            if stop && sql != "SELECT 1" {
                let answer = session.send("ROLLBACK");
                sent.push(Sent { sql: "ROLLBACK".into(), answer });
                break;
            }
        }
    }

    /// What another session sees: nothing is left of what was taken back, nobody has gained a right, and what the case says holds.
    fn compare(
        &mut self,
        case: &Case,
        database: &str,
        before: &Picture,
        undone: bool,
        failures: &mut Vec<String>,
    ) -> Result<()> {
        let mut session = Session::connect_again(&self.server.dsn, database, None)?;
        for sql in &case.holds {
            match session.send(sql) {
                Answer::Rows(rows) if rows.concat() == ["t"] => {}
                other => failures.push(format!("does not hold: {sql}: {other}")),
            }
        }
        match database::picture(&mut session) {
            Ok(after) => {
                if !case.may("grant") {
                    failures.extend(database::gained(before, &after).iter().map(|r| format!("gained: {r}")));
                }
                if after != *before {
                    if undone && !case.may("residue") {
                        failures.push(format!("left behind: {}", self.residue(&mut session)));
                    }
                    self.spoil();
                }
            }
            Err(e) => {
                self.spoil();
                failures.push(format!("the catalogs cannot be read: {e:#}"));
            }
        }
        Ok(())
    }

    fn residue(&self, session: &mut Session) -> String {
        let now = database::lines(session);
        let Ok(mut original) = Session::connect(&self.server.dsn, database::TEMPLATE, None) else {
            return String::new();
        };
        let was = database::lines(&mut original);
        let more = now.difference(&was).take(3).map(|l| format!("+{l}"));
        let less = was.difference(&now).take(3).map(|l| format!("-{l}"));
        more.chain(less).collect::<Vec<_>>().join(", ")
    }

    pub fn end(&mut self) -> Result<()> {
        if let Some(copy) = self.copy.take() {
            self.server.drop(&copy.name)?;
        }
        self.server.drop(database::TEMPLATE)
    }
}

/// Whether a line of the probe is one that the case lets be: contents that differ, or a write that fails with a proper error.
fn is_expected(case: &Case, line: &str) -> bool {
    if line.ends_with(" extra") {
        return case.may("stale");
    }
    case.may("fail") && !line.contains(": XX")
}

/// Statements of modes that change nothing.
fn is_control(sql: &str) -> bool {
    let words = ["BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "SET ", "RESET ", "SELECT count(*) FROM app."];
    words.iter().any(|w| sql.starts_with(w))
}

/// Whether a statement was ended by the patience of the session.
fn hung(sent: &[Sent]) -> Option<String> {
    let waits = |s: &&Sent| match &s.answer {
        Answer::Error(e) if e.state == "55P03" => e.message.contains("lock timeout"),
        Answer::Error(e) if e.state == "57014" => e.message.contains("statement timeout") && !short(sent),
        _ => false,
    };
    sent.iter().find(waits).map(|s| format!("hangs: {}", s.sql))
}

fn short(sent: &[Sent]) -> bool {
    sent.iter().any(|s| s.sql.starts_with("SET statement_timeout = ") && !s.sql.contains('\''))
}

/// The answer that the case wants, alone as its first actor.
fn wanted(case: &Case, mode: Mode, actor: Actor, first: Actor, sent: &[Sent]) -> Option<String> {
    if mode != Mode::Alone || actor != first || case.want.is_empty() {
        return None;
    }
    let ours = sent.iter().rfind(|s| case.statements.contains(&s.sql))?;
    let right = case.want.iter().any(|w| w == ours.answer.state());
    (!right).then(|| format!("answers {}, not {}", ours.answer, case.want.join(" or ")))
}
