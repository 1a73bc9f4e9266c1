//! One transaction: its steps, and how it ends.
//! Invariant: when it is over the session is outside of a transaction, or the case is. Called by `whole`.

use super::step::{Done, counts_without_rows};
use super::{Failure, Hat, Run};
use crate::case::{Act, End, Step, Transaction};
use crate::hazards::Hazard;
use crate::properties::Property;
use crate::server::state;
use anyhow::Result;
use std::collections::BTreeMap;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ended {
    Committed,
    RolledBack,
}

/// How far a transaction has come.
pub(super) struct Progress {
    pub open: bool,
    pub savepoints: Vec<String>,
    /// groups of steps that all did something
    pub good: BTreeMap<u32, bool>,
    /// largest number of rows that a statement of the group changed
    pub most: BTreeMap<u32, u64>,
    changed_ddl: bool,
    /// a TVIEW was read, so changes have been flushed
    flushed: bool,
}

type Stop = std::result::Result<Ended, Failure>;

impl Run<'_> {
    pub(super) fn transaction(&mut self, t: &Transaction) -> Result<Stop> {
        let elsewhere = self.case.conditions.pool && !t.steps.is_empty() && t.steps.iter().all(|s| s.is_ddl);
        if !elsewhere {
            return self.transaction_here(t);
        }
        self.out.script.push("-- by another session, while this one keeps its plans:".into());
        std::mem::swap(&mut self.session.client, &mut self.session.checker);
        let ended = self.transaction_here(t);
        std::mem::swap(&mut self.session.client, &mut self.session.checker);
        if matches!(ended, Ok(Ok(Ended::Committed))) {
            self.out.counts.add(Hazard::WarmSession);
        }
        ended
    }

    fn transaction_here(&mut self, t: &Transaction) -> Result<Stop> {
        self.create_functions(t)?;
        self.wear(Hat::Writer)?;
        let mut p = Progress {
            open: t.end != End::Autocommit,
            savepoints: vec![],
            good: BTreeMap::new(),
            most: BTreeMap::new(),
            changed_ddl: false,
            flushed: false,
        };
        let live = self.live.clone();
        if p.open {
            self.sql(&format!("BEGIN ISOLATION LEVEL {}", t.isolation))?;
            if t.replica {
                self.wear(Hat::Admin)?;
                self.sql("SET LOCAL session_replication_role = replica")?;
            }
        }
        for (number, step) in t.steps.iter().enumerate() {
            match self.step(step, number, &p.savepoints, p.open)? {
                Done::Rows(n) => self.succeeded(step, n, &mut p),
                Done::Skipped => {
                    p.good.insert(step.group, false);
                }
                Done::Failed(f) => return Ok(Err(f)),
                Done::Error { error, what, is_open } => {
                    p.good.insert(step.group, false);
                    self.forget_hat();
                    if let Some(f) = self.judge(&error, &what, number) {
                        return Ok(Err(f));
                    }
                    if !p.open {
                        continue;
                    }
                    if let Some(name) = p.savepoints.last().filter(|_| is_open).cloned() {
                        self.sql(&format!("ROLLBACK TO SAVEPOINT {name}"))?;
                    } else {
                        self.sql("ROLLBACK")?;
                        self.out.counts.add(Hazard::ErrorRollback);
                        self.live = live;
                        return Ok(Ok(Ended::RolledBack));
                    }
                }
            }
            if self.mode.without_tviews {
                self.evaluate_plain_now(p.open)?;
            }
        }
        if p.open {
            if p.flushed
                && is_calm(t)
                && let Some(f) = self.seen_by_others()?
            {
                return Ok(Err(f));
            }
            let end = self.end_of(t);
            if let Ok(Ended::RolledBack) | Err(_) = end {
                self.forget_hat();
                self.live = live;
            }
            match end {
                Ok(Ended::Committed) => {}
                Ok(Ended::RolledBack) => return Ok(Ok(Ended::RolledBack)),
                Err(e) => {
                    let _ = self.session.client.batch_execute("ROLLBACK");
                    if state(&e).starts_with("23") {
                        self.out.counts.add(Hazard::ErrorAtCommit);
                    }
                    return Ok(match self.judge(&e, "at the end of the transaction", usize::MAX) {
                        Some(f) => Err(f),
                        None => Ok(Ended::RolledBack),
                    });
                }
            }
        }
        if p.changed_ddl {
            self.texts = Some(vec![None; self.case.views.len()]);
        }
        self.count(t, &p);
        Ok(Ok(Ended::Committed))
    }

    fn succeeded(&mut self, step: &Step, n: u64, p: &mut Progress) {
        let counts = matches!(step.act, Act::Sql(_) | Act::Copy { .. }) && !step.is_ddl;
        let done = !counts || n > 0 || counts_without_rows(&step.act);
        *p.good.entry(step.group).or_insert(true) &= done;
        p.changed_ddl |= step.is_ddl;
        p.flushed |=
            matches!(step.act, Act::Read(_) | Act::ReadAll | Act::ReadInFunction { .. } | Act::ReadBeside { .. });
        let most = p.most.entry(step.group).or_default();
        *most = n.max(*most);
        match &step.act {
            Act::Savepoint(name) => p.savepoints.push(name.clone()),
            Act::RollbackTo(name) => {
                self.forget_hat();
                if let Some(at) = p.savepoints.iter().position(|s| s == name) {
                    p.savepoints.truncate(at + 1);
                }
            }
            Act::Release(name) => {
                if let Some(at) = p.savepoints.iter().position(|s| s == name) {
                    p.savepoints.truncate(at);
                }
            }
            _ => {}
        }
    }

    /// Another session sees no flushed row before it is committed.
    fn seen_by_others(&mut self) -> Result<Option<Failure>> {
        if !self.case.watched || self.mode.baseline {
            return Ok(None);
        }
        self.compare_all(Property::Atomic)
    }

    fn end_of(&mut self, t: &Transaction) -> Result<Ended, postgres::Error> {
        if self.mode.without_tviews && t.end != End::Rollback {
            self.evaluate_plain_now(true)?;
        }
        let gid = format!("fuzz_{}", self.at);
        match t.end {
            End::Commit | End::Autocommit => {
                self.sql("COMMIT")?;
                Ok(Ended::Committed)
            }
            End::Rollback => {
                self.out.counts.add(Hazard::RolledBack);
                self.sql("ROLLBACK")?;
                Ok(Ended::RolledBack)
            }
            End::PreparedCommit | End::PreparedRollback => {
                self.sql(&format!("PREPARE TRANSACTION '{gid}'"))?;
                if t.end == End::PreparedCommit {
                    self.out.counts.add(Hazard::PreparedCommit);
                    self.sql(&format!("COMMIT PREPARED '{gid}'"))?;
                    return Ok(Ended::Committed);
                }
                self.out.counts.add(Hazard::PreparedRollback);
                self.sql(&format!("ROLLBACK PREPARED '{gid}'"))?;
                Ok(Ended::RolledBack)
            }
        }
    }
}

/// Takes no lock on tables that another session would wait for.
fn is_calm(t: &Transaction) -> bool {
    let calm = |act: &Act| match act {
        Act::Sql(sql) => !["TRUNCATE", "ALTER", "CREATE", "REFRESH", "DO "].iter().any(|word| sql.starts_with(word)),
        Act::Native(_) | Act::Create(_) | Act::Drop(_) | Act::ReadInTrigger { .. } => false,
        _ => true,
    };
    t.steps.iter().all(|s| !s.is_ddl && calm(&s.act))
}
