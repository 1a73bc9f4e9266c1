//! One transaction: its steps, how it ends, what its errors mean, which hazards it counted.
//! Invariant: a hazard is counted when all steps of its group did something and the transaction was committed. Called by `whole`.

use super::session::{describe, in_flush, state};
use super::step::{counts_without_rows, Done};
use super::{Failure, Run};
use crate::case::{Act, End, Transaction};
use crate::hazards::Hazard;
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};

impl Run<'_> {
    /// Whose fault an error is: nothing when it may happen.
    fn judge(&mut self, e: &postgres::Error, what: &str, step: usize) -> Option<Failure> {
        let code = state(e);
        let text = format!("{what}\n{}", describe(e));
        self.out.failed_steps.insert((self.at, step, code.clone()));
        if self.mode.verbose {
            println!("-- {}", describe(e));
        }
        if code == "closed" {
            return self.fail("connection closed", text);
        }
        if code == "40001" || code == "40P01" {
            self.out.retries += 1;
            return None;
        }
        if in_flush(e) {
            return self.fail(format!("flush fails with {code}"), text);
        }
        if code.starts_with("XX") || code == "57014" || code == "55P03" {
            return self.fail(format!("error {code}"), text);
        }
        *self.out.errors.entry(code.clone()).or_default() += 1;
        if code.starts_with("23") || code == "22012" || self.mode.without_tviews {
            return None;
        }
        self.fail(format!("suspicious {code}"), text)
    }

    pub(super) fn transaction(&mut self, t: &Transaction) -> Result<Option<Failure>> {
        let mut open = false;
        if t.end != End::Autocommit {
            self.sql(&format!("BEGIN ISOLATION LEVEL {}", t.isolation))?;
            open = true;
        }
        let live = self.live.clone();
        let mut savepoints: Vec<String> = vec![];
        let mut good: BTreeMap<u32, bool> = BTreeMap::new();
        let mut changed_ddl = false;
        let mut aborted = false;
        for (number, step) in t.steps.iter().enumerate() {
            let done = self.step(step, &savepoints, open)?;
            match done {
                Done::Rows(n) => {
                    let counts = matches!(step.act, Act::Sql(_) | Act::Copy { .. }) && !step.is_ddl;
                    let done = !counts || n > 0 || counts_without_rows(&step.act);
                    let entry = good.entry(step.group).or_insert(true);
                    *entry &= done;
                    changed_ddl |= step.is_ddl;
                    match &step.act {
                        Act::Savepoint(name) => savepoints.push(name.clone()),
                        Act::RollbackTo(name) => {
                            if let Some(at) = savepoints.iter().position(|s| s == name) {
                                savepoints.truncate(at + 1);
                            }
                        }
                        Act::Release(name) => {
                            if let Some(at) = savepoints.iter().position(|s| s == name) {
                                savepoints.truncate(at);
                            }
                        }
                        _ => {}
                    }
                }
                Done::Skipped => {
                    good.insert(step.group, false);
                }
                Done::Failed(f) => return Ok(Some(f)),
                Done::Error(e, what) => {
                    good.insert(step.group, false);
                    if let Some(f) = self.judge(&e, &what, number) {
                        return Ok(Some(f));
                    }
                    if !open {
                        continue;
                    }
                    if let Some(name) = savepoints.last().cloned() {
                        self.sql(&format!("ROLLBACK TO SAVEPOINT {name}"))?;
                    } else {
                        self.sql("ROLLBACK")?;
                        self.out.counts.add(Hazard::ErrorRollback);
                        open = false;
                        aborted = true;
                        break;
                    }
                }
            }
        }
        let mut committed = !aborted;
        if open {
            let gid = format!("fuzz_{}", self.at);
            let end = match t.end {
                End::Commit | End::Autocommit => self.sql("COMMIT").map(|_| ()),
                End::Rollback => {
                    committed = false;
                    self.out.counts.add(Hazard::RolledBack);
                    self.sql("ROLLBACK").map(|_| ())
                }
                End::PreparedCommit | End::PreparedRollback => self.prepare(t.end, &gid, &mut committed),
            };
            if let Err(e) = end {
                committed = false;
                let _ = self.session.client.batch_execute("ROLLBACK");
                if let Some(f) = self.judge(&e, "at the end of the transaction", usize::MAX) {
                    return Ok(Some(f));
                }
            }
        }
        if !committed {
            self.live = live;
            return Ok(None);
        }
        if changed_ddl {
            self.texts = Some(vec![None; self.case.views.len()]);
        }
        if t.isolation != "READ COMMITTED" && good.values().any(|g| *g) {
            self.out.counts.add(if t.isolation == "SERIALIZABLE" {
                Hazard::Serializable
            } else {
                Hazard::RepeatableRead
            });
        }
        let mut tables: BTreeSet<&str> = BTreeSet::new();
        for step in &t.steps {
            if good.get(&step.group) == Some(&true) {
                if let Act::Sql(sql) = &step.act {
                    let mut words = sql.split_whitespace();
                    match words.next() {
                        Some("UPDATE") => tables.extend(words.next()),
                        Some("INSERT" | "DELETE") => tables.extend(words.nth(1)),
                        _ => {}
                    }
                }
            }
        }
        if tables.len() >= 3 {
            self.out.counts.add(Hazard::ManyTables);
        }
        let mut last: BTreeMap<u32, usize> = BTreeMap::new();
        for (i, step) in t.steps.iter().enumerate() {
            last.insert(step.group, i);
        }
        for (group, i) in last {
            if good.get(&group) == Some(&true) {
                for hazard in &t.steps[i].hazards {
                    self.out.counts.add(*hazard);
                }
            }
        }
        Ok(None)
    }

    fn prepare(&mut self, end: End, gid: &str, committed: &mut bool) -> Result<(), postgres::Error> {
        self.sql(&format!("PREPARE TRANSACTION '{gid}'"))?;
        if end == End::PreparedCommit {
            self.out.counts.add(Hazard::PreparedCommit);
            self.sql(&format!("COMMIT PREPARED '{gid}'"))?;
        } else {
            *committed = false;
            self.out.counts.add(Hazard::PreparedRollback);
            self.sql(&format!("ROLLBACK PREPARED '{gid}'"))?;
        }
        Ok(())
    }
}
