//! Connections: one that writes, one that compares, and what errors of the server say. Called by all of `run` and by `concurrent`.

use crate::oracle;
use crate::types::Features;
use anyhow::{Context, Result, bail};
use postgres::{Client, NoTls};
use std::io::Write;

/// Where everything of a case lives.
pub const SCHEMA: &str = "fuzz";

/// What came of a COPY.
pub struct Copied {
    pub rows: Result<u64, postgres::Error>,
    /// The connection is a new one.
    pub is_new: bool,
}

pub struct Session {
    pub dsn: String,
    pub client: Client,
    pub checker: Client,
    pub features: Features,
    /// Settings that a session may change, each with another value than it has.
    pub settings: Vec<(String, String)>,
}

/// Switches and choices, and the least value of what the planner weighs. Not those by which statements are refused, logged or slow.
const OTHER_SETTINGS: &str = "SELECT name, CASE vartype WHEN 'bool' THEN CASE setting WHEN 'on' THEN 'off' ELSE 'on' END
  WHEN 'enum' THEN (SELECT max(v) FROM unnest(enumvals) v WHERE v <> setting) ELSE min_val END AS value FROM pg_settings
WHERE context = 'user' AND (vartype IN ('bool', 'enum') OR vartype IN ('integer', 'real') AND (category LIKE 'Query Tuning%' OR name IN ('work_mem', 'hash_mem_multiplier')))
  AND name !~ '^(log_|debug_|trace_|jit|force_parallel|transaction_|default_transaction_|session_repl|client_min|exit_on_error|row_security|ignore_|pg_tviews|standard_conforming)' ORDER BY name";

/// What the server can do. What all cases need beside their schema is made on the way: the type of an extension, a role.
fn features(client: &mut Client) -> Result<Features> {
    let one = |client: &mut Client, sql: &str| -> Result<String> { Ok(oracle::rows(client, sql)?.concat()) };
    let version: u32 = one(client, "SHOW server_version_num")?.parse()?;
    let icu = one(client, "SELECT 1 FROM pg_collation WHERE collname = 'und-x-icu'")? == "1";
    client.batch_execute(
        "DO $$ BEGIN CREATE ROLE fuzz_other; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$",
    )?;
    let citext = client.batch_execute("CREATE EXTENSION IF NOT EXISTS citext SCHEMA public").is_ok();
    // the extension whose updates replace functions
    let folder = one(client, "SELECT setting FROM pg_config WHERE name = 'SHAREDIR'")?;
    for (name, text) in crate::schema::routine::extension() {
        let path = format!("{folder}/extension/{name}");
        if std::fs::read_to_string(&path).ok().as_ref() != Some(&text) {
            std::fs::write(&path, text).with_context(|| format!("cannot write {path}"))?;
        }
    }
    Ok(Features { version: version / 10_000, icu, citext })
}

/// As people write it: 18.6.
pub fn server_version(session: &mut Session) -> Result<String> {
    let shown = oracle::rows(&mut session.client, "SHOW server_version")?.concat();
    Ok(shown.split(' ').next().unwrap_or_default().to_string())
}

fn connect(dsn: &str) -> Result<Client> {
    let mut client = Client::connect(dsn, NoTls).context("cannot connect")?;
    client.batch_execute(&oracle::settings())?;
    Ok(client)
}

/// COPY FROM STDIN; how many rows it has written.
pub fn copy_in(client: &mut Client, sql: &str, data: &str) -> Result<u64, postgres::Error> {
    client.copy_in(sql).and_then(|mut writer| {
        // what the server says comes with finish
        let _ = writer.write_all(data.as_bytes());
        writer.finish()
    })
}

/// Whether the driver takes the answer to one message for that to the next from now on. After a COPY that the server refuses before it has read
/// anything it does: it has sent Sync twice, for one answer that it expects. An answer that does not fit a query tells.
pub fn has_lost_its_place(client: &mut Client) -> bool {
    match client.simple_query("SELECT 1") {
        Ok(answer) => answer.is_empty(),
        Err(e) => e.as_db_error().is_none() && !client.is_closed(),
    }
}

impl Session {
    pub fn connect(dsn: &str) -> Result<Session> {
        let (mut client, mut checker) = (connect(dsn)?, connect(dsn)?);
        checker.batch_execute("SET max_parallel_workers_per_gather = 0")?;
        let features = features(&mut client)?;
        let other = oracle::rows(&mut client, OTHER_SETTINGS)?;
        // a choice of one has no other value
        let named = other.iter().filter_map(|row| row.split_once(' ')).filter(|(_, value)| *value != "NULL");
        let settings = named.map(|(n, v)| (n.to_string(), v.to_string())).collect();
        Ok(Session { dsn: dsn.to_string(), client, checker, features, settings })
    }

    /// A new connection, after a crash or a time-out; waits for the server to recover.
    pub fn reconnect(&mut self) -> Result<()> {
        let dsn = self.dsn.clone();
        for _ in 0..60 {
            std::thread::sleep(std::time::Duration::from_millis(500));
            if let Ok(session) = Session::connect(&dsn) {
                *self = session;
                return Ok(());
            }
        }
        bail!("the server does not come back")
    }

    /// COPY FROM STDIN. After an error the transaction may be gone, with the connection: see `has_lost_its_place`.
    pub fn copy_in(&mut self, sql: &str, data: &str) -> Result<Copied> {
        let copied = copy_in(&mut self.client, sql, data);
        let is_new = copied.is_err() && has_lost_its_place(&mut self.client);
        if is_new {
            self.client = connect(&self.dsn)?;
        }
        Ok(Copied { rows: copied, is_new })
    }

    pub fn clean(&mut self) -> Result<()> {
        for client in [&mut self.client, &mut self.checker] {
            let _ = client.batch_execute("ROLLBACK");
            client.batch_execute("RESET ROLE; RESET ALL")?;
            client.batch_execute(&oracle::settings())?;
        }
        self.checker.batch_execute("SET max_parallel_workers_per_gather = 0")?;
        for gid in
            oracle::rows(&mut self.client, "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()")?
        {
            self.client.batch_execute(&format!("ROLLBACK PREPARED '{gid}'"))?;
        }
        self.client.batch_execute(&format!("DROP SCHEMA IF EXISTS {SCHEMA} CASCADE; CREATE SCHEMA {SCHEMA}"))?;
        Ok(())
    }
}

pub fn state(e: &postgres::Error) -> String {
    e.as_db_error().map(|d| d.code().code().to_string()).unwrap_or_else(|| "closed".into())
}

pub fn describe(e: &postgres::Error) -> String {
    match e.as_db_error() {
        Some(d) => {
            let mut text = format!("{}: {}", d.code().code(), d.message());
            for (label, part) in [("detail", d.detail()), ("hint", d.hint()), ("context", d.where_())] {
                if let Some(part) = part {
                    text += &format!("\n{label}: {part}");
                }
            }
            text
        }
        None => e.to_string(),
    }
}

pub fn in_flush(e: &postgres::Error) -> bool {
    e.as_db_error().and_then(|d| d.where_()).is_some_and(|w| w.contains("flush of TVIEW"))
}
