//! The workers of a scheduler: which of them refreshes what, and what has become of it.
//!
//! Invariant: at most one process refreshes TVIEWs of a unit (crates/core/src/graph.rs), workers that an earlier scheduler has left behind
//! included. What a worker was asked for is known to be done, to have failed, to have ended with its process, or not to have been begun.

use super::desk::{self, Desk};
use pgrx::bgworkers::BackgroundWorkerStatus::{PostmasterDied, Stopped};
use pgrx::bgworkers::{BackgroundWorkerBuilder, DynamicBackgroundWorker};
use pgrx::{IntoDatum, pg_sys};
use std::collections::BTreeMap;

use crate::pg::background;

/// A TVIEW that is due.
#[derive(Debug, Clone)]
pub struct Task {
    pub tview: pg_sys::Oid,
    /// The TVIEWs that are refreshed with it, itself among them.
    pub below: Vec<pg_sys::Oid>,
    pub unit: u32,
}

/// What has become of a task.
pub enum Outcome {
    Done,
    Failed,
    /// The process ended while it was at work.
    Ended,
    /// The process ended before.
    NotBegun,
}

/// The answer to who does a task.
pub enum Answer {
    Taken,
    /// As many are at work as may be.
    Later,
    /// There is no process for it.
    Nobody,
}

struct Worker {
    desk: &'static Desk,
    process: DynamicBackgroundWorker,
    task: Option<(Task, pg_sys::TimestampTz)>,
    /// The unit that it refreshed last, of which it knows the queries.
    knows: u32,
}

impl Worker {
    fn has_ended(&self) -> bool {
        matches!(self.process.pid(), Err(Stopped | PostmasterDied))
    }
}

#[derive(Default)]
pub struct Pool {
    workers: Vec<Worker>,
}

impl Pool {
    /// Tasks that are over, with the time when they were given; workers that have ended are forgotten.
    pub fn collect(&mut self) -> Vec<(Task, pg_sys::TimestampTz, Outcome)> {
        let mut over = Vec::new();
        self.workers.retain_mut(|worker| {
            // In this order: what a process has said it said before it ended.
            let has_ended = worker.has_ended();
            let desk = worker.desk;
            let outcome = match desk.state() {
                desk::DONE => Some(Outcome::Done),
                desk::FAILED => Some(Outcome::Failed),
                desk::AT_WORK if has_ended => Some(Outcome::Ended),
                _ if has_ended => Some(Outcome::NotBegun),
                _ => None,
            };
            if let Some(outcome) = outcome {
                over.extend(worker.task.take().map(|(task, at)| (task, at, outcome)));
                let _ = desk.go(desk::DONE, desk::IDLE) || desk.go(desk::FAILED, desk::IDLE);
            }
            if has_ended {
                desk.let_go();
            }
            !has_ended
        });
        over
    }

    /// Whether a worker is at work for a unit; `units` has the units by TVIEW.
    pub fn is_at(&self, unit: u32, units: &BTreeMap<u32, u32>) -> bool {
        self.workers.iter().any(|w| w.task.as_ref().is_some_and(|(task, _)| task.unit == unit))
            || left_behind().any(|desk| units.get(&desk.tview().to_u32()) == Some(&unit))
    }

    /// How many are at work.
    pub fn busy(&self) -> usize {
        self.workers.iter().filter(|w| w.task.is_some()).count() + left_behind().count()
    }

    /// Gives a task to a worker, unless `most` are at work.
    pub fn give(&mut self, task: &Task, at: pg_sys::TimestampTz, most: usize) -> Answer {
        if self.busy() >= most {
            return Answer::Later;
        }
        let tview = task.tview.to_u32();
        let mut idle: Vec<&mut Worker> = self.workers.iter_mut().filter(|w| w.task.is_none()).collect();
        idle.sort_by_key(|w| w.knows != task.unit);
        for worker in idle {
            if worker.desk.ask(tview) {
                worker.task = Some((task.clone(), at));
                worker.knows = task.unit;
                background::wake(worker.desk.worker());
                return Answer::Taken;
            }
        }
        let Some((desk, place)) = desk::take(tview) else { return Answer::Nobody };
        match start(&place) {
            Some(process) => {
                self.workers.push(Worker { desk, process, task: Some((task.clone(), at)), knows: task.unit });
                Answer::Taken
            }
            None => {
                desk.let_go();
                Answer::Nobody
            }
        }
    }
}

/// Desks of workers whose scheduler has ended before they had finished.
fn left_behind() -> impl Iterator<Item = &'static Desk> {
    // SAFETY: a plain global.
    let database = unsafe { pg_sys::MyDatabaseId }.to_u32();
    desk::of(database).filter(|desk| desk.scheduler() == 0 && desk.worker() != 0 && desk.state() == desk::AT_WORK)
}

/// A process; None without a free slot for it.
fn start(place: &str) -> Option<DynamicBackgroundWorker> {
    // SAFETY: plain globals.
    let (database, own) = unsafe { (pg_sys::MyDatabaseId, pg_sys::MyProcPid) };
    BackgroundWorkerBuilder::new("pg_tviews worker")
        .set_type("pg_tviews worker")
        .set_library("pg_tviews")
        .set_function("pg_tviews_worker")
        .set_argument(database.into_datum())
        .set_extra(place)
        .enable_spi_access()
        .set_restart_time(None)
        .set_notify_pid(own)
        .load_dynamic()
        .ok()
}
