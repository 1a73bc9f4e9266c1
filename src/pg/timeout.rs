//! `statement_timeout` for the flush at the end of a transaction.
//!
//! The server stops the clock of a statement before it commits (tcop/postgres.c, finish_xact_command). Here the clock goes on for the flush, from
//! the arrival of the statement, which is COMMIT in a transaction block: an error then, as in any statement. Only for clients: the setting of a
//! database is not meant for workers.

use pgrx::pg_sys;

/// utils/timeout.h, TimeoutId: the same in 15 to 18.
const STATEMENT_TIMEOUT: i32 = 3;

unsafe extern "C-unwind" {
    // utils/timeout.h
    fn get_timeout_active(id: i32) -> bool;
    fn enable_timeout_at(id: i32, end: pg_sys::TimestampTz);
    fn disable_timeout(id: i32, keep_indicator: bool);
}

/// The clock goes on while this lives. After an error the server stops all clocks (PostgresMain).
pub struct Limit(bool);

impl Limit {
    #[allow(ffi_unwind_calls)] // these raise nothing
    pub fn of_statement() -> Limit {
        // SAFETY: plain globals; the timeout is registered in every session (InitPostgres).
        unsafe {
            let limit = pg_sys::StatementTimeout;
            if limit <= 0
                || pg_sys::MyBackendType != pg_sys::BackendType::B_BACKEND
                || get_timeout_active(STATEMENT_TIMEOUT)
            {
                return Limit(false);
            }
            let end = pg_sys::GetCurrentStatementStartTimestamp() + i64::from(limit) * 1000;
            enable_timeout_at(STATEMENT_TIMEOUT, end);
            Limit(true)
        }
    }
}

impl Drop for Limit {
    #[allow(ffi_unwind_calls)] // this raises nothing
    fn drop(&mut self) {
        if self.0 && !std::thread::panicking() {
            // SAFETY: the timeout that `of_statement` has set.
            unsafe { disable_timeout(STATEMENT_TIMEOUT, false) };
        }
    }
}
