//! The process that refreshes the TVIEWs of one database.
//!
//! Invariant: each refresh is a transaction of its own, so a process that is killed between any two steps has done a refresh or has not. One worker
//! works in a database at a time, by a lock of its session.

use super::jobs::{self, Begun, Look, Told};
use crate::catalog::history;
use crate::log::board;
use crate::pg::error::or_raise;
use crate::pg::{background, guc, name};
use crate::refresh::flush::deferred;
use crate::wal::slot;
use pgrx::{pg_guard, pg_sys};
use std::ffi::CString;
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
    }
    Worker { begun: Begun::new(), busy: Instant::now(), told: Told::new(), tidied: None }.work();
}

struct Worker {
    begun: Begun,
    /// When something had a schedule last.
    busy: Instant,
    /// What listeners have been told, and is still so.
    told: Told,
    /// When logs and history were tidied last.
    tidied: Option<Instant>,
}

impl Worker {
    fn work(mut self) {
        loop {
            let look = background::transaction(|| jobs::look(&self.begun))
                .map_err(|message| pgrx::log!("schedules of TVIEWs could not be read: {message}"));
            let look = look.unwrap_or(Look { due: Vec::new(), next: None, any: true, is_logged: false });
            if look.is_logged && guc::CDC_MODE.get() != guc::CdcMode::Trigger && slot::is_wal_logical() {
                // SAFETY: a plain global.
                board::want_of(unsafe { pg_sys::MyDatabaseId }.to_u32(), board::WAL);
            }
            if look.any {
                self.busy = Instant::now();
            } else if self.busy.elapsed() > IDLE && is_over() {
                return;
            }
            for (tview, below) in &look.due {
                self.refresh(*tview, below);
                background::interrupts();
            }
            self.tidy();
            wait(&look);
        }
    }

    fn refresh(&mut self, tview: pg_sys::Oid, below: &[pg_sys::Oid]) {
        // SAFETY: plain getter.
        let started = unsafe { pg_sys::GetCurrentTimestamp() };
        self.begun.insert(tview.to_u32(), started);
        let done = background::transaction(|| {
            show(tview);
            or_raise(jobs::run(tview));
        });
        match done {
            Ok(()) => {
                self.begun.extend(below.iter().map(|t| (t.to_u32(), started)));
                // Locks on logs are held for this short transaction only.
                let trimmed = background::transaction(|| below.iter().for_each(|t| or_raise(deferred::trim(*t))));
                if let Err(message) = trimmed {
                    pgrx::log!("logs could not be emptied: {message}");
                }
            }
            Err(message) => {
                let noted = background::transaction(|| or_raise(jobs::failed(tview, started, &message)));
                if let Err(second) = noted {
                    pgrx::log!("a refresh failed: {message}; this could not be noted: {second}");
                }
            }
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

fn show(tview: pg_sys::Oid) {
    let doing = format!("refreshing TVIEW {}", name::relation(tview).unwrap_or_default());
    let doing = CString::new(doing).unwrap_or_default();
    // SAFETY: the text is copied.
    unsafe { pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, doing.as_ptr()) };
}

/// Until the next TVIEW is due, or the nap of the setting is over: schedules may have changed.
fn wait(look: &Look) {
    let nap = i64::from(guc::WORKER_NAPTIME.get());
    // SAFETY: plain getter.
    let now = unsafe { pg_sys::GetCurrentTimestamp() };
    let until = look.next.map_or(nap, |next| ((next - now) / 1000 + 1).clamp(1, nap));
    // SAFETY: the latch of the process; the postmaster's death ends it.
    unsafe {
        let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
        pg_sys::WaitLatch(pg_sys::MyLatch, events as i32, until as std::ffi::c_long, pg_sys::PG_WAIT_EXTENSION);
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
    background::interrupts();
}
