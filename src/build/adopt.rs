//! Turning a materialized view into a TVIEW: stages, sources, triggers, and the columns that have to be captured.

use crate::analyze::query::{load, relations};
use crate::build::{internal, logs};
use crate::capture::install;
use crate::catalog::{self, Source, deferred};
use crate::pg::error::{Error, Result};
use crate::pg::pinned::Pinned;
use crate::pg::relation::Relation;
use crate::refresh::flush;
use crate::refresh::plan::tview::maintained;
use crate::refresh::plan::{decide, graph};
use pgrx::pg_sys;

/// Makes an existing materialized view of our access method maintained: sources and triggers.
pub fn adopt(oid: pg_sys::Oid) -> Result<()> {
    let rel = Relation::open(oid, pg_sys::AccessExclusiveLock)
        .ok_or_else(|| Error::Internal(format!("relation {} does not exist", oid.to_u32())))?;
    let owner = rel.class().relowner;
    drop(rel);
    internal::drop(oid);
    internal::make(oid)?;
    let rel = Relation::open(oid, pg_sys::AccessExclusiveLock)
        .ok_or_else(|| Error::Internal(format!("relation {} does not exist", oid.to_u32())))?;
    let sources = read_by(&rel)?;
    drop(rel);
    let is_deferred = deferred::is(oid);
    for s in &sources {
        install::install_for(s.relid, is_deferred)?;
    }
    catalog::register(&sources)?;
    // Refuses a cycle.
    graph::current()?;
    complete(oid, owner, sources)?;
    if !logs::follow(oid)? {
        deferred::forget(oid);
    }
    logs::begin_for_readers(oid)
}

/// A TVIEW follows changes at another time from here on, with writers locked out: its change rows, and those of its stages, may need other columns.
pub fn follow_otherwise(oid: pg_sys::Oid) -> Result<()> {
    let graph = graph::current()?;
    for member in flush::deferred::group(oid, &graph).into_iter().map(pg_sys::Oid::from) {
        let Some(rel) = Relation::open(member, pg_sys::AccessShareLock) else { continue };
        let (owner, sources) = (rel.class().relowner, read_by(&rel)?);
        drop(rel);
        complete(member, owner, sources)?;
    }
    Ok(())
}

/// What a TVIEW reads, by column.
fn read_by(rel: &Relation) -> Result<Vec<Source>> {
    let _pinned = Pinned::new(rel.class().relowner);
    let expanded = load::expand(maintained(rel)?)?;
    let of = |(relid, usage): (u32, relations::Use)| Source {
        tview: rel.oid(),
        relid: pg_sys::Oid::from(relid),
        columns: usage.captured_columns(),
        written: false,
    };
    Ok(relations::of(expanded).into_iter().map(of).collect())
}

/// Adds what strategies tell about sources: key columns that they need beside the captured columns, and whether their SQL can be written.
fn complete(oid: pg_sys::Oid, owner: pg_sys::Oid, mut sources: Vec<Source>) -> Result<()> {
    let decided = {
        let Some(rel) = Relation::open(oid, pg_sys::NoLock) else { return Ok(()) };
        let _pinned = Pinned::new(owner);
        decide::of_sources(&rel)?
    };
    for s in &mut sources {
        s.written = !decided.unwritten.contains(&s.relid.to_u32());
        for column in decided.keys.get(&s.relid.to_u32()).into_iter().flatten() {
            if !s.columns.contains(column) && !s.columns.contains(&0) {
                s.columns.push(*column);
            }
        }
        s.columns.sort_unstable();
    }
    catalog::unregister(oid);
    catalog::register(&sources)
}
