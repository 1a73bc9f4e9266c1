//! The database that a case finds: a copy of the fixture with its setup, and sessions that stay as long as nothing in it has changed.
//! Invariant: a database is given out as the case wants it; a case that changes it spoils it. Called by `Runner`.

use super::Runner;
use crate::corpus::Case;
use crate::database::{self, Picture};
use crate::session::Session;
use anyhow::{Context, Result};

/// A database as a case finds it, with sessions that stay as long as nothing in it has changed.
pub(super) struct Prepared {
    pub name: String,
    pub before: Picture,
    /// made for a case with a setup of its own
    pub of: String,
    pub clean: bool,
    pub sessions: Vec<Used>,
}

pub(super) struct Used {
    pub role: Option<&'static str>,
    pub session: Session,
    /// statements sent before
    pub history: Vec<String>,
}

impl Runner {
    /// A database as the case finds it.
    pub(super) fn fresh(&mut self, case: &Case) -> Result<(String, Picture)> {
        let of = case.setup.join(";\n");
        if let Some(copy) = self.prepared.as_ref().filter(|c| c.clean && c.of == of) {
            return Ok((copy.name.clone(), copy.before.clone()));
        }
        let name = self.server.copy(self.prepared.take().map(|c| c.name))?;
        self.prepared = Some(Prepared {
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
        self.prepared =
            Some(Prepared { name: name.clone(), before: before.clone(), of, clean: true, sessions: vec![] });
        Ok((name, before))
    }

    pub(super) fn start_again(&mut self) -> Result<()> {
        self.watchdog.rest();
        self.server.admin()?;
        if let Some(copy) = self.prepared.take() {
            self.server.drop(&copy.name)?;
        }
        self.server.make_template()
    }

    /// The next run starts from a new copy of the fixture.
    pub(super) fn spoil(&mut self) {
        if let Some(copy) = &mut self.prepared {
            copy.clean = false;
            copy.sessions.clear();
        }
    }

    pub(super) fn session(&mut self, database: &str, role: Option<&'static str>) -> Result<Used> {
        let used = self.prepared.as_mut().and_then(|c| {
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
}
