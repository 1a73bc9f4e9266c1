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
    if !is_alone() {
        return;
    }
    // SAFETY: plain globals.
    let (database, pid) = unsafe { (pg_sys::MyDatabaseId.to_u32(), pg_sys::MyProcPid) };
    if let Some(place) = board::of(database) {
        place.set_pid(pid);
    }
    Worker { begun: Begun::new(), busy: Instant::now(), told: Told::new(), tidied: None }.work();
}

/// Whether no other process is the worker of the database. The lock goes with the process.
fn is_alone() -> bool {
    // SAFETY: a well-formed tag of the user lock method, with an objsubid that no function of the server uses.
    let result = background::transaction(|| unsafe {
        let tag = pg_sys::LOCKTAG {
            locktag_field1: pg_sys::MyDatabaseId.to_u32(),
            locktag_field2: 0,
            locktag_field3: 0,
            locktag_field4: 0x7410,
            locktag_type: pg_sys::LockTagType::LOCKTAG_ADVISORY as u8,
            locktag_lockmethodid: pg_sys::USER_LOCKMETHOD as u8,
        };
        pg_sys::LockAcquire(&tag, pg_sys::ExclusiveLock as i32, true, true)
    });
    matches!(result, Ok(pg_sys::LockAcquireResult::LOCKACQUIRE_OK))
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
            let look = look.unwrap_or(Look { due: Vec::new(), next: None, any: true });
            if look.any {
                self.busy = Instant::now();
            } else if self.busy.elapsed() > IDLE && is_over() {
                return;
            }
            for (tview, below) in &look.due {
                self.refresh(*tview, below);
                interrupts();
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
    place.free();
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
    interrupts();
}

fn interrupts() {
    pgrx::check_for_interrupts!();
    // SAFETY: outside of a transaction, as in the main loops of the server's own processes.
    unsafe {
        if pg_sys::ConfigReloadPending != 0 {
            pg_sys::ConfigReloadPending = 0;
            pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP);
        }
    }
}
