//! Whether this transaction has itself changed a relation that is captured from WAL.
//!
//! Such changes are in no log before the transaction has committed, and then all at once: a TVIEW that is brought up to date inside of the transaction
//! has those from before. Limitation first: a superuser who switches track_counts off for a statement that writes, and on again before the refresh,
//! is not noticed.
//! Source: utils/activity/pgstat_relation.c: the counts of a relation that the transaction has changed have an entry for each level of
//! sub-transaction that did, which a rollback takes away.

use crate::pg::ext;
use crate::pg::fault::{self, Fault};
use crate::pg::relation::Relation;
use pgrx::pg_sys;

/// Whether rows of the relation, or of one below it, were changed by what this transaction will commit.
pub fn has_changed(source: pg_sys::Oid) -> bool {
    if fault::on(Fault::ForgetOwnFromWal) {
        return false;
    }
    // SAFETY: plain getters.
    unsafe {
        if pg_sys::GetTopTransactionIdIfAny() == pg_sys::InvalidTransactionId {
            return false;
        }
        if !pg_sys::pgstat_track_counts {
            return true;
        }
    }
    ext::find_all_inheritors(source, pg_sys::NoLock as i32).into_iter().any(|relid| {
        let Some(rel) = Relation::open(relid, pg_sys::AccessShareLock) else { return false };
        // SAFETY: open; the entry of a relation that is counted is made, or found, as before a row is counted.
        unsafe {
            let rel = rel.raw();
            if !(*rel).pgstat_enabled {
                return true;
            }
            if (*rel).pgstat_info.is_null() {
                pg_sys::pgstat_assoc_relation(rel);
            }
            !(*(*rel).pgstat_info).trans.is_null()
        }
    })
}
