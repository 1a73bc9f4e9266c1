//! Steps that compare TVIEWs in the middle of a transaction: by a statement, beside a write, in a function, in a trigger.
//! Invariant: the functions that a statement calls are created before it, for definitions flush pending changes. Called by `step`.

use super::step::{Done, done, failed};
use super::{Failure, Hat, Run};
use crate::case::{Act, Step, Transaction};
use crate::oracle;
use crate::properties::Property;
use crate::server::{rows, settings};
use anyhow::Result;

impl Run<'_> {
    /// Compares TVIEWs within the transaction; `with` is a CTE that writes meanwhile.
    pub(super) fn read(&mut self, views: &[usize], with: &str, open: bool) -> Result<Done> {
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
            let is_deferred = self.case.views[view].is_deferred() && !self.mode.baseline;
            if is_deferred && !with.is_empty() {
                continue;
            }
            read = true;
            if is_deferred {
                self.wear(Hat::Admin)?;
                let sql = format!("REFRESH MATERIALIZED VIEW {}", self.case.views[view].name);
                if let Err(e) = self.sql(&sql) {
                    if !open {
                        self.forget_hat();
                    }
                    return Ok(failed(e, &sql));
                }
            }
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
        self.live[view]
            && !self.mode.baseline
            && !self.case.conditions.row_security
            && !self.case.views[view].is_deferred()
    }

    /// Creates the functions that steps of a transaction call, before it: definitions flush pending changes.
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

    pub(super) fn read_in_function(&mut self, view: usize, number: usize) -> Result<Done> {
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
    pub(super) fn peek_in_write(&mut self, view: usize, write: &str) -> Result<Done> {
        if !self.writers_compare(view) {
            return Ok(Done::Skipped);
        }
        Ok(done(self.sql(write), write))
    }

    pub(super) fn read_in_trigger(
        &mut self,
        view: usize,
        table: &str,
        trigger: &str,
        level: &str,
        early: bool,
    ) -> Result<Done> {
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
}
