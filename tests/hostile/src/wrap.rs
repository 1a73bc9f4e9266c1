//! In what the statements of a case are wrapped, by mode.
//! Invariant: whatever the statements do, the session is outside of a transaction when a mode is over, unless the connection is lost.
//! Called by `run`.

use crate::actor::Actor;
use crate::mode::Mode;
use crate::session::{Answer, Session, literal};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// The statements sent, and their results.
pub struct Sent {
    pub sql: String,
    pub answer: Answer,
}

struct Talk<'a> {
    session: &'a mut Session,
    sent: Vec<Sent>,
    lost: bool,
}

impl Talk<'_> {
    fn send(&mut self, sql: &str) -> bool {
        if self.lost {
            return false;
        }
        let answer = self.session.send(sql);
        self.note(sql, answer)
    }

    fn note(&mut self, sql: &str, answer: Answer) -> bool {
        self.lost = answer.is_lost();
        let ok = answer.is_ok();
        self.sent.push(Sent { sql: sql.to_string(), answer });
        ok
    }

    /// All statements, until one fails.
    fn all(&mut self, statements: &[String]) -> bool {
        statements.iter().all(|sql| self.send(sql))
    }
}

/// A PL/pgSQL block with the statements inside of a block of its own.
fn block(statements: &[String], then: &str) -> String {
    let body: String = statements.iter().map(|sql| format!("EXECUTE {}; ", literal(sql))).collect();
    format!(
        "DO $hostile$ BEGIN BEGIN {body}{then} EXCEPTION WHEN OTHERS OR query_canceled THEN NULL; END; END $hostile$"
    )
}

/// The flushes that call a function of a TVIEW.
const FLUSHES: [&str; 5] = [
    "UPDATE app.bait SET v = v + 1",
    "BEGIN; UPDATE app.bait SET v = v + 1; SELECT tviews.flush(); COMMIT",
    "BEGIN; UPDATE app.bait SET v = v + 1; TABLE {view}; ROLLBACK",
    "SELECT * FROM tviews.verify('{view}')",
    "SELECT tviews.rebuild('{view}')",
];

/// Runs the statements of a case. `session` is the actor's, except in `InFlush`, where it is the superuser's.
pub fn run(session: &mut Session, actor: Actor, mode: Mode, statements: &[String], dice: &mut ChaCha8Rng) -> Vec<Sent> {
    let mut talk = Talk { session, sent: vec![], lost: false };
    let t = &mut talk;
    match mode {
        Mode::Alone => {
            t.all(statements);
        }
        Mode::Twice => {
            t.all(statements);
            t.all(statements);
        }
        Mode::Extended => {
            for sql in statements {
                let answer = t.session.send_extended(sql);
                if !t.note(sql, answer) {
                    break;
                }
            }
        }
        Mode::BeginRollback => {
            t.send("BEGIN");
            t.all(statements);
            t.send("ROLLBACK");
        }
        Mode::BeginCommit => {
            t.send("BEGIN");
            t.all(statements);
            t.send("COMMIT");
        }
        Mode::WritesRollback | Mode::WritesCommit => {
            t.send("BEGIN");
            t.send("SELECT * FROM hostile.write()");
            if t.all(statements) {
                t.send("SELECT count(*) FROM app.flat");
            }
            t.send(if mode == Mode::WritesCommit { "COMMIT" } else { "ROLLBACK" });
        }
        Mode::RepeatableRead => {
            t.send("BEGIN ISOLATION LEVEL REPEATABLE READ");
            t.send("SELECT count(*) FROM app.item");
            t.all(statements);
            t.send("ROLLBACK");
        }
        Mode::Savepoint => {
            t.send("BEGIN");
            t.send("SAVEPOINT a");
            t.all(statements);
            t.send("ROLLBACK TO a");
            t.send("SELECT count(*) FROM app.flat");
            t.send("COMMIT");
        }
        Mode::Exception => {
            t.send(&block(statements, "RAISE 'on purpose';"));
        }
        Mode::Caught => {
            t.send(&block(statements, ""));
        }
        Mode::Timeout => {
            for inside in [true, true, false] {
                // most statements of ours take between one and twenty milliseconds
                let time = dice.random_range(1..=12);
                t.send(&format!("SET statement_timeout = {time}"));
                if inside {
                    t.send("BEGIN");
                }
                t.all(statements);
                if inside {
                    t.send("ROLLBACK");
                }
                t.send(&format!("SET statement_timeout = '{}'", crate::session::PATIENCE));
            }
        }
        Mode::InFlush => {
            let flush = FLUSHES[dice.random_range(0..FLUSHES.len())];
            let todo = statements.join("; ");
            t.send(&format!("SET hostile.{} = {}", actor.name(), literal(&todo)));
            let flush = flush.replace("{view}", actor.calling());
            for sql in flush.split("; ") {
                if !t.send(sql) {
                    t.send("ROLLBACK");
                    break;
                }
            }
        }
    }
    // a statement may be BEGIN, and a timeout may meet COMMIT
    t.send("ROLLBACK");
    t.send(&format!("SET statement_timeout = '{}'", crate::session::PATIENCE));
    talk.sent
}
