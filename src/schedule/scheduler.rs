//! The process that sees to the schedules of one database: what is due is refreshed by its workers (pool.rs), or by itself.
//!
//! Invariant: each refresh is a transaction of its own, so a process that is killed between any two steps has done a refresh or has not. One scheduler
//! works in a database at a time, by a lock of its session.

use super::attempt::{attempt, failed};
use super::desk;
use super::jobs::{self, Begun, Look, Told};
use super::pool::{Answer, Outcome, Pool, Task};
use crate::catalog::history;
use crate::log::board;
use crate::pg::error::or_raise;
use crate::pg::{background, guc};
use crate::refresh::flush::deferred;
use crate::wal::slot;
use pgrx::{pg_guard, pg_sys};
use std::time::{Duration, Instant};

/// The process ends when nothing has had a schedule for so long.
const IDLE: Duration = Duration::from_secs(30);
const MINUTE: Duration = Duration::from_secs(60);

#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_tviews_scheduler(argument: pg_sys::Datum) {
    // SAFETY: the process has just begun; the launcher passes the oid of a database.
    unsafe { background::begin(argument) };
    // Contents and frontier are written together, whenever that is on disk.
    background::set(c"synchronous_commit", c"off");
    if !background::is_alone(0x7410) {
        return;
    }
    // SAFETY: plain globals.
    let (database, pid) = unsafe { (pg_sys::MyDatabaseId.to_u32(), pg_sys::MyProcPid) };
    if let Some(place) = board::of(database) {
        place.set_pid(pid);
        if place.is_kept_off() {
            return place.set_pid(0);
        }
    }
    desk::let_go_at_end();
    let (begun, pool) = (Begun::new(), Pool::default());
    Scheduler { begun, pool, busy: Instant::now(), told: Told::new(), tidied: None }.work();
}

struct Scheduler {
    begun: Begun,
    pool: Pool,
    /// When something had a schedule last.
    busy: Instant,
    /// What listeners have been told, and is still so.
    told: Told,
    /// When logs and history were tidied last.
    tidied: Option<Instant>,
}

impl Scheduler {
    fn work(mut self) {
        loop {
            self.collect();
            let look = background::transaction(|| jobs::look(&self.begun))
                .map_err(|message| pgrx::log!("schedules of TVIEWs could not be read: {message}"));
            let look = look.unwrap_or(Look { any: true, ..Look::default() });
            if look.is_logged && guc::CDC_MODE.get() != guc::CdcMode::Trigger && slot::is_wal_logical() {
                // SAFETY: a plain global.
                board::want_of(unsafe { pg_sys::MyDatabaseId }.to_u32(), board::WAL);
            }
            if look.any {
                self.busy = Instant::now();
            } else if self.busy.elapsed() > IDLE && is_over() {
                return;
            }
            for task in &look.due {
                self.see_to(task, &look);
                background::interrupts();
            }
            self.tidy();
            wait(&look);
        }
    }

    /// Has a TVIEW refreshed that is due: by a worker, so that what is short need not wait for what is long, or here, where there is nothing to
    /// wait, or no process to be had.
    fn see_to(&mut self, task: &Task, look: &Look) {
        if self.pool.is_at(task.unit, &look.units) {
            return;
        }
        let most = guc::MAX_WORKERS.get() as usize;
        let is_alone = most <= 1 || look.scheduled <= 1;
        if is_alone && self.pool.busy() == 0 {
            return self.refresh(task);
        }
        // SAFETY: plain getter.
        let now = unsafe { pg_sys::GetCurrentTimestamp() };
        match self.pool.give(task, now, most) {
            Answer::Taken => {
                self.begun.insert(task.tview.to_u32(), now);
            }
            // It is due at the next look, too.
            Answer::Later => {}
            Answer::Nobody => self.refresh(task),
        }
    }

    fn refresh(&mut self, task: &Task) {
        // SAFETY: plain getter.
        let started = unsafe { pg_sys::GetCurrentTimestamp() };
        self.begun.insert(task.tview.to_u32(), started);
        if attempt(task.tview, started) {
            self.begun.extend(task.below.iter().map(|t| (t.to_u32(), started)));
        }
    }

    /// What workers have done meanwhile.
    fn collect(&mut self) {
        for (task, started, outcome) in self.pool.collect() {
            match outcome {
                Outcome::Done => self.begun.extend(task.below.iter().map(|t| (t.to_u32(), started))),
                Outcome::Failed => {}
                Outcome::Ended => failed(task.tview, started, "the process that refreshed it has ended"),
                Outcome::NotBegun => self.refresh(&task),
            }
            background::interrupts();
        }
    }

    /// Empties logs that nobody waits for, once a minute, and forgets old history.
    fn tidy(&mut self) {
        if self.tidied.is_some_and(|at| at.elapsed() < MINUTE) {
            return;
        }
        self.tidied = Some(Instant::now());
        if let Err(message) = background::transaction(|| or_raise(deferred::trim_all())) {
            pgrx::log!("logs could not be emptied: {message}");
        }
        match background::transaction(|| jobs::troubles(&self.told)) {
            Ok(now) => self.told = now,
            Err(message) => pgrx::log!("it could not be looked at how far TVIEWs are behind: {message}"),
        }
        let minutes = i64::from(guc::REFRESH_HISTORY.get());
        // SAFETY: plain getter.
        let before = unsafe { pg_sys::GetCurrentTimestamp() } - minutes * 60_000_000;
        if let Err(message) = background::transaction(|| history::forget_before(before)) {
            pgrx::log!("history of refreshes could not be tidied: {message}");
        }
    }
}

/// Whether nothing has a schedule, when the database has been taken off the board.
fn is_over() -> bool {
    // SAFETY: plain globals.
    let (database, pid) = unsafe { (pg_sys::MyDatabaseId.to_u32(), pg_sys::MyProcPid) };
    let Some(place) = board::of(database) else { return true };
    place.free(board::SCHEDULE);
    // A session that has made one meanwhile may have found the database on the board.
    let any = background::transaction(|| jobs::look(&Begun::new()).any).unwrap_or(true);
    if any {
        board::want();
        if let Some(place) = board::of(database) {
            place.set_pid(pid);
        }
    }
    !any
}

/// Until the next TVIEW is due, or the nap of the setting is over: schedules may have changed.
fn wait(look: &Look) {
    let nap = i64::from(guc::WORKER_NAPTIME.get());
    // SAFETY: plain getter.
    let now = unsafe { pg_sys::GetCurrentTimestamp() };
    let until = look.next.map_or(nap, |next| ((next - now) / 1000 + 1).clamp(1, nap));
    background::wait(until);
}
