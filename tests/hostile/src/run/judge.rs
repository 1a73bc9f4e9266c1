//! What must hold after a run, and how what does not is said.
//! Invariant: a case's `may`, `allow`, `want` and `holds` are asked here only. Called by `Runner`.

use super::Runner;
use crate::actor::Actor;
use crate::corpus::Case;
use crate::database::{self, Picture};
use crate::log::bad_lines;
use crate::mode::Mode;
use crate::session::{Answer, Session};
use crate::wrap::Sent;
use anyhow::Result;

const DOWN: &str = "the server went down";

impl Runner {
    /// A connection is gone: alone, or the server with it, which is waited for.
    pub(super) fn lost(&mut self, case: &Case, at: &Sent) -> Result<Option<String>> {
        self.spoil();
        // a server that goes down takes a moment to say so
        std::thread::sleep(std::time::Duration::from_millis(100));
        self.server.admin()?;
        let news = self.log.news()?;
        let bad = bad_lines(&news, &case.allow).join(" / ");
        if bad.contains("was terminated by") {
            self.prepared = None;
            self.server.make_template()?;
            return Ok(Some(format!("{DOWN}: {bad}")));
        }
        Ok((!case.may("kill")).then(|| format!("the connection was lost at {}: {} {bad}", at.sql, at.answer)))
    }

    /// The session that was mistreated answers, its writes reach every TVIEW, and these equal their queries.
    pub(super) fn ask(
        &self,
        session: &mut Session,
        undone: bool,
        case: &Case,
        sent: &mut Vec<Sent>,
        failures: &mut Vec<String>,
    ) {
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

    /// Checks by another session: rolled-back work left nothing, no role has gained a right, and the conditions of the case hold.
    pub(super) fn compare(
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
}

/// Whether the case allows a line of the probe: contents that differ, or a write that fails with a proper error.
fn is_expected(case: &Case, line: &str) -> bool {
    if line.ends_with(" extra") {
        return case.may("stale");
    }
    case.may("fail") && !line.contains(": XX")
}

/// Statements of modes that change nothing.
pub(super) fn is_control(sql: &str) -> bool {
    let words = ["BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "SET ", "RESET ", "SELECT count(*) FROM app."];
    words.iter().any(|w| sql.starts_with(w))
}

/// Whether a statement was ended by the patience of the session.
pub(super) fn hung(sent: &[Sent]) -> Option<String> {
    let waits = |s: &&Sent| match &s.answer {
        Answer::Error(e) if e.state == "55P03" => e.message.contains("lock timeout"),
        Answer::Error(e) if e.state == "57014" => e.message.contains("statement timeout") && !short(sent),
        _ => false,
    };
    sent.iter().find(waits).map(|s| format!("hangs: {}", s.sql))
}

/// Whether the mode itself sets a time-out.
fn short(sent: &[Sent]) -> bool {
    sent.iter().any(|s| s.sql.starts_with("SET statement_timeout = ") && !s.sql.contains('\''))
}

/// The answer that the case wants, alone as its first actor.
pub(super) fn wanted(case: &Case, mode: Mode, actor: Actor, first: Actor, sent: &[Sent]) -> Option<String> {
    if mode != Mode::Alone || actor != first || case.want.is_empty() {
        return None;
    }
    let ours = sent.iter().rfind(|s| case.statements.contains(&s.sql))?;
    let right = case.want.iter().any(|w| w == ours.answer.state());
    (!right).then(|| format!("answers {}, not {}", ours.answer, case.want.join(" or ")))
}
