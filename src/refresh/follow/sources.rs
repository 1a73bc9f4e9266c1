//! The tables that a TVIEW reads, kept as the snapshots of its maintenance know them.
//!
//! A table that another transaction writes anew can seem empty to a snapshot from before (pg/moved.rs). The tables that a TVIEW names are locked before
//! snapshots are taken, so that nobody does this in between. Partitions and children are locked by the server as they are read, which can be later than the
//! snapshot: they are looked at afterwards, when something about one of them has changed meanwhile. A snapshot that was there before, of a
//! transaction that keeps it or of a refresh, may know none of the tables as they are, so all of them are looked at. Invariant: what was read between `hold` and
//! `confirm` is what the snapshots show; otherwise one of them is error 40001. Called by flush, population and verification.

use crate::catalog::cache;
use crate::pg::error::{Error, Result};
use crate::pg::snapshot::{self, Active, Fixed};
use crate::pg::syscatalog::{INHERITS_BY_CHILD, INHERITS_PARENT};
use crate::pg::{ext, moved, name, together};
use pgrx::pg_sys;
use smallvec::SmallVec;
use std::collections::BTreeSet;

/// The tables are locked.
pub struct Held<'a> {
    tables: &'a BTreeSet<u32>,
    /// A snapshot that is not newer than any that the tables are read with; null when nothing can be missed.
    oldest: pg_sys::Snapshot,
}

/// Locks the tables that a TVIEW names. `keep`: they are read with the snapshot of the transaction.
pub fn hold(tables: &BTreeSet<u32>, keep: bool) -> Result<Held<'_>> {
    together::lock_to_read(&tables.iter().map(|relid| pg_sys::Oid::from(*relid)).collect::<SmallVec<[_; 8]>>());
    let is_old = keep || Fixed::is();
    if !is_old && !tables.iter().any(|relid| has_children(*relid)) {
        return Ok(Held { tables, oldest: std::ptr::null_mut() });
    }
    let active = if keep { Active::of_transaction() } else { Active::latest() };
    // SAFETY: active until here, registered until `confirm` or the end of the transaction.
    let held = Held { tables, oldest: unsafe { pg_sys::RegisterSnapshot(active.raw()) } };
    drop(active);
    if is_old {
        held.look_at(&tables.iter().flat_map(|relid| tree(*relid)).collect::<Vec<_>>())?;
    }
    Ok(held)
}

impl Held<'_> {
    /// After the tables have been read: whether they were what they seemed to be.
    pub fn confirm(mut self) -> Result<()> {
        if self.oldest.is_null() {
            return Ok(());
        }
        match cache::recent() {
            Some(few) => self.look_at(&few.into_iter().filter(|relid| self.is_below(*relid)).collect::<Vec<_>>())?,
            None => self.look_at(&self.tables.iter().flat_map(|relid| tree(*relid)).collect::<Vec<_>>())?,
        }
        // SAFETY: registered by `hold`.
        unsafe { pg_sys::UnregisterSnapshot(std::mem::replace(&mut self.oldest, std::ptr::null_mut())) };
        Ok(())
    }

    fn look_at(&self, relids: &[u32]) -> Result<()> {
        let relids = relids.iter().map(|relid| pg_sys::Oid::from(*relid));
        // SAFETY: the snapshot is registered.
        match relids.into_iter().find(|relid| unsafe { moved::since(*relid, self.oldest) }) {
            Some(relid) => Err(Error::Rewritten(name::bare(relid))),
            None => Ok(()),
        }
    }

    /// Whether a relation is one of the tables, or below one.
    fn is_below(&self, relid: u32) -> bool {
        let mut above = vec![relid];
        while let Some(relid) = above.pop() {
            if self.tables.contains(&relid) {
                return true;
            }
            let parents = INHERITS_BY_CHILD.find(&[pg_sys::Oid::from(relid)], &[INHERITS_PARENT]);
            above.extend(parents.into_iter().flatten().map(|parent| parent.to_u32()));
        }
        false
    }
}

fn tree(relid: u32) -> Vec<u32> {
    ext::find_all_inheritors(pg_sys::Oid::from(relid), pg_sys::NoLock as i32).into_iter().map(|r| r.to_u32()).collect()
}

fn has_children(relid: u32) -> bool {
    // SAFETY: a look-up in a system cache.
    unsafe { pg_sys::has_subclass(pg_sys::Oid::from(relid)) }
}

/// Whether what is read now is read with a snapshot that the transaction keeps.
pub fn reads_kept_snapshot() -> bool {
    !Fixed::is() && snapshot::transaction_keeps_its_snapshot()
}
