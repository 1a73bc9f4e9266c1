//! Before a query reads a TVIEW: flush the changes that this transaction has pending for it, rebuild contents that a crash emptied.
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
use crate::pg::{callees, list, name, original, reserve, started};
use crate::queue::{self, in_flight};
use crate::refresh::flush::{self, Moment, flush, lost};
use crate::refresh::plan::graph;
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
        if flush::running()
            && !flush::deferred::may_read_foreign()
            && has_kind((*(*query).plannedstmt).rtable, pg_sys::RELKIND_FOREIGN_TABLE)
        {
            refuse_foreign();
        }
        let reads = has_kind((*(*query).plannedstmt).rtable, pg_sys::RELKIND_MATVIEW);
        if !explain_only && (reads || in_parallel(query)) {
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

/// The statement's triggers, our triggers among them, run inside.
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

/// Whether workers will run functions of this query, which may read any TVIEW and cannot flush.
///
/// # Safety
/// `query` is what the server gave to its hook.
unsafe fn in_parallel(query: *mut pg_sys::QueryDesc) -> bool {
    // SAFETY: `query` is what the server gave to its hook.
    unsafe { (*(*query).plannedstmt).parallelModeNeeded && !queue::is_empty() }
}

/// # Safety
/// `query` is what the server gave to its hook.
unsafe fn writes(query: *mut pg_sys::QueryDesc) -> bool {
    // SAFETY: `query` is what the server gave to its hook.
    unsafe { (*query).operation != pg_sys::CmdType::CMD_SELECT || (*(*query).plannedstmt).hasModifyingCTE }
}

#[cfg(not(feature = "since_19"))]
type Jumble = *mut pg_sys::JumbleState;
#[cfg(feature = "since_19")]
type Jumble = *const pg_sys::JumbleState;

#[allow(ffi_unwind_calls)] // the frame has no destructors
unsafe extern "C-unwind" fn post_parse_analyze(
    pstate: *mut pg_sys::ParseState,
    query: *mut pg_sys::Query,
    jumble: Jumble,
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

/// A foreign table can reach a flush through code that is not looked at when a TVIEW is made, such as a function that is declared IMMUTABLE. At
/// commit the foreign server would be asked after the foreign data wrapper has finished its part of the transaction: postgres_fdw takes the
/// whole server down then. So reading a foreign table is an error at every flush.
#[pg_guard]
unsafe extern "C-unwind" fn refuse_foreign() {
    let hint = "A function or a policy that a TVIEW uses reads it.";
    Error::unsupported("a flush of a TVIEW cannot read a foreign table", -1, hint).raise();
}

/// Whether a range table has a relation of a kind. No destructors here: called from the C frames above.
///
/// # Safety
/// `rtable` is null or a live list of nodes.
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
            // Not for statements that define views: they read nothing.
            if (*query).commandType != pg_sys::CmdType::CMD_UTILITY && pg_sys::ActiveSnapshotSet() {
                make_current((*query).rtable);
            }
        })
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn before_start(query: *mut pg_sys::QueryDesc) -> *mut pg_sys::ErrorData {
    // SAFETY: the server is about to start `query`; an error raised inside comes back as a value.
    unsafe { original::shield(|| start(query)) }
}

/// # Safety
/// `query` is what the server gave to its hook.
unsafe fn start(query: *mut pg_sys::QueryDesc) {
    // SAFETY: `query` is what the server gave to its hook.
    unsafe {
        // A flush chooses its snapshots itself.
        if flush::running() {
            return;
        }
        let rtable = (*(*query).plannedstmt).rtable;
        let mut done = make_current(rtable);
        if in_parallel(query) {
            flush(Moment::Read);
            done = true;
        }
        if (*query).snapshot.is_null() {
            return;
        }
        // A STABLE function runs with its caller's snapshot, which can be older than a flush within the same statement.
        if done || flush::is_older((*query).snapshot) || unseen(rtable, (*query).snapshot).is_some() {
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
            insist(rtable, (*query).snapshot);
        }
    }
}

/// A TVIEW of a range table whose contents another transaction computed anew after the snapshot was taken.
///
/// # Safety
/// `rtable` is null or a live list of nodes; `snapshot` is one that a query is about to start with.
unsafe fn unseen(rtable: *mut pg_sys::List, snapshot: pg_sys::Snapshot) -> Option<pg_sys::Oid> {
    // SAFETY: `rtable` is null or a live list of nodes; `snapshot` is one that a query is about to start with.
    unsafe {
        let tviews = list::iter::<pg_sys::RangeTblEntry>(rtable).filter(|r| {
            (**r).rtekind == pg_sys::RTEKind::RTE_RELATION && (**r).relkind as u8 == pg_sys::RELKIND_MATVIEW
        });
        tviews.map(|r| (*r).relid).find(|oid| tam::is_tview(*oid) && !sees(*oid, snapshot))
    }
}

/// Whether a snapshot sees the contents of a TVIEW that has some.
///
/// # Safety
/// `snapshot` is a live MVCC snapshot.
unsafe fn sees(oid: pg_sys::Oid, snapshot: pg_sys::Snapshot) -> bool {
    let Some(rel) = Relation::open(oid, pg_sys::AccessShareLock) else { return true };
    // SAFETY: `snapshot` is a live MVCC snapshot.
    !rel.class().relispopulated || unsafe { sentinel::seen_by(oid, rel.class(), snapshot) }
}

/// The snapshot of a REPEATABLE READ transaction stays as it is: a TVIEW whose contents it does not see cannot be read.
///
/// # Safety
/// As for `unseen`.
unsafe fn insist(rtable: *mut pg_sys::List, snapshot: pg_sys::Snapshot) {
    // SAFETY: as for `unseen`.
    if let Some(oid) = unsafe { unseen(rtable, snapshot) } {
        Error::Recomputed(name::bare(oid)).raise();
    }
}

/// Before COPY reads a TVIEW (18 and later) without the executor: brings the TVIEW up to date and pushes the snapshot to read with.
/// Returns whether there is one to pop.
///
/// # Safety
/// `stmt` is the statement that the server is about to execute.
pub unsafe fn before_copy(stmt: *mut pg_sys::CopyStmt) -> bool {
    // SAFETY: `stmt` is the statement that the server is about to execute, as the caller promises.
    unsafe {
        if (*stmt).is_from || (*stmt).relation.is_null() || !pg_sys::ActiveSnapshotSet() {
            return false;
        }
        let (lock, flags) = (pg_sys::AccessShareLock as i32, pg_sys::RVROption::RVR_MISSING_OK);
        let oid = pg_sys::RangeVarGetRelidExtended((*stmt).relation, lock, flags, None, std::ptr::null_mut());
        if oid == pg_sys::InvalidOid || !tam::is_tview(oid) {
            return false;
        }
        make_these_current(BTreeSet::from([oid.to_u32()]));
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        if !sees(oid, pg_sys::GetActiveSnapshot()) {
            Error::Recomputed(name::bare(oid)).raise();
        }
        true
    }
}

/// Brings the TVIEWs of a range table up to date; returns whether something was done.
///
/// # Safety
/// `rtable` is null or a live list of nodes.
unsafe fn make_current(rtable: *mut pg_sys::List) -> bool {
    // SAFETY: `rtable` is null or a live list of nodes.
    unsafe {
        if flush::running() || !catalog::installed() {
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
        make_these_current(read)
    }
}

fn make_these_current(read: BTreeSet<u32>) -> bool {
    if read.is_empty() {
        return false;
    }
    // SAFETY: plain getter.
    let may_write = !unsafe { pg_sys::IsInParallelMode() };
    let mut done = may_write && !fault::on(Fault::SkipFlushBeforeReads) && flush::flush_for_read(&read);
    for oid in read.into_iter().map(pg_sys::Oid::from).filter(|oid| is_lost(*oid)) {
        if !may_write {
            lost_in_parallel(oid);
        }
        done |= or_raise(lost::recover(oid));
    }
    done
}

fn lost_in_parallel(oid: pg_sys::Oid) -> ! {
    Error::WrongState {
        what: format!("TVIEW \"{}\" has to be computed anew, which a parallel query cannot do", name::bare(oid)),
        hint: Some("Read it once by itself, or wait for the recovery that tviews.progress shows.".into()),
    }
    .raise()
}

/// Whether a relation was created in this transaction: a TVIEW that is not complete yet is not looked at.
fn is_new(relid: pg_sys::Oid) -> bool {
    // SAFETY: an open relation.
    Relation::open(relid, pg_sys::AccessShareLock).is_none_or(|rel| unsafe { (*rel.raw()).rd_createSubid } != 0)
}

fn is_lost(relid: pg_sys::Oid) -> bool {
    let Some(rel) = Relation::open(relid, pg_sys::AccessShareLock) else { return false };
    // SAFETY: plain getter.
    rel.class().relispopulated && !unsafe { pg_sys::RecoveryInProgress() } && !sentinel::alive(relid, rel.class())
}
