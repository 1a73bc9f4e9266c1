//! Rows by index, on a page that is pruned when it has to be.
//!
//! heap prunes the page that an index scan turns to when less than a tenth of it is free (heapam_index_fetch_tuple in heapam_handler.c,
//! heap_page_prune_opt in pruneheap.c). Totals of many small groups share a page, and each flush leaves one dead version there: the page would be pruned
//! by each flush, which costs more than all else that a look-up does. Here the page is read first, so that heap does not turn to it, and pruned when
//! a further version of the row would not fit. Invariant: heap finds the row, and heap prunes the page; only when is decided here. Called by PostgreSQL.

use super::heap::heap_callback;
use pgrx::pg_sys;

mod raw {
    use pgrx::pg_sys;
    unsafe extern "C-unwind" {
        pub fn ReleaseAndReadBuffer(
            buffer: pg_sys::Buffer,
            relation: pg_sys::Relation,
            block: pg_sys::BlockNumber,
        ) -> pg_sys::Buffer;
        pub fn heap_page_prune_opt(relation: pg_sys::Relation, buffer: pg_sys::Buffer);
    }
}

/// heapam_index_fetch_tuple, after the page is read, and pruned when it has to be.
#[allow(ffi_unwind_calls)] // the frame has no destructors
pub unsafe extern "C-unwind" fn index_fetch_tuple(
    scan: *mut pg_sys::IndexFetchTableData,
    tid: pg_sys::ItemPointer,
    snapshot: pg_sys::Snapshot,
    slot: *mut pg_sys::TupleTableSlot,
    call_again: *mut bool,
    all_dead: *mut bool,
) -> bool {
    // SAFETY: the arguments of the callback; heap began the scan (index_fetch_begin is heap's), and holds the pin on the page.
    unsafe {
        if !*call_again {
            let of_heap = scan.cast::<pg_sys::IndexFetchHeapData>();
            let before = (*of_heap).xs_cbuf;
            let (block, _) = pgrx::itemptr::item_pointer_get_both(*tid);
            (*of_heap).xs_cbuf = raw::ReleaseAndReadBuffer(before, (*scan).rel, block);
            if (*of_heap).xs_cbuf != before && !has_room((*of_heap).xs_cbuf, tid) {
                raw::heap_page_prune_opt((*scan).rel, (*of_heap).xs_cbuf);
            }
        }
        heap_callback!(index_fetch_tuple(scan, tid, snapshot, slot, call_again, all_dead))
    }
}

/// Whether a further version of the row fits on its page. Looked at without a lock, as heap_page_prune_opt does: it is about when to prune.
///
/// # Safety
/// The page is pinned; `tid` is on it.
unsafe fn has_room(buffer: pg_sys::Buffer, tid: pg_sys::ItemPointer) -> bool {
    // SAFETY: a pinned page stays where it is; numbers of lines are looked at only below its pd_lower.
    unsafe {
        // Of a shared buffer: a TVIEW is never temporary. Source: storage/bufmgr.h, BufferGetBlock.
        if buffer < 1 {
            return false;
        }
        let page = pg_sys::BufferBlocks.cast::<u8>().add((buffer as usize - 1) * pg_sys::BLCKSZ as usize);
        let header = page.cast::<pg_sys::PageHeaderData>();
        let (lower, upper) = (usize::from((*header).pd_lower), usize::from((*header).pd_upper));
        let lines = std::mem::offset_of!(pg_sys::PageHeaderData, pd_linp);
        let line = |number: u32| {
            let at = lines + (number as usize - 1) * size_of::<pg_sys::ItemIdData>();
            (number > 0 && at < lower).then(|| page.add(at).cast::<pg_sys::ItemIdData>().read())
        };
        let number = u32::from((*tid).ip_posid);
        // A version that was pruned away is a number, the one of the version that took its place.
        let version =
            line(number).and_then(|l| if l.lp_flags() == pg_sys::LP_REDIRECT { line(l.lp_off()) } else { Some(l) });
        let length = version.map_or(0, |l| l.lp_len() as usize);
        let is_full = u32::from((*header).pd_flags) & pg_sys::PD_PAGE_FULL != 0;
        !is_full
            && length > 0
            && upper.saturating_sub(lower) >= length.next_multiple_of(8) + size_of::<pg_sys::ItemIdData>()
    }
}
