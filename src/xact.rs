//! The ends of transactions and sub-transactions: the only callbacks, and the statics that they reset.
//!
//! Invariant: after a transaction has ended, nothing of it is left in the library. Work is done before the end (PRE_COMMIT, PRE_PREPARE),
//! where it can fail. At the end itself, commit or abort, nothing is read, written, looked up or allocated by the server: values are
//! forgotten, files and memory go with the transaction's own memory context and resource owner. When the process exits, nothing is done at all.
//!
//! Every static of the library, and when it is reset:
//!
//! | static | what | commit, prepare | abort | release of a savepoint | rollback to it |
//! |---|---|---|---|---|---|
//! | queue `QUEUE`, `APPLIED`, `AGAIN`, `LOGGED` | pending changes | emptied by the flush | reset | level below | undone |
//! | wal/plugin `SINK` | what the process that reads WAL has decoded | not transactional | | | |
//! | log/write `CACHE` | where relations are logged | by invalidation | | | |
//! | log/write `PARTS` | parts of the log that the transaction has written | reset | reset | | (a number that is left out is harmless) |
//! | pg/snapshot `FIXED` | a refresh reads with one snapshot | its guard | its guard | | its guard |
//! | schedule/database `OWN` | a database whose workers are kept off | they may come | they may come | | (they come at the end) |
//! | queue `CHANGED` | when the last change was queued | reset | reset | | (shown only while changes are pending) |
//! | queue/suspension `SUSPENDED` | how often TVIEWs are suspended | reset | reset | level below | undone |
//! | queue/in_flight `OPEN` | statements that write | reset | reset | level below | undone |
//! | queue/spill `DEAD` | files to be closed | closed before | reset | | |
//! | refresh/flush `RUNNING`, `LEVEL` | a flush is on the stack | reset | reset | | reset by the flush's own level |
//! | analyze/query/printed `NO_TEXT` | only decisions are wanted | its guard | its guard | | its guard |
//! | analyze/query/printed `UNWRITTEN` | a count | not transactional | | | |
//! | refresh/flush/deferred `FOREIGN` | a refresh may read foreign tables | its guard | its guard | | its guard |
//! | build/progress `OWN` | the place where a population is shown | its guard | its guard | | its guard |
//! | refresh/flush/defining `OPEN` | TVIEWs that the statement defines anew | its guard | its guard | | its guard |
//! | refresh/follow/job `MUCH` | memory is to be given back | used before | reset | | |
//! | refresh/flush `LAST` | last flush's command | reset | reset | | (too late is harmless) |
//! | refresh/follow/base `BASES` | commands of flushes | reset | reset | level below | undone |
//! | refresh/follow/provisional `WRITTEN` | keys to look at again | reset | reset | | (too many are harmless) |
//! | capture/srf `OFFER` | change rows for the flush's SQL | guard of the flush | reset | | as `RUNNING` |
//! | pg/explain `OPEN` (before 18) | EXPLAIN ANALYZEs under way | | reset | level below | undone |
//! | pg/started `STARTED` | executors of our own plans | their guards | their guards, reset | | their guards |
//! | capture/install `TRIAL` | a trial is on the stack | its guard | its guard | | its guard |
//! | hook/functions `CALLERS` | TVIEWs that call a function that changes | used by the statement | (looked at for nothing) | | (the same) |
//! | capture/freed `FREED` | triggers to take off | used by the statement | reset | level below | undone |
//! | pg/callback `POSITION`, `FLUSHING` | context for error reports | reset | reset | | as `RUNNING` |
//! | pg/original `KEPT`, `OF_USER` | the error on its way | reset | reset | | (inside of its transaction) |
//! | pg/pinned `UNSET` | settings are those of the session | its guard | its guard, reset | | as `RUNNING` |
//! | pg/callees `ALLOWED` | functions that our own SQL may call | their guards | their guards, reset | | their guards |
//! | feed `FEED` | rows that have changed | reset | reset | level below | undone |
//! | pg/memory `LEFT` | arenas that errors have left | deleted by the next one | | | |
//! | pg/row_hash `HASHER` | keys of hashes | kept | kept | | |
//! | pg/ending `ENDING` | this module runs | | | | |
//! | pg/reserve `BLOCK`, `USED` | memory put by for errors | put by again when work begins | | | |
//! | pg/allocator `FREE` | free pieces of memory | kept | kept | | |
//! | tam/switch `STACK` | TVIEWs shown as heap | | undone | level below | undone |
//! | catalog/cache `RECENT` | relations that were invalidated | reset | reset | | (too many are harmless) |
//! | catalog/sentinel `ALIVE` | contents that survived | kept | reset | | reset |
//! | catalog/cache, refresh/plan (tview, graph, privileges), capture/route | caches: `GENERATION`, `RIGHTS`, `WATCHED`, `SUSPECTED`, `INVALIDATIONS`, `CACHE`, `COMPLETE`; refresh/flush `NAMES` | by invalidation | | | |
//! | counters `WAITED`, `OWN` | counters | not transactional | | | |
//! | counters/trace `TRACED`, `WRITING` | what flushes did, for who asks | its guard | its guard | | its guard |
//! | hook `NEXT…`, `ID`, pg/shmem `SIZE`, `AREA`, `LOCK`, `FIRST`, `LAST`, tam `PRELOADED`, `ROUTINE`, `HEAP`, syntax `TRAMPOLINE`, settings, pg/fault `FAULT`, refresh/follow/rows `ONE`, pg/values `HASHES`, pg/allocator `ALLOCATOR` | set once | | | | |

use crate::capture::freed;
use crate::catalog::{cache, sentinel};
use crate::feed;
use crate::log::write;
use crate::pg::callback::{self, Frame};
use crate::pg::error::{Error, or_raise};
#[cfg(not(feature = "since_18"))]
use crate::pg::explain;
use crate::pg::fault::{self, Fault};
use crate::pg::timeout::Limit;
use crate::pg::{callees, ending, original, reserve, silent, started};
use crate::queue::{self, in_flight, spill, suspension};
use crate::refresh::flush;
use crate::refresh::follow::base;
use crate::schedule::database;
use crate::tam::switch;
use pgrx::{pg_guard, pg_sys};
use std::ffi::c_void;

pub fn init() {
    // SAFETY: callbacks live as long as the library, which is never unloaded.
    unsafe {
        pg_sys::RegisterXactCallback(Some(xact_callback), std::ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(subxact_callback), std::ptr::null_mut());
    }
}

/// Not guarded itself: it only keeps the error context frame, see pg/callback.rs.
unsafe extern "C-unwind" fn xact_callback(event: pg_sys::XactEvent::Type, _arg: *mut c_void) {
    // SAFETY: called by the server, once for each event, in the order that `xact.c` says.
    unsafe {
        use pg_sys::XactEvent::*;
        if ending::process_exits() {
            return;
        }
        match event {
            XACT_EVENT_PRE_COMMIT | XACT_EVENT_PRE_PREPARE => {
                let mut frame = Frame::new();
                frame.push(std::ptr::null());
                if !queue::is_settled() {
                    reserve::require();
                }
                let error = before_commit(event == XACT_EVENT_PRE_PREPARE);
                frame.pop();
                original::rethrow(error);
            }
            XACT_EVENT_COMMIT => ending::during(|| end(false)),
            // a prepared transaction may still be rolled back
            XACT_EVENT_ABORT | XACT_EVENT_PREPARE => ending::during(|| end(true)),
            XACT_EVENT_PARALLEL_ABORT => switch::sub_abort(0),
            _ => {}
        }
    }
}

/// Flushes before commit or prepare: the last moment at which the library can run SQL.
#[pg_guard]
unsafe extern "C-unwind" fn before_commit(prepare: bool) -> *mut pg_sys::ErrorData {
    if prepare && fault::on(Fault::LosePrepared) {
        return std::ptr::null_mut();
    }
    original::shield(|| {
        if !queue::is_followed() {
            let _limit = Limit::of_statement();
            flush::flush(flush::Moment::Commit);
            if !queue::is_followed() {
                Error::Internal("changes are left behind the last flush".into()).raise();
            }
        }
        write::write();
        queue::reset();
        flush::settled();
        spill::bury();
        or_raise(feed::announce(prepare));
    })
}

/// `undone`: the transaction's writes are undone, or may be.
fn end(undone: bool) {
    queue::reset();
    suspension::reset();
    in_flight::reset();
    flush::end_of_transaction();
    freed::reset();
    callback::forget();
    started::reset();
    callees::reset();
    original::take();
    cache::forget_recent();
    spill::reset();
    feed::reset();
    write::reset();
    database::end(undone);
    #[cfg(not(feature = "since_18"))]
    explain::open::reset();
    if undone {
        switch::sub_abort(0);
        sentinel::forget();
    }
}

unsafe extern "C-unwind" fn subxact_callback(
    event: pg_sys::SubXactEvent::Type,
    _sub: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _arg: *mut c_void,
) {
    // SAFETY: called by the server, once for each event, in the order that `xact.c` says.
    unsafe {
        use pg_sys::SubXactEvent::*;
        if ending::process_exits() || event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB {
            return;
        }
        // still the level of the sub-transaction
        let level = silent::GetCurrentTransactionNestLevel() as u32;
        ending::during(|| if event == SUBXACT_EVENT_COMMIT_SUB { released(level) } else { rolled_back(level) });
    }
}

fn released(level: u32) {
    queue::sub_commit(level);
    suspension::sub_commit(level);
    in_flight::sub_commit(level);
    base::sub_commit(level);
    freed::sub_commit(level);
    switch::sub_commit(level);
    feed::sub_commit(level);
    #[cfg(not(feature = "since_18"))]
    explain::open::sub_commit(level);
}

fn rolled_back(level: u32) {
    queue::sub_abort(level);
    suspension::sub_abort(level);
    in_flight::sub_abort(level);
    base::sub_abort(level);
    flush::end_of_subtransaction(level);
    freed::sub_abort(level);
    switch::sub_abort(level);
    feed::sub_abort(level);
    #[cfg(not(feature = "since_18"))]
    explain::open::sub_abort(level);
    sentinel::forget();
}
