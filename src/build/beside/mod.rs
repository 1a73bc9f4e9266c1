//! The contents of a materialized view computed anew beside it, while its readers read and writers of its tables go on: a *twin*, which follows a log
//! until it is exact, and then gives its contents to the relation.
//!
//! Invariant: up to the last transaction the relation is what it was, whatever ends before: an ordinary materialized view, or a TVIEW that is exact at
//! every commit. In the last transaction writers are locked out, the twin is brought up to date, and the relation has its contents,
//! as of then. What is left behind by an error or a crash is a twin, which the next call, or DROP, removes. docs/internals/decisions/beside.md has the
//! reasons, and what could go wrong.
//! Called by the procedures of procedures.rs.

mod procedures;
mod take;
mod twin;

use crate::analyze::describe::settings;
use crate::analyze::query::{load, relations};
use crate::build::check::{check, say_fixed};
use crate::build::logs;
use crate::build::online::{self, Held, Next};
use crate::build::progress::{self, Phase, Shown};
use crate::capture::install;
use crate::catalog::{options, sentinel, stages};
use crate::pg::error::{Error, Result};
use crate::pg::pinned::{self, Pinned};
use crate::pg::relation::Relation;
use crate::pg::{acl, guc, list, name};
use crate::refresh::plan::privileges;
use crate::tam;
use pgrx::pg_sys::{self, Oid};
use std::collections::BTreeSet;

/// What becomes of the relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Becomes {
    /// A materialized view becomes a TVIEW.
    Tview,
    /// A TVIEW is what it was, computed anew.
    Anew,
    /// A TVIEW is WAL-logged from here on, or not any more.
    Logged(bool),
}

/// Outside of a transaction block, with an active snapshot of our own. So it ends, too.
fn run(oid: Oid, becomes: Becomes, next: Next) -> Result<()> {
    check_right(oid, becomes)?;
    let held = Held::lock(oid);
    let _shown = Shown::begin(oid);
    next();
    check_right(oid, becomes)?;
    if !is_needed(oid, becomes)? {
        held.unlock();
        return Ok(());
    }
    let fixed = check_kind(oid, becomes)?;
    if twin::drop_left(oid)? {
        next();
    }
    progress::at(Phase::WaitingForWriters);
    // SAFETY: outside of a transaction block.
    unsafe { logs::await_writers(&tables(oid)?) };
    let twin = twin::make(oid, becomes)?;
    let held_twin = Held::lock(twin);
    next();
    online::catch_up(twin, next)?;
    take::take(oid, twin, becomes, next)?;
    next();
    held_twin.unlock();
    held.unlock();
    say_fixed(oid, &fixed);
    Ok(())
}

/// Before the relation is locked, and when it is.
fn check_right(oid: Oid, becomes: Becomes) -> Result<()> {
    // SAFETY: syscache look-ups, which take any oid.
    unsafe {
        let kind = pg_sys::get_rel_relkind(oid) as u8;
        if kind == 0 {
            return Err(Error::NoRelation(oid.to_u32()));
        }
        let is_ours = tam::is_tview(oid) && !stages::is_stage(oid);
        if becomes != Becomes::Tview && !is_ours {
            return Err(Error::NotATview(name::bare(oid)));
        }
        if becomes == Becomes::Tview && (kind != pg_sys::RELKIND_MATVIEW || tam::is_tview(oid) != is_ours) {
            return Err(Error::NotAMatview(name::bare(oid)));
        }
        if pg_sys::get_rel_namespace(oid) == pg_sys::get_namespace_oid(c"tviews".as_ptr(), true) {
            return Err(Error::WrongState {
                what: format!(
                    "relation \"{}\" belongs to extension \"pg_tviews\" and cannot be altered",
                    name::bare(oid)
                ),
                hint: None,
            });
        }
        let may = if becomes == Becomes::Anew { acl::maintains(oid) } else { acl::owns(oid) };
        if !may {
            let not_owner = pg_sys::AclResult::ACLCHECK_NOT_OWNER;
            pg_sys::aclcheck_error(not_owner, pg_sys::ObjectType::OBJECT_MATVIEW, pg_sys::get_rel_name(oid));
        }
    }
    Ok(())
}

/// Whether it is not already what it should become.
fn is_needed(oid: Oid, becomes: Becomes) -> Result<bool> {
    let rel = Relation::open(oid, pg_sys::AccessShareLock).ok_or(Error::NoRelation(oid.to_u32()))?;
    Ok(match becomes {
        Becomes::Tview => !tam::is_tview(oid),
        Becomes::Anew => true,
        Becomes::Logged(is) => is != (rel.class().relpersistence as u8 == pg_sys::RELPERSISTENCE_PERMANENT),
    })
}

/// Refuses what has to be something else first; the settings on which the contents of a new TVIEW depend, and which are others in this session.
fn check_kind(oid: Oid, becomes: Becomes) -> Result<Vec<pinned::Other>> {
    let rel = Relation::open(oid, pg_sys::AccessShareLock).ok_or(Error::NoRelation(oid.to_u32()))?;
    let wrong = |what: &str, hint: &str| {
        Err(Error::WrongState { what: format!("\"{}\" {what}", name::bare(oid)), hint: Some(hint.into()) })
    };
    if !rel.class().relispopulated {
        return wrong(
            "is not populated",
            "Use ALTER MATERIALIZED VIEW or ALTER TVIEW, and REFRESH … CONCURRENTLY after it.",
        );
    }
    if options::stored(oid).is_catching_up() {
        return wrong("is being populated", "Use REFRESH TVIEW CONCURRENTLY, or DROP TVIEW.");
    }
    if becomes != Becomes::Tview && !sentinel::alive(oid, rel.class()) {
        return wrong("lost its contents in a crash", "Read it, or wait for the recovery that tviews.progress shows.");
    }
    // SAFETY: the relation is open.
    for index in list::oids_of(unsafe { pg_sys::RelationGetIndexList(rel.raw()) }) {
        let index = Relation::open(index, pg_sys::AccessShareLock);
        // SAFETY: rd_index of an open index.
        if let Some(index) = index.filter(|i| unsafe { !(*(*i.raw()).rd_index).indisvalid }) {
            let hint = "Use REINDEX INDEX CONCURRENTLY, or DROP INDEX.";
            return wrong(&format!("has an invalid index \"{}\"", name::bare(index.oid())), hint);
        }
    }
    if becomes != Becomes::Tview {
        privileges::check(oid)?;
        return Ok(Vec::new());
    }
    check(load::stored(&rel)?, rel.class().relowner, true, options::Refresh::Commit)?;
    Ok(settings::concerned(load::expand(load::stored(&rel)?)?, pinned::others()))
}

/// The tables that the query reads, and those above and below in their trees.
fn tables(oid: Oid) -> Result<BTreeSet<u32>> {
    let rel = Relation::open(oid, pg_sys::AccessShareLock).ok_or(Error::NoRelation(oid.to_u32()))?;
    let _pinned = Pinned::new(rel.class().relowner);
    let read = relations::of(load::expand(load::stored(&rel)?)?);
    Ok(read.keys().flat_map(|relid| install::covering(Oid::from(*relid))).collect())
}

/// Whether the contents are WAL-logged from then on.
fn is_logged(oid: Oid, becomes: Becomes) -> bool {
    match becomes {
        Becomes::Tview => !guc::UNLOGGED_BY_DEFAULT.get(),
        Becomes::Logged(is) => is,
        Becomes::Anew => Relation::open(oid, pg_sys::AccessShareLock)
            .is_some_and(|rel| rel.class().relpersistence as u8 == pg_sys::RELPERSISTENCE_PERMANENT),
    }
}
