//! EXPLAIN ANALYZE of a statement that writes shows its flush.
//!
//! What earlier statements have left pending is flushed before the statement runs, and not shown; what it has left is flushed when it has ended, and shown
//! behind its triggers. From 18 on the server has a hook for each plan that it explains; whose state it is, that of EXPLAIN or of an
//! extension that logs plans, is marked when EXPLAIN reads its options. Before, EXPLAIN asks a hook for each query, except below
//! EXECUTE, and what ends with the text of that query is the statement. Invariant: each of our hooks is a C frame, as all hooks are; a flush happens at most
//! once for a statement, and never for one that auto_explain logs. Source of the protocols: commands/explain.c, commands/explain_state.c.

use crate::counters::trace::{self, Times, Trace, Traced};
use crate::hook::call::Call;
use crate::pg::callback::Frame;
use crate::pg::explain::Output;
use crate::pg::{original, reserve};
use crate::queue::{self, suspension};
use crate::refresh::flush::{self, Moment};
use pgrx::{pg_guard, pg_sys};
use std::ffi::c_char;

/// Before EXPLAIN ANALYZE: flushes what is pending. The statement sees the flush: a snapshot taken after it is the active one.
pub fn before(call: &mut Call) {
    // SAFETY: inside a transaction.
    if !unsafe { pg_sys::ActiveSnapshotSet() } || !is_time() {
        return;
    }
    flush::flush(Moment::Read);
    // SAFETY: as above; popped when the statement has ended, or by the abort.
    unsafe { pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot()) };
    call.at_last(|| {
        // SAFETY: pushed above; what was pushed later is popped.
        unsafe { pg_sys::PopActiveSnapshot() };
        Ok(())
    });
}

/// Whether there is something to flush that a read would flush, too, and that is not put off.
fn is_time() -> bool {
    // SAFETY: plain getter.
    let may_write = !unsafe { pg_sys::IsInParallelMode() };
    may_write && !queue::is_empty() && !flush::running() && suspension::depth() == 0
}

/// The statement has run, its triggers have, too, and it has been explained.
#[pg_guard]
unsafe extern "C-unwind" fn after(es: *mut pg_sys::ExplainState) -> *mut pg_sys::ErrorData {
    original::shield(|| {
        if is_time() {
            let flushed = trace::during(|| flush::flush(Moment::Read));
            // SAFETY: the state of the EXPLAIN that is writing its output.
            show(&unsafe { Output::new(es) }, &flushed);
        }
    })
}

/// # Safety
/// Called from a C frame without destructors; `es` is the state of an EXPLAIN ANALYZE that writes its output.
#[allow(ffi_unwind_calls)] // the frame has no destructors
unsafe fn flush_and_show(es: *mut pg_sys::ExplainState, text: *const c_char) {
    // SAFETY: as the caller promises.
    unsafe {
        let mut frame = Frame::new();
        frame.push(text);
        reserve::require();
        let error = after(es);
        frame.pop();
        original::rethrow(error);
    }
}

fn show(output: &Output, flushed: &Trace) {
    if output.is_text() {
        flushed.lines(output.shows_times()).iter().for_each(|line| output.line(line));
    } else if !flushed.is_empty() {
        output.list(c"Flushes", || {
            flushed.shown.iter().for_each(|t| output.element(c"Flush", || properties(output, t)));
            if let Some(total) = flushed.hidden {
                output.element(c"Flush", || {
                    output.text(c"TVIEW", "(may not be read)");
                    if output.shows_times() {
                        output.time(c"Time", total);
                    }
                });
            }
        });
    }
}

fn properties(output: &Output, traced: &Traced) {
    let Times { total, waiting, computing, writing } = traced.times();
    output.text(c"TVIEW", &traced.tview);
    if let Some(stage) = &traced.stage {
        output.text(c"Stage", stage);
    }
    if output.shows_times() {
        output.time(c"Time", total);
    }
    let c = &traced.counters;
    output.text(c"Strategy", &traced.how.strategies);
    output.text(c"Way", traced.how.way.as_str());
    output.count(c"Changed Rows", c.changed_rows);
    output.count(c"Dirty Keys", c.dirty_keys);
    output.count(c"Rows Inserted", c.rows_inserted);
    output.count(c"Rows Updated", c.rows_updated);
    output.count(c"Rows Deleted", c.rows_deleted);
    output.count(c"Rows Unchanged", c.rows_unchanged);
    if output.shows_times() {
        output.time(c"Waiting Time", waiting);
        output.time(c"Computing Time", computing);
        output.time(c"Writing Time", writing);
    }
}

#[cfg(feature = "since_18")]
mod hooks {
    use super::flush_and_show;
    use pgrx::pg_sys;
    use std::ffi::{c_char, c_int, c_void};
    use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

    static mut NEXT_PLAN: pg_sys::explain_per_plan_hook_type = None;
    static mut NEXT_OPTIONS: pg_sys::explain_validate_options_hook_type = None;
    static ID: AtomicI32 = AtomicI32::new(0);

    unsafe extern "C-unwind" {
        // Called without a guard, so that errors stay as they are.
        #[link_name = "SetExplainExtensionState"]
        #[allow(improper_ctypes)]
        fn set_state(es: *mut pg_sys::ExplainState, id: c_int, state: *mut c_void);
        #[link_name = "GetExplainExtensionState"]
        #[allow(improper_ctypes)]
        fn state(es: *mut pg_sys::ExplainState, id: c_int) -> *mut c_void;
    }

    pub fn init() {
        // SAFETY: called once, while the library is loaded.
        unsafe {
            ID.store(pg_sys::GetExplainExtensionId(c"pg_tviews".as_ptr()), Relaxed);
            NEXT_PLAN = pg_sys::explain_per_plan_hook;
            pg_sys::explain_per_plan_hook = Some(per_plan);
            NEXT_OPTIONS = pg_sys::explain_validate_options_hook;
            pg_sys::explain_validate_options_hook = Some(options);
        }
    }

    /// EXPLAIN has read its options: marks its state. Any pointer but null will do.
    #[allow(ffi_unwind_calls)] // the frame has no destructors
    unsafe extern "C-unwind" fn options(
        es: *mut pg_sys::ExplainState,
        options: *mut pg_sys::List,
        pstate: *mut pg_sys::ParseState,
    ) {
        // SAFETY: what the server gave to its hook.
        unsafe {
            if (*es).analyze {
                set_state(es, ID.load(Relaxed), es.cast());
            }
            #[allow(static_mut_refs)]
            if let Some(next) = NEXT_OPTIONS {
                next(es, options, pstate);
            }
        }
    }

    #[allow(ffi_unwind_calls)] // the frame has no destructors
    unsafe extern "C-unwind" fn per_plan(
        plan: *mut pg_sys::PlannedStmt,
        into: *mut pg_sys::IntoClause,
        es: *mut pg_sys::ExplainState,
        text: *const c_char,
        params: pg_sys::ParamListInfo,
        env: *mut pg_sys::QueryEnvironment,
    ) {
        // SAFETY: what the server gave to its hook.
        unsafe {
            #[allow(static_mut_refs)]
            if let Some(next) = NEXT_PLAN {
                next(plan, into, es, text, params, env);
            }
            if (*es).analyze && into.is_null() && !state(es, ID.load(Relaxed)).is_null() {
                flush_and_show(es, text);
            }
        }
    }
}

#[cfg(not(feature = "since_18"))]
mod hooks {
    use super::flush_and_show;
    use crate::pg::explain::open;
    use pgrx::pg_sys;
    use std::ffi::{c_char, c_int};

    static mut NEXT_QUERY: pg_sys::ExplainOneQuery_hook_type = None;
    static mut NEXT_END: pg_sys::ExecutorEnd_hook_type = None;

    unsafe extern "C-unwind" {
        // Called without a guard, so that errors stay as they are.
        #[link_name = "standard_ExecutorEnd"]
        #[allow(improper_ctypes)]
        fn standard_end(query: *mut pg_sys::QueryDesc);
        #[cfg(feature = "pg17")]
        #[link_name = "standard_ExplainOneQuery"]
        #[allow(improper_ctypes)]
        fn standard(
            query: *mut pg_sys::Query,
            options: c_int,
            into: *mut pg_sys::IntoClause,
            es: *mut pg_sys::ExplainState,
            text: *const c_char,
            params: pg_sys::ParamListInfo,
            env: *mut pg_sys::QueryEnvironment,
        );
    }

    pub fn init() {
        // SAFETY: called once, while the library is loaded.
        unsafe {
            NEXT_QUERY = pg_sys::ExplainOneQuery_hook;
            pg_sys::ExplainOneQuery_hook = Some(one_query);
            NEXT_END = pg_sys::ExecutorEnd_hook;
            pg_sys::ExecutorEnd_hook = Some(executor_end);
        }
    }

    #[allow(ffi_unwind_calls)] // the frame has no destructors
    unsafe extern "C-unwind" fn one_query(
        query: *mut pg_sys::Query,
        options: c_int,
        into: *mut pg_sys::IntoClause,
        es: *mut pg_sys::ExplainState,
        text: *const c_char,
        params: pg_sys::ParamListInfo,
        env: *mut pg_sys::QueryEnvironment,
    ) {
        // SAFETY: what the server gave to its hook.
        unsafe {
            let shows = (*es).analyze && into.is_null();
            if shows {
                open::begin(es, text);
            }
            #[allow(static_mut_refs)]
            match NEXT_QUERY {
                Some(next) => next(query, options, into, es, text, params, env),
                None => standard(query, options, into, es, text, params, env),
            }
            if shows {
                open::end();
            }
        }
    }

    /// The plan has been printed, with its triggers, and its group is still open.
    #[allow(ffi_unwind_calls)] // the frame has no destructors
    unsafe extern "C-unwind" fn executor_end(query: *mut pg_sys::QueryDesc) {
        // SAFETY: what the server gave to its hook.
        unsafe {
            let es = open::of((*query).sourceText);
            if !es.is_null() {
                flush_and_show(es, (*query).sourceText);
            }
            #[allow(static_mut_refs)]
            match NEXT_END {
                Some(next) => next(query),
                None => standard_end(query),
            }
        }
    }

    /// What the server does without a hook, which it has no function for: plans, measures that, and explains the plan.
    ///
    /// # Safety
    /// As for the server's own function: what EXPLAIN gave to its hook, from a frame without destructors.
    #[cfg(not(feature = "pg17"))]
    #[allow(ffi_unwind_calls)] // the frame has no destructors
    unsafe fn standard(
        query: *mut pg_sys::Query,
        options: c_int,
        into: *mut pg_sys::IntoClause,
        es: *mut pg_sys::ExplainState,
        text: *const c_char,
        params: pg_sys::ParamListInfo,
        env: *mut pg_sys::QueryEnvironment,
    ) {
        unsafe extern "C-unwind" {
            #[link_name = "pg_plan_query"]
            #[allow(improper_ctypes)]
            fn plan_query(
                query: *mut pg_sys::Query,
                text: *const c_char,
                options: c_int,
                params: pg_sys::ParamListInfo,
            ) -> *mut pg_sys::PlannedStmt;
            #[link_name = "ExplainOnePlan"]
            #[allow(improper_ctypes)]
            fn explain_plan(
                plan: *mut pg_sys::PlannedStmt,
                into: *mut pg_sys::IntoClause,
                es: *mut pg_sys::ExplainState,
                text: *const c_char,
                params: pg_sys::ParamListInfo,
                env: *mut pg_sys::QueryEnvironment,
                duration: *const pg_sys::instr_time,
                buffers: *const pg_sys::BufferUsage,
            );
            #[link_name = "BufferUsageAccumDiff"]
            fn add_difference(
                to: *mut pg_sys::BufferUsage,
                now: *const pg_sys::BufferUsage,
                before: *const pg_sys::BufferUsage,
            );
        }
        // SAFETY: what the server gave to its hook; the counters of buffers are plain globals.
        unsafe {
            let before = pg_sys::pgBufferUsage;
            let start = std::time::Instant::now();
            let plan = plan_query(query, text, options, params);
            let took = start.elapsed();
            let mut used = pg_sys::BufferUsage::default();
            add_difference(&mut used, &raw const pg_sys::pgBufferUsage, &before);
            let buffers = if (*es).buffers { &raw const used } else { std::ptr::null() };
            explain_plan(plan, into, es, text, params, env, &duration(took), buffers);
        }
    }

    #[cfg(feature = "pg15")]
    fn duration(took: std::time::Duration) -> pg_sys::instr_time {
        pg_sys::instr_time { tv_sec: took.as_secs() as i64, tv_nsec: i64::from(took.subsec_nanos()) }
    }

    #[cfg(feature = "pg16")]
    fn duration(took: std::time::Duration) -> pg_sys::instr_time {
        pg_sys::instr_time { ticks: took.as_nanos() as i64 }
    }
}

pub use hooks::init;
