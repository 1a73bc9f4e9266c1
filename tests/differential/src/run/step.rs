//! One step of a transaction, as SQL. Called by `transaction`.

use super::{Failure, Hat, Run};
use crate::case::{Act, Step, Transaction};
use crate::oracle;
use crate::properties::Property;
use crate::server::{rows, settings};
use anyhow::Result;

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

fn done(r: Result<u64, postgres::Error>, what: &str) -> Done {
    match r {
        Ok(n) => Done::Rows(n),
        Err(e) => failed(e, what),
    }
}

fn failed(e: postgres::Error, what: &str) -> Done {
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

    /// Compares TVIEWs within the transaction; `with` is a CTE that writes meanwhile.
    fn read(&mut self, views: &[usize], with: &str, open: bool) -> Result<Done> {
        if self.mode.without_tviews {
            return Ok(if with.is_empty() {
                self.evaluate_plain_now(open)?;
                Done::Skipped
            } else {
                done(self.sql(&format!("WITH {} SELECT", with.trim_end_matches([',', ' ']))), with)
            });
        }
        let mut read = false;
        let before = self.out.clock.to("reading inside");
        for &view in views.iter().filter(|v| self.case.views[**v].is_tview) {
            if !self.live[view] {
                continue;
            }
            read = true;
            if self.mode.baseline
                && let Err(e) = self.refresh_all()
            {
                return Ok(failed(e, "REFRESH"));
            }
            let text = match self.query_text(view, true) {
                Ok(text) => text,
                Err(e) => return Ok(failed(e, "pg_get_viewdef")),
            };
            let sql = oracle::comparison_beside(with, &self.case.views[view], &text);
            self.out.comparisons += 1;
            if !with.is_empty() && self.case.conditions.row_security {
                return Ok(Done::Skipped);
            }
            self.wear(if with.is_empty() { Hat::Owner } else { Hat::Admin })?;
            self.log(&sql);
            match rows(&mut self.session.client, &sql) {
                Err(e) => {
                    if !open {
                        self.forget_hat();
                    }
                    return Ok(failed(e, &sql));
                }
                Ok(rows) if rows.is_empty() => self.out.checks.add(Property::EveryFlush),
                Ok(rows) => {
                    let place =
                        if with.is_empty() { " (read inside the transaction)" } else { " (read beside a write)" };
                    return Ok(self.difference(view, place, sql, rows).map_or(Done::Skipped, Done::Failed));
                }
            }
        }
        self.out.clock.to(before);
        Ok(if read { Done::Rows(0) } else { Done::Skipped })
    }

    /// Whether writers see the same as the owner, so that they can compare.
    fn writers_compare(&self, view: usize) -> bool {
        self.live[view] && !self.mode.baseline && !self.case.conditions.row_security
    }

    /// Creates the functions that steps of a transaction call, before it: definitions flush what is pending.
    pub(super) fn create_functions(&mut self, t: &Transaction) -> Result<(), postgres::Error> {
        for (number, step) in t.steps.iter().enumerate() {
            let create = match &step.act {
                Act::ReadInFunction { view, writes } if self.writers_compare(*view) => {
                    let text = self.query_text(*view, false)?;
                    let check = match self.mode.without_tviews {
                        true => format!(
                            "    PERFORM md5(string_agg(v::text, '')) FROM {} AS v;\n",
                            self.case.views[*view].name
                        ),
                        false => oracle::raise_if_different(&self.case.views[*view], &text),
                    };
                    let body: String = writes.iter().map(|sql| format!("    {sql};\n{check}")).collect();
                    format!(
                        "CREATE OR REPLACE FUNCTION fuzz.step_{number}() RETURNS void LANGUAGE plpgsql{} AS $act$\n#variable_conflict use_column\nDECLARE difference record;\nBEGIN\n{check}{body}END $act$",
                        settings::of_function()
                    )
                }
                Act::PeekInWrite { view, .. } if self.writers_compare(*view) => format!(
                    "CREATE OR REPLACE FUNCTION fuzz.peek_{view}(bool) RETURNS int LANGUAGE plpgsql AS $$BEGIN IF $1 THEN {}; END IF; RETURN 0; END$$",
                    self.perform(&format!("fuzz.{}", self.case.views[*view].name))
                ),
                _ => continue,
            };
            self.wear(Hat::Admin)?;
            self.sql(&create)?;
        }
        Ok(())
    }

    fn read_in_function(&mut self, view: usize, number: usize) -> Result<Done> {
        if !self.writers_compare(view) {
            return Ok(Done::Skipped);
        }
        let call = format!("SELECT fuzz.step_{number}()");
        let r = self.sql(&call);
        if r.is_ok() {
            self.out.checks.add(Property::EveryFlush);
        }
        Ok(done(r, &call))
    }

    /// The function is called for every row, and reads for the last one, when others have been written.
    fn peek_in_write(&mut self, view: usize, write: &str) -> Result<Done> {
        if !self.writers_compare(view) {
            return Ok(Done::Skipped);
        }
        Ok(done(self.sql(write), write))
    }

    fn read_in_trigger(&mut self, view: usize, table: &str, trigger: &str, level: &str, early: bool) -> Result<Done> {
        if !self.writers_compare(view) {
            return Ok(Done::Skipped);
        }
        let early = early || self.mode.without_tviews;
        let text = match self.query_text(view, true) {
            Ok(text) => text,
            Err(e) => return Ok(failed(e, "pg_get_viewdef")),
        };
        let sql = format!(
            "CREATE FUNCTION {trigger}() RETURNS trigger LANGUAGE plpgsql{} AS $act$\n#variable_conflict use_column\nDECLARE difference record;\nBEGIN\n{}    RETURN NULL;\nEND $act$;\nCREATE TRIGGER \"{trigger}\" AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH {level} EXECUTE FUNCTION {trigger}()",
            settings::of_function(),
            if early {
                format!("    {};\n", self.perform(&self.case.views[view].name))
            } else {
                oracle::raise_if_different(&self.case.views[view], &text)
            }
        );
        self.wear(Hat::Admin)?;
        let r = self.sql(&sql);
        if r.is_ok() {
            self.readers.push(trigger.to_string());
        }
        Ok(done(r, &sql))
    }

    /// Triggers that read TVIEWs know names of columns, and that the TVIEWs are there.
    pub(super) fn drop_readers(&mut self, t: &Transaction) -> Result<Option<Failure>> {
        let disturbs = |s: &Step| {
            s.is_ddl
                || matches!(&s.act, Act::Drop(_))
                || matches!(&s.act, Act::Native(sql) if sql.contains("NO DATA") || sql.contains("RENAME"))
        };
        if self.readers.is_empty() || !t.steps.iter().any(disturbs) {
            return Ok(None);
        }
        self.wear(Hat::Admin)?;
        for trigger in std::mem::take(&mut self.readers) {
            self.sql(&format!("DROP FUNCTION IF EXISTS fuzz.{trigger}() CASCADE"))?;
        }
        Ok(None)
    }

    fn names_dead_view(&self, sql: &str) -> bool {
        self.case.views.iter().zip(&self.live).any(|(v, live)| !*live && sql.contains(&v.name))
    }

    /// Reads a view in PL/pgSQL. Without TVIEWs all of them are computed, as a flush does.
    fn perform(&self, view: &str) -> String {
        if !self.mode.without_tviews {
            return format!("PERFORM count(*) FROM {view}");
        }
        let live = self.case.views.iter().zip(&self.live).filter(|(_, live)| **live);
        let compute = |name: &str| format!("PERFORM md5(string_agg(v::text, '')) FROM fuzz.{name} AS v");
        live.map(|(v, _)| compute(&v.name)).collect::<Vec<_>>().join("; ")
    }

    /// DO blocks read a view only while it is there.
    fn without_dead_views(&self, sql: &str) -> String {
        if !sql.starts_with("DO ") {
            return sql.to_string();
        }
        let dead = |line: &str| line.trim_start().starts_with("PERFORM count(*) FROM") && self.names_dead_view(line);
        let line = |l: &str| match l.trim().strip_prefix("PERFORM count(*) FROM ").and_then(|l| l.strip_suffix(';')) {
            Some(view) => format!("        {};", self.perform(view)),
            None => l.to_string(),
        };
        sql.lines().filter(|l| !dead(l)).map(line).collect::<Vec<_>>().join("\n")
    }
}
