//! The last transaction: the relation takes over what its twin has.
//!
//! Invariant: it waits for no lock while it holds one that somebody else may wait for, but for the tables of the query, which it locks first, as
//! writers do: who reads the relation and then writes would wait for it, and it for them. Who uses the relation and then wants more of it than the lock allows that is
//! held all the while waits for ever, and so would this: it ends then, as by a deadlock. Called by build/beside.

use super::{Becomes, twin};
use crate::build::online::{self, Next};
use crate::build::progress::{self, Phase};
use crate::build::{adopt, internal, logs};
use crate::capture::freed::freed;
use crate::catalog::{self, Source, audit, deferred, options, sentinel, stages};
use crate::pg::error::{Error, Result};
use crate::pg::relation::Relation;
use crate::pg::{ext, list, locks, name};
use crate::queue;
use crate::refresh::flush::deferred::{self as refresh, By};
use crate::refresh::flush::defining::Defining;
use crate::refresh::plan::graph;
use crate::tam::exchange::{exchange, have_same_layout, move_index, rename_toast};
use crate::tam::{self, state};
use pgrx::pg_sys::{self, Oid};
use std::ffi::{CStr, CString};
use std::time::Duration;

/// Between two attempts.
const SHORTEST_NAP: Duration = Duration::from_millis(10);
const LONGEST_NAP: Duration = Duration::from_secs(1);
/// So long writers wait for what is read from WAL; then the next attempt begins.
const PATIENCE: Duration = Duration::from_secs(1);

/// Begins in a transaction that has done nothing, and may begin others.
pub fn take(oid: Oid, twin: Oid, becomes: Becomes, next: Next) -> Result<()> {
    let mut nap = SHORTEST_NAP;
    while !lock(oid, twin, next)? {
        progress::at(Phase::WaitingForReaders);
        next();
        if nap >= LONGEST_NAP && locks::is_deadlock(&[oid, twin], &all_of(oid, twin)) {
            return Err(Error::Deadlock(name::bare(oid)));
        }
        pgrx::check_for_interrupts!();
        std::thread::sleep(nap);
        nap = LONGEST_NAP.min(nap * 2);
    }
    progress::at(Phase::Switching);
    refresh::refresh(twin, By::Statement)?;
    let _defining = Defining::new(&[oid, twin]);
    let is_read = becomes == Becomes::Anew && graph::current()?.is_read(oid.to_u32());
    let reached = deferred::reached(twin);
    let mut ours = options::stored(twin);
    ours.set_catching_up(false);
    let mut former = catalog::unregister(oid);
    former.extend(take_sources(oid, twin)?);
    options::store(oid, &ours);
    // What is known of the twin goes while it is a TVIEW.
    sentinel::lower(twin);
    deferred::gone(twin);
    take_contents(oid, twin)?;
    twin::remove(twin);
    // SAFETY: locked; the TOAST table that had the name is gone with the twin.
    unsafe { rename_toast(oid)? };
    // As old as the contents: a snapshot that does not see the one does not see the other.
    sentinel::lower(oid);
    // SAFETY: makes it visible.
    unsafe { pg_sys::CommandCounterIncrement() };
    sentinel::raise(oid)?;
    catalog::invalidate_all();
    match reached.filter(|_| ours.refresh() != options::Refresh::Commit) {
        Some(reached) => deferred::reach(oid, &reached.frontier, reached.at)?,
        None => {
            adopt::follow_otherwise(oid)?;
            refresh::end(oid)?;
        }
    }
    logs::follow(oid)?;
    logs::begin_for_readers(oid)?;
    former.into_iter().for_each(freed);
    if is_read {
        queue::change_everything(oid);
    }
    if becomes == Becomes::Tview {
        audit::note(audit::Operation::Create, oid);
    }
    Ok(())
}

/// Locks writers out, and then all that changes hands; false when somebody has that in use, or WAL has not been read.
fn lock(oid: Oid, twin: Oid, next: Next) -> Result<bool> {
    progress::at(Phase::WaitingForWriters);
    // SAFETY: outside of a transaction block.
    unsafe { logs::await_writers(&logs::tables(twin)?) };
    // What has been written while it waited, here or for readers.
    online::follow(twin, next)?;
    logs::lock_sources(twin)?;
    let all = all_of(oid, twin);
    // SAFETY: existing relations, or locks that are for nothing.
    let are_free = all.into_iter().all(|relid| unsafe { locks::take_if_free(relid, pg_sys::AccessExclusiveLock) });
    Ok(are_free && refresh::is_logged_by_now(twin, PATIENCE)?)
}

/// What changes hands: both, and their stages.
fn all_of(oid: Oid, twin: Oid) -> Vec<Oid> {
    let mut all = vec![oid, twin];
    let mut at = 0;
    while let Some(tview) = all.get(at).copied() {
        all.extend(stages::of(tview));
        at += 1;
    }
    all
}

/// Stages, and the relations that are read; those that the twin has read are returned.
fn take_sources(oid: Oid, twin: Oid) -> Result<Vec<Oid>> {
    internal::drop(oid);
    let class = pg_sys::RelationRelationId;
    let direct = stages::of(twin);
    stages::hand_over(twin, oid)?;
    for (number, stage) in direct.into_iter().enumerate() {
        let label = CString::new(format!("{}_{}", oid.to_u32(), number + 1)).unwrap_or_default();
        // SAFETY: the stage is locked; names of stages that the relation has had are free.
        unsafe {
            pg_sys::changeDependencyFor(class, stage, class, twin, oid);
            pg_sys::CommandCounterIncrement();
            pg_sys::RenameRelationInternal(stage, label.as_ptr(), true, false);
            pg_sys::CommandCounterIncrement();
        }
    }
    let sources = catalog::sources(|s| s.tview == twin).into_iter().map(|s| Source { tview: oid, ..s });
    let sources: Vec<Source> = sources.collect();
    let former = catalog::unregister(twin);
    catalog::register(&sources)?;
    Ok(former)
}

/// State attributes, files, indexes.
fn take_contents(oid: Oid, twin: Oid) -> Result<()> {
    let open = |relid: Oid| Relation::open(relid, pg_sys::NoLock).ok_or(Error::NoRelation(relid.to_u32()));
    let (is_same, is_tview) = {
        let (rel, twin) = (open(oid)?, open(twin)?);
        (have_same_layout(&rel, &twin), tam::is_tview(oid))
    };
    // SAFETY: both are locked ACCESS EXCLUSIVE, and not open.
    unsafe {
        if !is_same {
            state::copy_state_attributes(twin, oid);
            if !have_same_layout(&open(oid)?, &open(twin)?) {
                return Err(Error::Internal(format!("columns of relation {} differ from its twin's", oid.to_u32())));
            }
        }
        let (own, mut new) = (indexes(oid)?, indexes(twin)?);
        exchange(oid, twin)?;
        if !is_tview {
            let method = tam::access_method_oid().unwrap_or(pg_sys::InvalidOid);
            let address = |class, object| pg_sys::ObjectAddress { classId: class, objectId: object, objectSubId: 0 };
            let normal = pg_sys::DependencyType::DEPENDENCY_NORMAL;
            let depends = address(pg_sys::RelationRelationId, oid);
            pg_sys::recordDependencyOn(&depends, &address(pg_sys::AccessMethodRelationId, method), normal);
        }
        for (index, text) in own {
            let Some(at) = new.iter().position(|(_, t)| *t == text) else {
                return Err(Error::Internal(format!("index {} has no twin", index.to_u32())));
            };
            exchange(index, new.remove(at).0)?;
        }
        for (index, _) in new {
            move_index(index, twin, oid, &name_of_index(index, twin, oid));
        }
        let rel = open(oid)?;
        ext::set_matview_populated(rel.raw(), true);
        pg_sys::CommandCounterIncrement();
    }
    Ok(())
}

/// The indexes of a relation, with what their definitions say behind the names.
fn indexes(relid: Oid) -> Result<Vec<(Oid, String)>> {
    let rel = Relation::open(relid, pg_sys::NoLock).ok_or(Error::NoRelation(relid.to_u32()))?;
    // SAFETY: the relation is open.
    let all = unsafe { list::oids(pg_sys::RelationGetIndexList(rel.raw())) };
    let title = name::relation(relid).unwrap_or_default();
    let mut found = Vec::new();
    for index in all {
        // SAFETY: the index exists, and its table is locked; rd_index of an open index.
        let (text, unique) = unsafe {
            let open = Relation::open(index, pg_sys::AccessShareLock).ok_or(Error::NoRelation(index.to_u32()))?;
            let text = CStr::from_ptr(pg_sys::pg_get_indexdef_string(index)).to_string_lossy().into_owned();
            (text, (*(*open.raw()).rd_index).indisunique)
        };
        let kind = if unique { "UNIQUE " } else { "" };
        let head = format!("CREATE {kind}INDEX {} ON {title} ", name::ident(&name::bare(index)));
        let rest = text.strip_prefix(&head);
        found
            .push((index, format!("{kind}{}", rest.ok_or_else(|| Error::Internal(format!("unknown index: {text}")))?)));
    }
    Ok(found)
}

/// A free name for an index that moves, as the server would have called it.
fn name_of_index(index: Oid, from: Oid, to: Oid) -> CString {
    let (title, old) = (name::bare(index), name::bare(from));
    let middle = || title.strip_prefix(&old)?.strip_prefix('_')?.strip_suffix("_idx");
    let middle = middle().and_then(|middle| CString::new(middle).ok());
    let first = CString::new(name::bare(to)).unwrap_or_default();
    // SAFETY: texts end with a NUL; the result is copied.
    unsafe {
        let schema = pg_sys::get_rel_namespace(to);
        let middle = middle.as_ref().map_or(std::ptr::null(), |middle| middle.as_ptr());
        let label = pg_sys::ChooseRelationName(first.as_ptr(), middle, c"idx".as_ptr(), schema, false);
        CStr::from_ptr(label).to_owned()
    }
}
