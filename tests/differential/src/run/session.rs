//! Connections: one that writes, one that compares, and what errors of the server say. Called by all of `run` and by `concurrent`.

use crate::oracle;
use anyhow::{bail, Context, Result};
use postgres::{Client, NoTls};

/// Where everything of a case lives.
pub const SCHEMA: &str = "fuzz";

pub struct Session {
    pub dsn: String,
    pub client: Client,
    pub checker: Client,
}

impl Session {
    pub fn connect(dsn: &str) -> Result<Session> {
        let connect = || -> Result<Client> {
            let mut client = Client::connect(dsn, NoTls).context("cannot connect")?;
            client.batch_execute(oracle::SETTINGS)?;
            client.batch_execute(&format!("SET search_path = {SCHEMA}, public"))?;
            Ok(client)
        };
        let (client, checker) = (connect()?, connect()?);
        Ok(Session { dsn: dsn.to_string(), client, checker })
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

    pub fn clean(&mut self) -> Result<()> {
        let _ = self.client.batch_execute("ROLLBACK");
        self.client.batch_execute(oracle::SETTINGS)?;
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
