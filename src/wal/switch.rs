//! From triggers to WAL, and back.
//!
//! Invariant: a switch locks the inheritance tree of the relation against writers, and the position in WAL at that moment divides changes between the
//! two ways (`Span`). A transaction that has written to the relation holds a lock on it until it ends, so it has written in one way only, but for the
//! one that switches, whose changes are divided by their records. To WAL only the worker switches, in a transaction that does nothing else, and with
//! readers locked out, too: a refresh finds a relation captured by triggers until it has ended.

use super::{fit, slot};
use crate::capture::install::{self, covering};
use crate::catalog::logs;
use crate::catalog::wal::{self, Span};
use crate::pg::error::Result;
use crate::pg::relation::{Relation, class_of};
use crate::pg::{ext, name};
use crate::queue;
use crate::queue::changes::ChangeSet;
use pgrx::pg_sys;
use std::collections::BTreeSet;
use std::ffi::CString;

/// Lets WAL have the changes of a relation from now on; false when it does not fit any more.
pub fn to_wal(source: pg_sys::Oid) -> Result<bool> {
    lock(source, pg_sys::AccessExclusiveLock);
    if logs::of(source).is_none() || wal::of(source).is_some() || fit::unfit(source).is_some() {
        return Ok(false);
    }
    wal::put(&Span { source, begins: slot::end_of_wal(), ends: None })?;
    install::uninstall(source);
    Ok(true)
}

/// Lets triggers have the changes of a relation from now on. What is before in WAL still comes from there.
pub fn to_triggers(source: pg_sys::Oid) -> Result<()> {
    lock(source, pg_sys::ShareRowExclusiveLock);
    let Some(span) = wal::of(source).filter(|span| span.ends.is_none()) else { return Ok(()) };
    install::install(source)?;
    wal::put(&Span { ends: Some(slot::end_of_wal()), ..span })
}

/// Lets triggers have the changes of a relation from now on, where WAL is lost: all that read it compute their contents anew.
pub fn give_up(source: pg_sys::Oid) -> Result<()> {
    lock(source, pg_sys::ShareRowExclusiveLock);
    install::install(source)?;
    wal::remove(source);
    queue::log(source.to_u32(), ChangeSet::set_everything);
    Ok(())
}

/// Takes triggers off that a statement has made for who does not need them any more.
pub fn settle(source: pg_sys::Oid) {
    lock(source, pg_sys::AccessExclusiveLock);
    install::uninstall(source);
}

/// Whether `settle` would take something off. Takes no locks that it would have to wait for.
pub fn is_settled(source: pg_sys::Oid, needing: &BTreeSet<u32>) -> bool {
    !covering(source).into_iter().map(pg_sys::Oid::from).any(|relid| {
        if !class_of(relid).is_some_and(|class| class.relhastriggers) || install::needs(relid, needing) {
            return false;
        }
        // SAFETY: asks for the lock without waiting.
        let is_locked = unsafe { pg_sys::ConditionalLockRelationOid(relid, pg_sys::AccessShareLock as i32) };
        is_locked && Relation::open(relid, pg_sys::NoLock).is_some_and(|rel| !install::installed(&rel).is_empty())
    })
}

/// After DDL in the inheritance tree of a relation: rows of unlogged tables are not in WAL.
pub fn follow_tree(source: pg_sys::Oid) -> Result<()> {
    if wal::captures(source) && fit::has_unlogged(source) {
        to_triggers(source)?;
    }
    Ok(())
}

/// Locks of the whole tree, in one order.
fn lock(source: pg_sys::Oid, mode: u32) {
    for relid in covering(source) {
        // SAFETY: an existing relation, or a lock that is for nothing.
        unsafe { pg_sys::LockRelationOid(pg_sys::Oid::from(relid), mode as i32) };
    }
}

/// Tells listeners on channel `tviews_alert`, and the log.
pub fn alert(relation: Option<pg_sys::Oid>, event: &str) {
    let slot = name::json(&slot::name().to_string_lossy());
    let table = relation.and_then(name::relation).unwrap_or_default();
    let table = if table.is_empty() { String::new() } else { format!("\"table\": {}, ", name::json(&table)) };
    let payload = format!("{{{table}\"slot\": {slot}, \"event\": {}}}", name::json(event));
    pgrx::log!("capture from WAL: {event}: {payload}");
    if let Ok(payload) = CString::new(payload) {
        // SAFETY: inside a transaction; both texts are copied.
        unsafe { ext::notify(c"tviews_alert", &payload) };
    }
}
