//! Before a query reads a TVIEW: flush what this transaction has pending for it, rebuild what a crash emptied.
//!
//! Two places: `post_parse_analyze`, before a simple query takes its snapshot, and `ExecutorStart`, which also sees
//! cached plans, cursors and functions, and there the query's snapshot is replaced after a flush.
//! Invariant: a query never reads a TVIEW that lacks a change of its own transaction that it could see in the base
//! table. Cost for a query without materialized views: a look at its range table.

use crate::catalog::{self, sentinel};
use crate::pg::callback::Frame;
use crate::pg::error::{Error, or_raise};
use crate::pg::fault::{self, Fault};
use crate::pg::relation::Relation;
use crate::pg::{callees, list, original, reserve, started};
use crate::queue::in_flight;
use crate::refresh::{self, graph};
use crate::tam;
use pgrx::{pg_guard, pg_sys};
use std::collections::BTreeSet;

static mut NEXT_FINISH: pg_sys::ExecutorFinish_hook_type = None;
static mut NEXT_START: pg_sys::ExecutorStart_hook_type = None;
static mut NEXT_ANALYZE: pg_sys::post_parse_analyze_hook_type = None;

pub fn init() {
    // SAFETY: called once, while the library is loaded.
    unsafe {
        NEXT_START = pg_sys::ExecutorStart_hook;
        pg_sys::ExecutorStart_hook = Some(executor_start);
        NEXT_FINISH = pg_sys::ExecutorFinish_hook;
        pg_sys::ExecutorFinish_hook = Some(executor_finish);
        NEXT_ANALYZE = pg_sys::post_parse_analyze_hook;
        pg_sys::post_parse_analyze_hook = Some(post_parse_analyze);
    }
}

unsafe extern "C-unwind" {
    // Called without a guard, so that its errors stay as they are.
    #[link_name = "standard_ExecutorStart"]
    #[allow(improper_ctypes)]
    fn standard_start(query: *mut pg_sys::QueryDesc, eflags: i32);
    #[link_name = "standard_ExecutorFinish"]
    #[allow(improper_ctypes)]
    fn standard_finish(query: *mut pg_sys::QueryDesc);
}

#[allow(ffi_unwind_calls)] // the frame has no destructors
unsafe extern "C-unwind" fn executor_start(query: *mut pg_sys::QueryDesc, eflags: i32) {
    // SAFETY: `query` is what the server gave to its hook.
    unsafe {
        let explain_only = eflags & pg_sys::EXEC_FLAG_EXPLAIN_ONLY as i32 != 0;
        if refresh::running() && has_kind((*(*query).plannedstmt).rtable, pg_sys::RELKIND_FOREIGN_TABLE) {
            refuse_foreign();
        }
        if !explain_only && has_kind((*(*query).plannedstmt).rtable, pg_sys::RELKIND_MATVIEW) {
            let mut frame = Frame::new();
            frame.push((*query).sourceText);
            reserve::require();
            let error = before_start(query);
            frame.pop();
            original::rethrow(error);
        }
        if !explain_only && writes(query) {
            in_flight::begin(query as usize);
        }
        let awaited = started::is_awaited();
        #[allow(static_mut_refs)]
        match NEXT_START {
            Some(next) => next(query, eflags),
            None => standard_start(query, eflags),
        }
        if awaited {
            recognise(query);
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn recognise(query: *mut pg_sys::QueryDesc) {
    // SAFETY: `query` is what the server gave to its hook.
    unsafe {
        started::recognise(query);
    }
}

/// The statement's triggers, ours among them, run inside.
#[allow(ffi_unwind_calls)] // the frame has no destructors
unsafe extern "C-unwind" fn executor_finish(query: *mut pg_sys::QueryDesc) {
    // SAFETY: `query` is what the server gave to its hook.
    unsafe {
        #[allow(static_mut_refs)]
        match NEXT_FINISH {
            Some(next) => next(query),
            None => standard_finish(query),
        }
        if writes(query) {
            in_flight::end(query as usize);
        }
    }
}

unsafe fn writes(query: *mut pg_sys::QueryDesc) -> bool {
    // SAFETY: `query` is what the server gave to its hook.
    unsafe { (*query).operation != pg_sys::CmdType::CMD_SELECT || (*(*query).plannedstmt).hasModifyingCTE }
}

#[allow(ffi_unwind_calls)] // the frame has no destructors
unsafe extern "C-unwind" fn post_parse_analyze(
    pstate: *mut pg_sys::ParseState,
    query: *mut pg_sys::Query,
    jumble: *mut pg_sys::JumbleState,
) {
    // SAFETY: `pstate` and `jumble` are what the server gave to its hook; `query` is a live tree of the server.
    unsafe {
        let ours = callees::concerns((*pstate).p_sourcetext);
        if ours || has_kind((*query).rtable, pg_sys::RELKIND_MATVIEW) {
            let mut frame = Frame::new();
            frame.push((*pstate).p_sourcetext);
            let error = before_analyzed(query, ours);
            frame.pop();
            original::rethrow(error);
        }
        #[allow(static_mut_refs)]
        if let Some(next) = NEXT_ANALYZE {
            next(pstate, query, jumble);
        }
    }
}

/// A foreign table can reach a flush through what is not looked at when a TVIEW is made, such as a function that is declared IMMUTABLE. At
/// commit its server would be asked after the foreign data wrapper has finished its part of the transaction: postgres_fdw takes the
/// whole server down then. So it is an error at every flush.
#[pg_guard]
unsafe extern "C-unwind" fn refuse_foreign() {
    let hint = "A function or a policy that a TVIEW uses reads it.";
    Error::unsupported("a flush of a TVIEW cannot read a foreign table", -1, hint).raise();
}

/// Whether a range table has a relation of a kind. No destructors here: called from the C frames above.
unsafe fn has_kind(rtable: *mut pg_sys::List, kind: u8) -> bool {
    // SAFETY: `rtable` is null or a live list of nodes.
    unsafe {
        if rtable.is_null() {
            return false;
        }
        for i in 0..(*rtable).length as usize {
            let rte = (*(*rtable).elements.add(i)).ptr_value.cast::<pg_sys::RangeTblEntry>();
            if (*rte).rtekind == pg_sys::RTEKind::RTE_RELATION && (*rte).relkind as u8 == kind {
                return true;
            }
        }
        false
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn before_analyzed(query: *mut pg_sys::Query, ours: bool) -> *mut pg_sys::ErrorData {
    // SAFETY: `query` is a live tree of the server.
    unsafe {
        original::shield(|| {
            if ours {
                or_raise(callees::check(query));
            }
            // Not for the statements that define views: nothing is read there.
            if (*query).commandType != pg_sys::CmdType::CMD_UTILITY && pg_sys::ActiveSnapshotSet() {
                make_current((*query).rtable);
            }
        })
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn before_start(query: *mut pg_sys::QueryDesc) -> *mut pg_sys::ErrorData {
    // SAFETY: the server is about to start `query`; what is raised inside comes back as a value.
    unsafe { original::shield(|| start(query)) }
}

unsafe fn start(query: *mut pg_sys::QueryDesc) {
    // SAFETY: `query` is what the server gave to its hook.
    unsafe {
        // A flush chooses its snapshots itself.
        if refresh::running() {
            return;
        }
        let done = make_current((*(*query).plannedstmt).rtable);
        if (*query).snapshot.is_null() {
            return;
        }
        // A STABLE function runs with its caller's snapshot, which can be older than a flush within the same statement.
        if done || refresh::is_older((*query).snapshot) {
            // The query's snapshot is also the active one (execMain.c of 18 insists), and stays so.
            let active = pg_sys::ActiveSnapshotSet() && pg_sys::GetActiveSnapshot() == (*query).snapshot;
            pg_sys::UnregisterSnapshot((*query).snapshot);
            if active {
                pg_sys::PopActiveSnapshot();
                pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
                (*query).snapshot = pg_sys::RegisterSnapshot(pg_sys::GetActiveSnapshot());
            } else {
                (*query).snapshot = pg_sys::RegisterSnapshot(pg_sys::GetTransactionSnapshot());
            }
        }
    }
}

/// Brings the TVIEWs of a range table up to date; returns whether something was done.
unsafe fn make_current(rtable: *mut pg_sys::List) -> bool {
    // SAFETY: `rtable` is null or a live list of nodes.
    unsafe {
        if refresh::running() || pg_sys::ParallelWorkerNumber >= 0 || !catalog::installed() {
            return false;
        }
        let mut read = BTreeSet::new();
        let graph = or_raise(graph::current());
        for rte in list::iter::<pg_sys::RangeTblEntry>(rtable) {
            if (*rte).rtekind != pg_sys::RTEKind::RTE_RELATION {
                continue;
            }
            if !graph.reads_others((*rte).relid.to_u32()) {
                let is_matview = (*rte).relkind as u8 == pg_sys::RELKIND_MATVIEW;
                if !is_matview || !tam::is_tview((*rte).relid) || is_new((*rte).relid) {
                    continue;
                }
            }
            read.insert((*rte).relid.to_u32());
        }
        if read.is_empty() {
            return false;
        }
        let mut done = !fault::on(Fault::SkipFlushBeforeReads) && refresh::flush_for_read(&read);
        for relid in read.into_iter().map(pg_sys::Oid::from) {
            if is_lost(relid) {
                done |= or_raise(refresh::recover(relid));
            }
        }
        done
    }
}

/// Whether a relation was created in this transaction: what is not complete yet is not looked at.
fn is_new(relid: pg_sys::Oid) -> bool {
    // SAFETY: an open relation.
    Relation::open(relid, pg_sys::AccessShareLock).is_none_or(|rel| unsafe { (*rel.raw()).rd_createSubid } != 0)
}

fn is_lost(relid: pg_sys::Oid) -> bool {
    let Some(rel) = Relation::open(relid, pg_sys::AccessShareLock) else { return false };
    // SAFETY: plain getter.
    rel.class().relispopulated && !unsafe { pg_sys::RecoveryInProgress() } && !sentinel::alive(relid, rel.class())
}
