//! The relations that changes are logged in, two for each relation that deferred TVIEWs read.
//!
//! A row of a log is a row image (queue/changes.rs) with its weight, the transaction that wrote it, and the part of that transaction's writing. An
//! image is the same bytes from one version of the server to the next, as rows of a table are. Logs are materialized views that nobody refreshes, for
//! the reasons of the extension's own tables (sql/parts/schema.sql), in the schema that pg_dump takes for one of the server's.
//! Invariant: a log is WAL-logged when a TVIEW that is WAL-logged reads it; otherwise a crash empties the log and its readers together. Logs go
//! when no deferred TVIEW reads the relation any more, which may be gone itself; not by a dependency, which event triggers of users would see.
//! Called by build and by hook, with writers of the relation locked out.

use crate::catalog::logs::{self, Log};
use crate::catalog::stages::SCHEMA;
use crate::pg::error::Result;
use crate::pg::pinned::Pinned;
use crate::pg::relation::Relation;
use crate::pg::snapshot::Active;
use crate::pg::{ddl, ext};
use crate::tam::storage;
use pgrx::pg_sys;
use std::ffi::CString;

/// Numbers of a log's columns, from 0.
pub const XID: usize = 0;
/// When it was written, shortly before its transaction committed: for how far a TVIEW is behind.
pub const AT: usize = 1;
/// NULL: contents have changed in a way that has no rows, such as TRUNCATE.
pub const WEIGHT: usize = 2;
pub const PART: usize = 3;
pub const IMAGE: usize = 4;
pub const COLUMNS: usize = 5;

const QUERY: &str = "SELECT NULL::pg_catalog.xid8, NULL::pg_catalog.timestamptz, NULL::pg_catalog.int8, NULL::pg_catalog.int4, \
                     NULL::pg_catalog.bytea WHERE false";

/// Gives a relation logs, WAL-logged if `logged`. Logs that are there stay, and their rows with them.
pub fn ensure(source: pg_sys::Oid, logged: bool) -> Result<()> {
    let persistence = if logged { pg_sys::RELPERSISTENCE_PERMANENT } else { pg_sys::RELPERSISTENCE_UNLOGGED };
    let known = logs::of(source);
    if let Some(log) = &known {
        let kept = log.both.iter().all(|relid| {
            Relation::open(*relid, pg_sys::AccessShareLock)
                .is_some_and(|rel| !logged || rel.class().relpersistence as u8 == persistence)
        });
        if kept {
            return Ok(());
        }
    }
    let log = Log { source, both: [create(source, 1, persistence)?, create(source, 2, persistence)?], writes: 0 };
    if let Some(old) = known {
        // Against who writes what is read from WAL: writers of the relation are locked out already.
        let locked = old.both.map(|relid| Relation::open(relid, pg_sys::AccessExclusiveLock));
        std::mem::drop(locked);
        for (from, to) in old.both.into_iter().zip(log.both) {
            copy(from, to);
        }
        drop_logs(&old);
    }
    logs::put(&log)
}

/// Drops the logs of a relation.
pub fn drop(source: pg_sys::Oid) {
    if let Some(log) = logs::of(source) {
        drop_logs(&log);
        logs::remove(source);
    }
}

fn drop_logs(log: &Log) {
    for relid in log.both {
        if Relation::open(relid, pg_sys::AccessExclusiveLock).is_none() {
            continue;
        }
        // SAFETY: the log exists and is locked.
        unsafe {
            let object = pg_sys::ObjectAddress { classId: pg_sys::RelationRelationId, objectId: relid, objectSubId: 0 };
            let restrict = pg_sys::DropBehavior::DROP_RESTRICT;
            // Rows of catalogs that may have been toasted are deleted under a snapshot.
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
            pg_sys::performDeletion(&object, restrict, pg_sys::PERFORM_DELETION_INTERNAL as i32);
            pg_sys::PopActiveSnapshot();
            pg_sys::CommandCounterIncrement();
        }
    }
}

fn create(source: pg_sys::Oid, number: i32, persistence: u8) -> Result<pg_sys::Oid> {
    // SAFETY: the text is one SELECT; the relation is new, and nobody else sees it.
    unsafe {
        let schema = pg_sys::get_namespace_oid(SCHEMA.as_ptr(), false);
        // Another one may have the name until it is dropped.
        let name = (0u32..)
            .map(|n| {
                format!("log_{}_{number}{}", source.to_u32(), if n == 0 { String::new() } else { format!("_{n}") })
            })
            .filter_map(|name| CString::new(name).ok())
            .find(|name| pg_sys::get_relname_relid(name.as_ptr(), schema) == pg_sys::InvalidOid)
            .unwrap_or_default();
        let owner = ext::namespace_owner(schema);
        let _pinned = Pinned::new(owner);
        let query = ddl::analyze(QUERY)?;
        let heap = pg_sys::HEAP_TABLE_AM_OID;
        // Unlogged from its second storage on: the heap makes no unlogged materialized view by itself.
        let permanent = pg_sys::RELPERSISTENCE_PERMANENT;
        let relid =
            ddl::create_matview((schema, pg_sys::InvalidOid), permanent, (&name, &[]), owner, heap, &[], query)?;
        let rel = pg_sys::relation_open(relid, pg_sys::NoLock as i32);
        if persistence != permanent {
            storage::replace_storage(rel, persistence);
        }
        ext::set_matview_populated(rel, true);
        pg_sys::relation_close(rel, pg_sys::NoLock as i32);
        pg_sys::CommandCounterIncrement();
        Ok(relid)
    }
}

/// Shows the rows of a log that a snapshot sees.
///
/// # Safety
/// The log is open, and the snapshot is active.
pub unsafe fn scan(log: &Relation, snapshot: pg_sys::Snapshot, show: impl FnMut(pg_sys::HeapTuple)) {
    // SAFETY: as the caller promises.
    unsafe { scan_pages(log, snapshot, None, show) }
}

/// The same for those on one page.
///
/// # Safety
/// The log is open and has the page, and the snapshot is active.
pub unsafe fn scan_page(log: &Relation, snapshot: pg_sys::Snapshot, page: u32, show: impl FnMut(pg_sys::HeapTuple)) {
    // SAFETY: as the caller promises.
    unsafe { scan_pages(log, snapshot, Some(page), show) }
}

/// Source: access/heap/heapam.c, access/tableam.h.
///
/// # Safety
/// The log is open and has the page, and the snapshot is active.
unsafe fn scan_pages(
    log: &Relation,
    snapshot: pg_sys::Snapshot,
    page: Option<u32>,
    mut show: impl FnMut(pg_sys::HeapTuple),
) {
    use pg_sys::ScanOptions::{SO_ALLOW_PAGEMODE, SO_ALLOW_STRAT, SO_TYPE_SEQSCAN};
    // SAFETY: as the caller promises; a tuple is shown before the next one is fetched.
    unsafe {
        let null = std::ptr::null_mut();
        let flags = SO_TYPE_SEQSCAN | SO_ALLOW_STRAT | SO_ALLOW_PAGEMODE;
        let scan = pg_sys::heap_beginscan(log.raw(), snapshot, 0, std::ptr::null_mut(), null, flags);
        if let Some(page) = page {
            pg_sys::heap_setscanlimits(scan, page, 1);
        }
        loop {
            let tuple = pg_sys::heap_getnext(scan, pg_sys::ScanDirection::ForwardScanDirection);
            if tuple.is_null() {
                break;
            }
            show(tuple);
        }
        pg_sys::heap_endscan(scan);
    }
}

/// Whether something is true of every row that was ever written to a log, by the transaction and the part that wrote it: also of rows of
/// transactions that were rolled back, which no snapshot has to be asked for. Rows of one transaction mostly follow each other; each is asked for once.
///
/// # Safety
/// The log is open and locked against writers.
pub unsafe fn every_row(log: &Relation, mut is: impl FnMut(u64, i32) -> bool) -> bool {
    // SAFETY: as the caller promises; a page is pinned while its rows are looked at. Source: storage/bufpage.h.
    unsafe {
        let pages = pg_sys::RelationGetNumberOfBlocksInFork(log.raw(), pg_sys::ForkNumber::MAIN_FORKNUM);
        let (mut last, mut all) = (None, true);
        for number in 0..pages {
            pgrx::check_for_interrupts!();
            let buffer = pg_sys::ReadBuffer(log.raw(), number);
            pg_sys::LockBuffer(buffer, pg_sys::BUFFER_LOCK_SHARE as _);
            // BufferGetPage of a buffer in shared memory, which some bindings have twice. Source: storage/bufmgr.h.
            let page = pg_sys::BufferBlocks.add((buffer - 1) as usize * pg_sys::BLCKSZ as usize);
            let header = std::mem::offset_of!(pg_sys::PageHeaderData, pd_linp);
            let items = page.cast::<u8>().add(header).cast::<pg_sys::ItemIdData>();
            let used = usize::from((*page.cast::<pg_sys::PageHeaderData>()).pd_lower).saturating_sub(header);
            for item in (0..used / size_of::<pg_sys::ItemIdData>()).map(|n| items.add(n)) {
                if (*item).lp_flags() != pg_sys::LP_NORMAL {
                    continue;
                }
                let mut tuple = pg_sys::HeapTupleData {
                    t_len: (*item).lp_len(),
                    t_data: page.cast::<u8>().add((*item).lp_off() as usize).cast(),
                    ..Default::default()
                };
                let value = |column: usize, tuple: &mut pg_sys::HeapTupleData| {
                    let mut null = false;
                    pg_sys::heap_getattr(tuple, column as i32 + 1, log.tupdesc(), &mut null).value()
                };
                let has_null = u32::from((*tuple.t_data).t_infomask) & pg_sys::HEAP_HASNULL != 0;
                let written_by = if has_null {
                    (value(XID, &mut tuple) as u64, value(PART, &mut tuple) as i32)
                } else {
                    // In front of the image all columns have their places: 8, 8, 8 and 4 bytes.
                    let row = tuple.t_data.cast::<u8>().add(usize::from((*tuple.t_data).t_hoff));
                    (row.cast::<u64>().read(), row.add(24).cast::<i32>().read())
                };
                if last != Some(written_by) {
                    all = is(written_by.0, written_by.1);
                    last = Some(written_by);
                }
                if !all {
                    break;
                }
            }
            pg_sys::UnlockReleaseBuffer(buffer);
            if !all {
                return false;
            }
        }
        true
    }
}

/// Copies the rows of one log into another one.
fn copy(from: pg_sys::Oid, to: pg_sys::Oid) {
    let (Some(from), Some(to)) =
        (Relation::open(from, pg_sys::AccessShareLock), Relation::open(to, pg_sys::RowExclusiveLock))
    else {
        return;
    };
    // SAFETY: both have the row type of logs; the scan ends before its snapshot; rows are copied while the scan shows them.
    unsafe {
        let snapshot = Active::latest();
        scan(&from, snapshot.raw(), |tuple| {
            let copied = pg_sys::heap_copytuple(tuple);
            pg_sys::simple_heap_insert(to.raw(), copied);
            pg_sys::heap_freetuple(copied);
        });
    }
}
