//! A process that refreshes TVIEWs for the scheduler of its database, one after the other, and ends when it is not asked for a while: what it knows of
//! TVIEWs is worth keeping between the refreshes of a short schedule.
//!
//! Invariant: it does what its desk says, and nothing else; when its scheduler has ended it finishes that, and ends.

use super::attempt::attempt;
use super::desk::{self, Desk};
use crate::log::board;
use crate::pg::background;
use pgrx::bgworkers::BackgroundWorker;
use pgrx::{FromDatum, pg_guard, pg_sys};
use std::time::{Duration, Instant};

/// The process ends when it was not asked for so long.
const IDLE: Duration = Duration::from_secs(30);
const NAP: i64 = 1000;

#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_tviews_worker(argument: pg_sys::Datum) {
    let Some(desk) = desk::sit(BackgroundWorker::get_extra()) else { return };
    // SAFETY: the scheduler passes an oid.
    let database = unsafe { pg_sys::Oid::from_datum(argument, false) }.map_or(0, |oid| oid.to_u32());
    // Somebody wants the database for himself.
    if board::of(database).is_none_or(board::Place::is_kept_off) {
        return;
    }
    // SAFETY: the process has just begun; the argument is the oid of a database.
    unsafe { background::begin(argument) };
    // As for the scheduler.
    background::set(c"synchronous_commit", c"off");
    work(desk);
}

fn work(desk: &Desk) {
    let mut since = Instant::now();
    loop {
        if desk.go(desk::ASKED, desk::AT_WORK) {
            // SAFETY: plain getter.
            let started = unsafe { pg_sys::GetCurrentTimestamp() };
            let done = attempt(desk.tview(), started);
            desk.go(desk::AT_WORK, if done { desk::DONE } else { desk::FAILED });
            background::wake(desk.scheduler());
            since = Instant::now();
        }
        let is_over = desk.scheduler() == 0 || since.elapsed() > IDLE && desk.go(desk::IDLE, desk::LEFT);
        if is_over {
            return;
        }
        background::wait(NAP);
    }
}
