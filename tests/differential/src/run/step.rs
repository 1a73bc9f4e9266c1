//! One step of a transaction, as SQL.
//! Invariant: what the server refuses is `Done::Error`, for `judge`; only what compares finds a failure itself. Called by `transaction`.

use super::{Failure, Hat, Run};
use crate::case::{Act, Step};
use anyhow::Result;

/// What came of a step.
pub(super) enum Done {
    Rows(u64),
    Skipped,
    Error {
        error: Box<postgres::Error>,
        what: String,
        /// a transaction that was open before still is
        is_open: bool,
    },
    Failed(Failure),
}

pub(super) fn counts_without_rows(act: &Act) -> bool {
    match act {
        Act::Sql(sql) => ["TRUNCATE", "DO ", "ALTER", "CREATE", "REFRESH", "SELECT"].iter().any(|w| sql.starts_with(w)),
        _ => true,
    }
}

/// What came of a statement, `what`.
pub(super) fn done(r: Result<u64, postgres::Error>, what: &str) -> Done {
    match r {
        Ok(n) => Done::Rows(n),
        Err(e) => failed(e, what),
    }
}

pub(super) fn failed(e: postgres::Error, what: &str) -> Done {
    Done::Error { error: Box::new(e), what: what.to_string(), is_open: true }
}

/// Not for writers of rows.
fn is_for_admin(sql: &str) -> bool {
    ["ALTER", "CREATE", "DROP", "REFRESH"].iter().any(|word| sql.starts_with(word))
}

impl Run<'_> {
    pub(super) fn step(&mut self, step: &Step, number: usize, savepoints: &[String], open: bool) -> Result<Done> {
        let admin = step.is_ddl
            || matches!(&step.act, Act::Native(_))
            || matches!(&step.act, Act::Sql(sql) if is_for_admin(sql));
        self.wear(if admin { Hat::Admin } else { Hat::Writer })?;
        Ok(match &step.act {
            Act::Sql(sql) => {
                let refreshes =
                    sql.starts_with("REFRESH") || sql.starts_with("DO $rehearsal$") && sql.contains("REFRESH");
                if refreshes && (self.names_dead_view(sql) || self.mode.without_tviews) {
                    return Ok(Done::Skipped);
                }
                let sql = self.without_dead_views(sql);
                done(self.sql(&sql), &sql)
            }
            Act::Native(sql) => {
                if self.mode.baseline || self.mode.without_tviews || self.names_dead_view(sql) {
                    return Ok(Done::Skipped);
                }
                done(self.sql(sql), sql)
            }
            Act::Copy { sql, data } => {
                self.out.script.push(format!("{sql};\n{data}\\."));
                if self.mode.verbose {
                    println!("{sql};\n{data}\\.");
                }
                let copied = self.session.copy_in(sql, data)?;
                match done(copied.rows, sql) {
                    Done::Error { error, what, .. } => Done::Error { error, what, is_open: !copied.is_new },
                    copied => copied,
                }
            }
            Act::Read(view) => self.read(&[*view], "", open)?,
            Act::ReadAll => {
                let all: Vec<usize> = (0..self.live.len()).filter(|&i| self.live[i]).collect();
                self.read(&all, "", open)?
            }
            Act::ReadBeside { view, write } => self.read(&[*view], &format!("beside AS ({write}), "), open)?,
            Act::ReadInFunction { view, .. } => self.read_in_function(*view, number)?,
            Act::PeekInWrite { view, write } => self.peek_in_write(*view, write)?,
            Act::ReadInTrigger { view, table, trigger, for_each_row, early } => {
                let level = if *for_each_row { "ROW" } else { "STATEMENT" };
                self.read_in_trigger(*view, table, trigger, level, *early)?
            }
            Act::Create(view) => match self.create(*view)? {
                Some(f) => Done::Failed(f),
                None if self.live[*view] => Done::Rows(1),
                None => Done::Skipped,
            },
            Act::Drop(view) => {
                if !self.live[*view] {
                    return Ok(Done::Skipped);
                }
                self.wear(Hat::Admin)?;
                let sql = self.case.views[*view].drop(self.mode);
                let r = self.sql(&sql);
                if r.is_ok() {
                    self.live[*view] = false;
                }
                done(r, &sql)
            }
            Act::Savepoint(name) if open => done(self.sql(&format!("SAVEPOINT {name}")), ""),
            Act::RollbackTo(name) if open && savepoints.contains(name) => {
                done(self.sql(&format!("ROLLBACK TO SAVEPOINT {name}")), "")
            }
            Act::Release(name) if open && savepoints.contains(name) => {
                done(self.sql(&format!("RELEASE SAVEPOINT {name}")), "")
            }
            _ => Done::Skipped,
        })
    }
}
