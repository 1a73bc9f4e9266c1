//! The changes of a relation that a TVIEW has not followed.
//!
//! Invariant: these are the rows of both logs that the snapshot sees and the frontier does not have (tviews_core::frontier), summed; and they lead
//! from the relation as the TVIEW has it to the relation as the snapshot sees it.

use super::relation::{IMAGE, PART, WEIGHT, XID, scan};
use super::write;
use crate::catalog::logs;
use crate::pg::relation::Relation;
use crate::queue::changes::ChangeSet;
use pgrx::pg_sys;
use tviews_core::frontier::Frontier;

/// The transactions that a snapshot sees, and what its own transaction has logged by now. Source: utils/adt/xid8funcs.c, pg_current_snapshot.
///
/// # Safety
/// The snapshot is active.
pub unsafe fn frontier(snapshot: pg_sys::Snapshot) -> Frontier {
    // SAFETY: as the caller promises.
    unsafe {
        let next = pg_sys::ReadNextFullTransactionId().value;
        // Numbers of transactions in a snapshot are below the next one, and not by half of all numbers.
        let widen = |xid: pg_sys::TransactionId| {
            let behind = (next as u32).wrapping_sub(xid.into_inner());
            next.saturating_sub(u64::from(behind))
        };
        let snapshot = &*snapshot;
        let running = (0..snapshot.xcnt as usize).map(|i| widen(*snapshot.xip.add(i))).collect();
        let own = pg_sys::GetTopFullTransactionIdIfAny().value;
        let own = (own != 0).then(|| (own, write::parts()));
        Frontier::new(widen(snapshot.xmin), widen(snapshot.xmax), running, own)
    }
}

/// Keeps the logs of a relation from being emptied until the transaction ends.
pub fn hold(source: pg_sys::Oid) {
    for relid in logs::of(source).map_or([pg_sys::InvalidOid; 2], |log| log.both) {
        drop(Relation::open(relid, pg_sys::AccessShareLock));
    }
}

/// The changes that the frontier does not have and the snapshot sees.
///
/// # Safety
/// The snapshot is active.
pub unsafe fn changes(source: pg_sys::Oid, snapshot: pg_sys::Snapshot, frontier: &Frontier) -> ChangeSet {
    let mut set = ChangeSet::default();
    let Some(log) = logs::of(source) else { return set };
    for rel in log.both.into_iter().filter_map(|relid| Relation::open(relid, pg_sys::AccessShareLock)) {
        let mut image: Vec<u64> = Vec::new();
        // SAFETY: as the caller promises; the tuples are rows of a log.
        unsafe {
            scan(&rel, snapshot, |tuple| {
                let value = |column: usize| {
                    let mut null = false;
                    let value = pg_sys::heap_getattr(tuple, column as i32 + 1, rel.tupdesc(), &mut null);
                    (!null).then_some(value)
                };
                let (Some(xid), Some(part)) = (value(XID), value(PART)) else { return };
                if frontier.has(xid.value() as u64, part.value() as i32) {
                    return;
                }
                let (Some(weight), Some(stored)) = (value(WEIGHT), value(IMAGE)) else { return set.set_everything() };
                let stored = stored.cast_mut_ptr::<pg_sys::varlena>();
                let plain = pg_sys::pg_detoast_datum_packed(stored);
                let bytes = pgrx::varlena_to_byte_slice(plain);
                image.clear();
                image.resize(bytes.len().div_ceil(8), 0);
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), image.as_mut_ptr().cast::<u8>(), bytes.len());
                set.add_image(&image, weight.value() as i64);
                if plain != stored {
                    pg_sys::pfree(plain.cast());
                }
            });
        }
    }
    set
}
