//! Processes of the extension that work in a database.
//!
//! Source of the protocol: postmaster/bgworker.c, tcop/postgres.c.

use super::original;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::{FromDatum, PgTryBuilder, pg_sys};
use std::ffi::c_int;

#[cfg(not(feature = "since_19"))]
unsafe extern "C-unwind" {
    // tcop/postgres.c: ends the process at the next safe place.
    fn die(signal: c_int);
    // postmaster/interrupt.c: has the settings read again.
    fn SignalHandlerForConfigReload(signal: c_int);
}

#[cfg(feature = "since_19")]
#[allow(improper_ctypes)]
unsafe extern "C-unwind" {
    // As above; they are also told who has sent the signal.
    fn die(signal: c_int, from: *const pg_sys::pg_signal_info);
    fn SignalHandlerForConfigReload(signal: c_int, from: *const pg_sys::pg_signal_info);
}

/// Connects to the database whose oid the launcher has given; ends at the next safe place when told to.
///
/// # Safety
/// The process has just begun; the argument is an oid.
pub unsafe fn begin(argument: pg_sys::Datum) {
    // SAFETY: as the caller promises.
    unsafe {
        handle(libc::SIGTERM, die);
        handle(libc::SIGHUP, SignalHandlerForConfigReload);
        pg_sys::BackgroundWorkerUnblockSignals();
        let database = pg_sys::Oid::from_datum(argument, false).unwrap_or(pg_sys::InvalidOid);
        pg_sys::BackgroundWorkerInitializeConnectionByOid(database, pg_sys::InvalidOid, 0);
        // Those of the database are meant for sessions of users.
        for timeout in [c"lock_timeout", c"statement_timeout"] {
            set(timeout, c"0");
        }
    }
}

#[cfg(not(feature = "since_19"))]
type Handler = unsafe extern "C-unwind" fn(c_int);
#[cfg(feature = "since_19")]
type Handler = unsafe extern "C-unwind" fn(c_int, *const pg_sys::pg_signal_info);

/// Lets SIGTERM end this process at the next safe place.
pub fn die_at_sigterm() {
    // SAFETY: the server's own handler.
    unsafe { handle(libc::SIGTERM, die) }
}

/// Sets the handler of a signal.
///
/// # Safety
/// The handler is one of the server, or does as little.
unsafe fn handle(signal: c_int, handler: Handler) {
    // SAFETY: as the caller promises.
    unsafe {
        #[cfg(not(feature = "since_18"))]
        pg_sys::pqsignal(signal, Some(handler));
        #[cfg(feature = "since_18")]
        pg_sys::pqsignal_be(signal, Some(handler));
    }
}

/// Sets a setting of this process.
pub fn set(name: &std::ffi::CStr, value: &std::ffi::CStr) {
    let (user, origin) = (pg_sys::GucContext::PGC_SUSET, pg_sys::GucSource::PGC_S_OVERRIDE);
    // SAFETY: the server copies both.
    unsafe { pg_sys::SetConfigOption(name.as_ptr(), value.as_ptr(), user, origin) };
}

/// Whether no other process does this in the database. `what` is the objsubid of a lock that no function of the server uses; it goes with the process.
pub fn is_alone(what: u16) -> bool {
    // SAFETY: a well-formed tag of the user lock method.
    let result = transaction(|| unsafe {
        let tag = pg_sys::LOCKTAG {
            locktag_field1: pg_sys::MyDatabaseId.to_u32(),
            locktag_field2: 0,
            locktag_field3: 0,
            locktag_field4: what,
            locktag_type: pg_sys::LockTagType::LOCKTAG_ADVISORY as u8,
            locktag_lockmethodid: pg_sys::USER_LOCKMETHOD as u8,
        };
        pg_sys::LockAcquire(&tag, pg_sys::ExclusiveLock as i32, true, true)
    });
    matches!(result, Ok(pg_sys::LockAcquireResult::LOCKACQUIRE_OK))
}

/// Ends the process when it was told to, and reads the settings again when these may be others; outside of a transaction.
pub fn interrupts() {
    pgrx::check_for_interrupts!();
    // SAFETY: as in the main loops of the server's own processes.
    unsafe {
        if pg_sys::ConfigReloadPending != 0 {
            pg_sys::ConfigReloadPending = 0;
            pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP);
        }
    }
}

/// Wakes a process that waits for its latch; 0 is none.
pub fn wake(pid: i32) {
    // SAFETY: the entry of a process that may have ended stays where it is; its latch is set for nothing then.
    unsafe {
        let process = pg_sys::BackendPidGetProc(pid);
        if pid != 0 && !process.is_null() {
            pg_sys::SetLatch(&mut (*process).procLatch);
        }
    }
}

/// Waits until somebody wakes this process, or so many milliseconds.
pub fn wait(most: i64) {
    // SAFETY: the latch of the process; the postmaster's death ends it.
    unsafe {
        let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
        pg_sys::WaitLatch(pg_sys::MyLatch, events as i32, most as std::ffi::c_long, pg_sys::PG_WAIT_EXTENSION);
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
    interrupts();
}

/// Runs `f` in a transaction of its own; after an error, its message.
pub fn transaction<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    // SAFETY: transactions are begun and ended where none is open; the closure pops the snapshot that it pushes.
    unsafe {
        pg_sys::SetCurrentStatementStartTimestamp();
        pg_sys::StartTransactionCommand();
        let work = std::panic::AssertUnwindSafe(|| {
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
            let result = f();
            pg_sys::PopActiveSnapshot();
            pg_sys::CommitTransactionCommand();
            Ok(result)
        });
        let result = PgTryBuilder::new(work).catch_others(|cause| Err(message(&cause))).execute();
        if result.is_err() {
            original::take();
            pg_sys::AbortCurrentTransaction();
        }
        pg_sys::pgstat_report_stat(true);
        pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_IDLE, std::ptr::null());
        result
    }
}

fn message(cause: &CaughtError) -> String {
    match cause {
        CaughtError::PostgresError(report) | CaughtError::ErrorReport(report) => report.message().to_string(),
        CaughtError::RustPanic { ereport, .. } => ereport.message().to_string(),
    }
}
