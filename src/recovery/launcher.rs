//! The process that starts a worker for each database after recovery, and then waits: the postmaster starts it again after a crash.
//!
//! Source of the protocol: postmaster/bgworker.c, replication/logical/launcher.c (which ends in the same way), autovacuum.c (get_database_list).

use crate::log::board;
use crate::pg::{background, guc, shmem};
use crate::schedule::launch::{self, Launches};
use pgrx::bgworkers::BackgroundWorkerStatus::{PostmasterDied, Stopped};
use pgrx::bgworkers::{BackgroundWorker, BackgroundWorkerBuilder, BgWorkerStartTime, SignalWakeFlags};
use pgrx::{IntoDatum, pg_guard, pg_sys};
use std::time::Duration;

const AGAIN: Duration = Duration::from_secs(5);

/// How often the launcher tries to start a worker while there is no free slot.
const TRIES: u32 = 60;

/// Called while the library is preloaded.
pub fn register() {
    // SAFETY: a plain global: pg_upgrade wants no other process in its servers.
    if unsafe { pg_sys::IsBinaryUpgrade } {
        return;
    }
    BackgroundWorkerBuilder::new("pg_tviews launcher")
        .set_type("pg_tviews launcher")
        .set_library("pg_tviews")
        .set_function("pg_tviews_launcher")
        .enable_spi_access()
        .set_start_time(BgWorkerStartTime::RecoveryFinished)
        .set_restart_time(Some(AGAIN))
        .load();
}

#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_tviews_launcher(_argument: pg_sys::Datum) {
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP | SignalWakeFlags::SIGTERM);
    // No database: its catalogs are the shared ones.
    BackgroundWorker::connect_worker_to_spi_by_oid(None, None);
    if shmem::area().is_some() {
        let _ = databases().into_iter().all(recover);
    }
    let mut launches = Launches::default();
    let mut mode = guc::CDC_MODE.get();
    while wait(Some(launch::NAP)) {
        background::interrupts();
        if std::mem::replace(&mut mode, guc::CDC_MODE.get()) != guc::CDC_MODE.get() && mode != guc::CdcMode::Trigger {
            // Workers look which of them have something to be captured.
            for database in databases() {
                board::want_of(database.to_u32(), board::WAL);
            }
        }
        launches.look();
    }
    // As the launcher of logical replication: with 0 the postmaster would not start it again.
    // SAFETY: nothing is open.
    unsafe { pg_sys::proc_exit(1) };
}

/// Databases that can be connected to.
fn databases() -> Vec<pg_sys::Oid> {
    let mut found = Vec::new();
    // SAFETY: a transaction of its own around a scan of a shared catalog; the form is read while the tuple lives.
    unsafe {
        pg_sys::StartTransactionCommand();
        // Not through the caches of relations, which need a database.
        let rel = pg_sys::table_open(pg_sys::DatabaseRelationId, pg_sys::AccessShareLock as i32);
        let none = std::ptr::null_mut();
        let scan = pg_sys::systable_beginscan(rel, pg_sys::InvalidOid, false, none, 0, std::ptr::null_mut());
        loop {
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() {
                break;
            }
            let form = &*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_database>();
            // A limit below -1 marks a database whose DROP was interrupted.
            if form.datallowconn && form.datconnlimit >= -1 {
                found.push(form.oid);
            }
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(rel, pg_sys::AccessShareLock as i32);
        pg_sys::CommitTransactionCommand();
    }
    found
}

/// Waits until something happens; false when the server stops.
fn wait(time: Option<Duration>) -> bool {
    // The latch alone does not tell: who waits for something else resets it.
    // SAFETY: a plain global, set by the handler of SIGTERM.
    let stops = || unsafe { (&raw const pg_sys::ShutdownRequestPending).read_volatile() } != 0;
    !stops() && BackgroundWorker::wait_latch(time) && !stops()
}

/// Runs the worker of a database, and waits for its end; false when the server stops.
fn recover(database: pg_sys::Oid) -> bool {
    for _ in 0..TRIES {
        // SAFETY: a plain global.
        let own = unsafe { pg_sys::MyProcPid };
        let worker = BackgroundWorkerBuilder::new("pg_tviews recovery")
            .set_type("pg_tviews recovery")
            .set_library("pg_tviews")
            .set_function("pg_tviews_recovery")
            .set_argument(database.into_datum())
            .enable_spi_access()
            .set_restart_time(None)
            .set_notify_pid(own)
            .load_dynamic();
        if let Ok(worker) = worker {
            // Not by the server's own wait, which SIGTERM does not end: a worker that the postmaster does not start any more never ends.
            while !matches!(worker.pid(), Err(Stopped | PostmasterDied)) {
                if !wait(None) {
                    return false;
                }
            }
            return true;
        }
        if !wait(Some(AGAIN)) {
            return false;
        }
    }
    true
}
