//! Prepared SQL through the server's SPI, always with the active snapshot.
//!
//! Invariant: plans are kept for the backend's life and revalidated by the plan cache; a session (connect … finish) is
//! open while rows are looked at; nothing here writes.
//! Callers: flush, population, the functions of the interface.

use super::callees::{Callees, InForce, MARK};
use super::error::{Error, Result};
use super::receiver::Receiver;
use super::started::Started;
use super::{ending, list, original, pinned};
use pgrx::pg_sys;
use std::ffi::CString;
use std::rc::Rc;
use tviews_core::choice;

/// The functions that run users' expressions, called through `original::keep`.
mod raw {
    use pgrx::pg_sys;
    use std::ffi::{c_char, c_int, c_long};
    #[allow(improper_ctypes)]
    unsafe extern "C-unwind" {
        pub fn SPI_execute_plan(
            plan: pg_sys::SPIPlanPtr,
            values: *mut pg_sys::Datum,
            nulls: *const c_char,
            read_only: bool,
            count: c_long,
        ) -> c_int;
        pub fn SPI_execute_plan_extended(plan: pg_sys::SPIPlanPtr, options: *const pg_sys::SPIExecuteOptions) -> c_int;
        pub fn SPI_cursor_fetch(portal: pg_sys::Portal, forward: bool, count: c_long);
    }
}

/// An SPI connection; finished on drop, left to the server's abort while unwinding.
pub struct Session(());

impl Session {
    pub fn open() -> Session {
        if pinned::is_unset() {
            Error::Internal("SQL of maintenance under the settings of the session".into()).raise();
        }
        // SAFETY: inside a transaction.
        let code = unsafe { pg_sys::SPI_connect() };
        assert_eq!(code, pg_sys::SPI_OK_CONNECT as i32);
        Session(())
    }

    /// Runs a plan that returns rows, with the active snapshot.
    #[allow(ffi_unwind_calls)] // inside the closure of keep, which has nothing to drop
    pub fn query(&self, plan: &Plan) -> Rows {
        let _callees = InForce::new(&plan.callees);
        let pointer = plan.pointer;
        let _started = Started::new(pointer);
        // SAFETY: the plan has no parameters; read_only makes SPI use the active snapshot.
        let code = unsafe {
            original::keep(plan.line.as_ptr(), || {
                raw::SPI_execute_plan(pointer, std::ptr::null_mut(), std::ptr::null(), true, 0)
            })
        };
        assert_eq!(code, pg_sys::SPI_OK_SELECT as i32);
        // SAFETY: set by SPI_execute_plan.
        unsafe { Rows { table: pg_sys::SPI_tuptable, len: pg_sys::SPI_processed as usize } }
    }

    /// Runs a plan that returns rows, with the active snapshot, and shows each row to `look`: values and null flags, valid during the call.
    #[allow(ffi_unwind_calls)] // inside the closure of keep, which has nothing to drop
    pub fn each(&self, plan: &Plan, look: &mut dyn FnMut(&[pg_sys::Datum], &[bool])) {
        let _callees = InForce::new(&plan.callees);
        let _started = Started::new(plan.pointer);
        let mut receiver = Receiver::new(look);
        let options =
            pg_sys::SPIExecuteOptions { read_only: true, dest: receiver.raw(), ..pg_sys::SPIExecuteOptions::default() };
        // SAFETY: the plan has no parameters; the receiver stays where it is.
        let code = unsafe {
            original::keep(plan.line.as_ptr(), || raw::SPI_execute_plan_extended(plan.pointer, &raw const options))
        };
        assert_eq!(code, pg_sys::SPI_OK_SELECT as i32);
    }

    /// Runs a plan through a cursor and hands its rows over in batches of `size`.
    #[allow(ffi_unwind_calls)] // inside the closure of keep, which has nothing to drop
    pub fn stream(&self, plan: &Plan, size: i64, mut batch: impl FnMut(&Rows)) {
        let _callees = InForce::new(&plan.callees);
        let _started = Started::new(plan.pointer);
        // SAFETY: as for query(); the portal is closed before returning.
        unsafe {
            let portal =
                pg_sys::SPI_cursor_open(std::ptr::null(), plan.pointer, std::ptr::null_mut(), std::ptr::null(), true);
            loop {
                original::keep(std::ptr::null(), || raw::SPI_cursor_fetch(portal, true, size));
                let rows = Rows { table: pg_sys::SPI_tuptable, len: pg_sys::SPI_processed as usize };
                if rows.len == 0 {
                    break;
                }
                batch(&rows);
                pg_sys::SPI_freetuptable(rows.table);
            }
            pg_sys::SPI_cursor_close(portal);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: connected by us.
            unsafe { pg_sys::SPI_finish() };
        }
    }
}

fn c_text(sql: &str) -> Result<CString> {
    CString::new(sql).map_err(|_| Error::Internal("NUL byte in SQL text".into()))
}

/// The planner's estimate for a plan.
pub struct Cost {
    pub estimate: choice::Cost,
    /// Whether the plan has to use a node that settings have switched off, such as a sequential scan.
    pub forced: bool,
}

impl Cost {
    fn of(tree: &pg_sys::Plan) -> Cost {
        #[cfg(feature = "since_18")]
        let forced = tree.disabled_nodes > 0;
        #[cfg(not(feature = "since_18"))]
        let forced = tree.total_cost >= 1.0e10;
        Cost { estimate: choice::Cost::of(tree.total_cost, tree.plan_rows), forced }
    }
}

/// A kept plan without parameters.
pub struct Plan {
    pointer: pg_sys::SPIPlanPtr,
    /// The line that SPI adds to the context of errors.
    line: CString,
    callees: Rc<Callees>,
}

impl Plan {
    /// Prepares a plan and keeps it; a session must be open. The SQL calls none but `callees`.
    pub fn prepare(session: &Session, sql: &str, callees: &Rc<Callees>) -> Result<Plan> {
        Plan::prepare_with(session, sql, callees, 0)
    }

    /// As `prepare`, with workers beside this process where the planner finds that cheaper. What is written while such a plan runs is written by a
    /// transaction that has a number already.
    pub fn parallel(session: &Session, sql: &str, callees: &Rc<Callees>) -> Result<Plan> {
        Plan::prepare_with(session, sql, callees, pg_sys::CURSOR_OPT_PARALLEL_OK)
    }

    fn prepare_with(_session: &Session, sql: &str, callees: &Rc<Callees>, options: u32) -> Result<Plan> {
        let _callees = InForce::new(callees);
        let text = c_text(&format!("{}{sql}", MARK.to_string_lossy()))?;
        // SAFETY: no parameter types.
        unsafe {
            let plan = pg_sys::SPI_prepare_cursor(text.as_ptr(), 0, std::ptr::null_mut(), options as i32);
            if plan.is_null() {
                return Err(Error::Internal(format!("SPI_prepare_cursor returned {}", { pg_sys::SPI_result })));
            }
            let code = pg_sys::SPI_keepplan(plan);
            assert_eq!(code, 0);
            Ok(Plan { pointer: plan, line: original::spi_line(&text), callees: Rc::clone(callees) })
        }
    }
}

impl Plan {
    /// Types and collations of the columns.
    pub fn types(&self) -> Vec<(pg_sys::Oid, pg_sys::Oid)> {
        // SAFETY: a kept plan of one SELECT has one source, whose result has a descriptor.
        unsafe {
            let source = list::nth::<pg_sys::CachedPlanSource>(pg_sys::SPI_plan_get_plan_sources(self.pointer), 0);
            let desc = (*source).resultDesc;
            let columns = (0..(*desc).natts as usize).map(|i| &*super::tupdesc::attr(desc, i));
            columns.map(|att| (att.atttypid, att.attcollation)).collect()
        }
    }

    /// The planner's estimate for running the plan once; None when the server has no single cached plan for it.
    pub fn cost(&self) -> Option<Cost> {
        let _callees = InForce::new(&self.callees);
        // SAFETY: the cached plan is pinned while it is looked at; a kept plan belongs to the current resource owner.
        unsafe {
            let cached = pg_sys::SPI_plan_get_cached_plan(self.pointer);
            if cached.is_null() {
                return None;
            }
            let mut statements = list::iter::<pg_sys::PlannedStmt>((*cached).stmt_list);
            let cost = statements.next().map(|s| Cost::of(&*(*s).planTree));
            pg_sys::ReleaseCachedPlan(cached, pg_sys::CurrentResourceOwner);
            cost
        }
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        if !std::thread::panicking() && !ending::process_exits() {
            // SAFETY: kept by us; the plan cache counts references.
            unsafe { pg_sys::SPI_freeplan(self.pointer) };
        }
    }
}

/// Result rows; valid until the next query of the session.
pub struct Rows {
    table: *mut pg_sys::SPITupleTable,
    len: usize,
}

impl Rows {
    pub fn len(&self) -> usize {
        self.len
    }

    /// Column `col` (from 0) of row `row`; None is NULL.
    pub fn get(&self, row: usize, col: usize) -> Option<pg_sys::Datum> {
        assert!(row < self.len);
        let mut null = false;
        // SAFETY: in bounds; the table belongs to the session.
        unsafe {
            let tuple = *(*self.table).vals.add(row);
            let datum = pg_sys::SPI_getbinval(tuple, (*self.table).tupdesc, col as i32 + 1, &mut null);
            (!null).then_some(datum)
        }
    }
}
