//! VACUUM FULL, CLUSTER and REPACK: heap's copy, made to keep the state attributes.
//!
//! Invariant: whole tuples survive a rewrite. Heap's copy sets attributes that the *target's* descriptor marks as dropped to NULL
//! (heapam_handler.c, reform_and_rewrite_tuple), so the marks are taken off that descriptor for the duration of the copy. Nobody else can
//! see this descriptor: the target is a transient relation of this transaction, which an error takes away together with its descriptor.
//! Called by PostgreSQL (cluster.c, copy_table_data), by scan, through an index, and through a sort.

use pgrx::pg_sys;

use super::heap::heap_callback;
use super::state::visible_attributes;
use crate::pg::tupdesc::set_dropped;

pub unsafe extern "C-unwind" fn relation_copy_for_cluster(
    old: pg_sys::Relation,
    new: pg_sys::Relation,
    index: pg_sys::Relation,
    use_sort: bool,
    oldest_xmin: pg_sys::TransactionId,
    #[cfg(feature = "since_19")] snapshot: pg_sys::Snapshot,
    xid_cutoff: *mut pg_sys::TransactionId,
    multi_cutoff: *mut pg_sys::MultiXactId,
    tuples: *mut f64,
    vacuumed: *mut f64,
    recently_dead: *mut f64,
) {
    // SAFETY: `old`, `new` and `index` are open; `xid_cutoff`, `multi_cutoff`, `tuples`, `vacuumed` and `recently_dead` point to memory of the caller.
    unsafe {
        let desc = (*new).rd_att;
        let state = visible_attributes(desc)..(*desc).natts as usize;
        // A reference of our own: if the cache entry is rebuilt meanwhile, the descriptor seems changed, is replaced, and left to us.
        (*desc).tdrefcount += 1;
        state.clone().for_each(|i| set_dropped(desc, i, false));
        heap_callback!(relation_copy_for_cluster(
            old,
            new,
            index,
            use_sort,
            oldest_xmin,
            #[cfg(feature = "since_19")]
            snapshot,
            xid_cutoff,
            multi_cutoff,
            tuples,
            vacuumed,
            recently_dead
        ));
        state.for_each(|i| set_dropped(desc, i, true));
        (*desc).tdrefcount -= 1;
        if (*desc).tdrefcount == 0 {
            pg_sys::FreeTupleDesc(desc);
        }
    }
}
