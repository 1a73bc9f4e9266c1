//! In which role and under which settings the writing session acts.
//! Invariant: definitions are changed as administrator, TVIEWs are created and compared as their owner under plain settings, tables are written
//! as the case says. Called wherever the session changes between writes, definitions and reads.

use super::Run;
use crate::server::settings;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hat {
    Admin,
    Owner,
    Writer,
    /// after a rollback, which takes settings back
    Unknown,
}

impl Run<'_> {
    pub(super) fn wear(&mut self, hat: Hat) -> Result<(), postgres::Error> {
        let c = self.case.conditions;
        if self.hat == hat || !(c.odd_settings || c.writer || c.owner) {
            return Ok(());
        }
        let role = match hat {
            Hat::Owner if c.owner => "SET ROLE fuzz_owner",
            Hat::Writer if c.writer => "SET ROLE fuzz_writer",
            _ => "RESET ROLE",
        };
        self.sql(role)?;
        if c.odd_settings {
            let other = c.setting.map(|n| self.session.settings[n % self.session.settings.len()].clone());
            let sql = match (hat, other) {
                (Hat::Writer, Some((name, value))) => format!("{}; SET {name} = '{value}'", settings::ODD),
                (Hat::Writer, None) => settings::ODD.to_string(),
                (_, Some((name, _))) => format!("RESET {name}; {}", settings::pinned()),
                (_, None) => settings::pinned(),
            };
            self.sql(sql.trim_end_matches([' ', ';']))?;
        }
        self.hat = hat;
        Ok(())
    }

    /// Settings may have been taken back.
    pub(super) fn forget_hat(&mut self) {
        self.hat = Hat::Unknown;
    }
}
