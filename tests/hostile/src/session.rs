//! Connections, and what the server answers. A lost connection is an answer too: `Answer::Lost`.
//! Invariant: no session waits for ever, neither for a lock nor for a statement. Called by everything that talks to the server.

use anyhow::{Result, bail};
use postgres::{Client, Config, NoTls, SimpleQueryMessage};
use std::fmt;
use std::time::{Duration, Instant};

/// Time after which a statement counts as hanging.
pub const PATIENCE: &str = "10s";

#[derive(Clone, Debug)]
pub struct Refusal {
    pub state: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    pub constraint: Option<String>,
    pub context: String,
}

#[derive(Clone, Debug)]
pub enum Answer {
    /// values of all rows, by text
    Rows(Vec<Vec<String>>),
    Error(Box<Refusal>),
    Lost(String),
}

impl Answer {
    pub fn is_ok(&self) -> bool {
        matches!(self, Answer::Rows(_))
    }

    pub fn is_lost(&self) -> bool {
        matches!(self, Answer::Lost(_))
    }

    pub fn state(&self) -> &str {
        match self {
            Answer::Rows(_) => "00000",
            Answer::Error(refusal) => &refusal.state,
            Answer::Lost(_) => "lost",
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Answer::Rows(rows) => write!(f, "{} rows", rows.len()),
            Answer::Error(e) => write!(f, "{} {}", e.state, e.message),
            Answer::Lost(why) => write!(f, "connection lost: {why}"),
        }
    }
}

impl From<postgres::Error> for Answer {
    fn from(e: postgres::Error) -> Answer {
        let Some(d) = e.as_db_error() else { return Answer::Lost(e.to_string()) };
        if d.severity() == "FATAL" || d.severity() == "PANIC" {
            return Answer::Lost(format!("{} {}", d.code().code(), d.message()));
        }
        let own = |text: Option<&str>| text.map(str::to_string);
        Answer::Error(Box::new(Refusal {
            state: d.code().code().to_string(),
            message: d.message().to_string(),
            detail: own(d.detail()),
            hint: own(d.hint()),
            constraint: own(d.constraint()),
            context: d.where_().unwrap_or_default().to_string(),
        }))
    }
}

pub struct Session {
    pub client: Client,
    pub pid: i32,
}

/// The settings that every session starts with.
fn config(dsn: &str, database: &str, user: Option<&str>) -> Result<Config> {
    let mut config: Config = dsn.parse()?;
    config.dbname(database).connect_timeout(Duration::from_secs(20));
    if let Some(user) = user {
        config.user(user);
    }
    config.options(&format!(
        "-c statement_timeout={PATIENCE} -c lock_timeout=5s -c client_min_messages=error -c jit=off -c search_path=app,low,public"
    ));
    Ok(config)
}

impl Session {
    pub fn connect(dsn: &str, database: &str, user: Option<&str>) -> Result<Session> {
        let client = config(dsn, database, user)?.connect(NoTls)?;
        let mut session = Session { client, pid: 0 };
        session.pid = session.one("SELECT pg_backend_pid()")?.parse()?;
        Ok(session)
    }

    /// The same after a crash: the server may need a while.
    pub fn connect_again(dsn: &str, database: &str, user: Option<&str>) -> Result<Session> {
        let started = Instant::now();
        loop {
            match Session::connect(dsn, database, user) {
                Ok(session) => return Ok(session),
                Err(e) if started.elapsed() > Duration::from_secs(60) => bail!("the server does not come back: {e}"),
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// Sends text as psql would.
    pub fn send(&mut self, sql: &str) -> Answer {
        match self.client.simple_query(sql) {
            Err(e) => e.into(),
            Ok(messages) => {
                let rows = messages.iter().filter_map(|m| match m {
                    SimpleQueryMessage::Row(r) => {
                        Some((0..r.len()).map(|i| r.get(i).unwrap_or_default().to_string()).collect())
                    }
                    _ => None,
                });
                Answer::Rows(rows.collect())
            }
        }
    }

    /// Sends a statement as most drivers would: parsed and planned first.
    pub fn send_extended(&mut self, sql: &str) -> Answer {
        // results have types that this program does not know: they are fetched, and not looked at
        match self.client.prepare(sql).and_then(|s| self.client.query(&s, &[]).map(|_| ())) {
            Ok(()) => Answer::Rows(vec![]),
            Err(e) => e.into(),
        }
    }

    /// All rows; an error ends the test.
    pub fn rows(&mut self, sql: &str) -> Result<Vec<Vec<String>>> {
        match self.send(sql) {
            Answer::Rows(rows) => Ok(rows),
            other => bail!(
                "{other}\nin {}",
                sql.lines().filter(|l| !l.starts_with("--")).take(3).collect::<Vec<_>>().join(" ")
            ),
        }
    }

    pub fn one(&mut self, sql: &str) -> Result<String> {
        Ok(self.rows(sql)?.into_iter().flatten().next().unwrap_or_default())
    }
}

/// An identifier or literal, quoted.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
