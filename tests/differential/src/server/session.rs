//! The two connections of a run: the writer and the checker.
//! Invariant: after `clean` both are as they were when they were connected, and nothing is left of the case before.
//! Called by everything that runs cases.

use super::client::{self, has_lost_its_place, rows};
use super::{probe, settings};
use crate::features::Features;
use anyhow::{Context, Result, bail};
use postgres::Client;

/// Where everything of a case lives.
pub const SCHEMA: &str = "fuzz";

/// The session that compares is one process.
const NOT_PARALLEL: &str = "SET max_parallel_workers_per_gather = 0";

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

fn connect(dsn: &str) -> Result<Client> {
    client::connect(dsn).context("cannot connect")
}

impl Session {
    /// With the least that the server must have for any case.
    pub fn connect(dsn: &str) -> Result<Session> {
        let (mut client, mut checker) = (connect(dsn)?, connect(dsn)?);
        checker.batch_execute(NOT_PARALLEL)?;
        let features = probe::features(&mut client)?;
        let settings = probe::other_settings(&mut client)?;
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
        let copied = client::copy_in(&mut self.client, sql, data);
        let is_new = copied.is_err() && has_lost_its_place(&mut self.client);
        if is_new {
            self.client = connect(&self.dsn)?;
        }
        Ok(Copied { rows: copied, is_new })
    }

    /// As it was when it was connected, over an empty schema.
    pub fn clean(&mut self) -> Result<()> {
        for client in [&mut self.client, &mut self.checker] {
            let _ = client.batch_execute("ROLLBACK");
            client.batch_execute("RESET ROLE; RESET ALL")?;
            client.batch_execute(&settings::comparing())?;
        }
        self.checker.batch_execute(NOT_PARALLEL)?;
        for gid in rows(&mut self.client, "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()")? {
            self.client.batch_execute(&format!("ROLLBACK PREPARED '{gid}'"))?;
        }
        self.client.batch_execute(&format!("DROP SCHEMA IF EXISTS {SCHEMA} CASCADE; CREATE SCHEMA {SCHEMA}"))?;
        Ok(())
    }
}
