//! The meaning of a TVIEW's query has changed: a view that it reads was replaced, a policy came or went, rights of its owner changed.
//!
//! Invariant: after the statement the sources of the TVIEW are the relations that its query reads now, it is computed again in the same transaction,
//! and can be maintained; otherwise the statement is refused. Queries are looked at as the TVIEW's owner. Called by handlers of hook.

use crate::analyze::describe::view_owners;
use crate::analyze::query::{load, relations};
use crate::analyze::refuse;
use crate::build::adopt::adopt;
use crate::build::{indexes, populate};
use crate::capture::freed::freed;
use crate::capture::install;
use crate::catalog::{self, deferred, stages};
use crate::pg::error::{Error, Result};
use crate::pg::name;
use crate::pg::pinned::Pinned;
use crate::pg::relation::Relation;
use crate::queue;
use crate::refresh::flush::defining::Defining;
use pgrx::pg_sys;
use std::collections::BTreeSet;

/// The users' TVIEWs for which `affected` is true of the relations that a TVIEW names, itself and through views, and reads.
pub fn tviews(affected: impl Fn(&BTreeSet<u32>) -> bool) -> Result<Vec<pg_sys::Oid>> {
    let all: BTreeSet<u32> = catalog::sources(|_| true).into_iter().map(|s| stages::root(s.tview).to_u32()).collect();
    let mut found = Vec::new();
    for oid in all.into_iter().map(pg_sys::Oid::from) {
        let Some(rel) = Relation::open(oid, pg_sys::AccessShareLock) else { continue };
        let _pinned = Pinned::new(rel.class().relowner);
        let mut names = relations::named(load::stored(&rel)?);
        names.extend(relations::named(load::expand(load::stored(&rel)?)?));
        names.extend(catalog::sources(|s| s.tview == oid).into_iter().map(|s| s.relid.to_u32()));
        if affected(&names) {
            found.push(oid);
        }
    }
    Ok(found)
}

/// Whether a table has row security.
pub fn has_policies(relid: pg_sys::Oid) -> bool {
    Relation::open(relid, pg_sys::AccessShareLock).is_some_and(|r| r.class().relrowsecurity)
}

/// Takes over the present meaning of the queries of these TVIEWs. Stages of the old meaning go first, all of them: what a flush in between
/// brings up to date has the new meaning, and is none of these TVIEWs.
pub fn redefine(tviews: Vec<pg_sys::Oid>) -> Result<()> {
    let _defining = Defining::new(&tviews);
    for oid in &tviews {
        check(*oid)?;
        for relid in catalog::unregister(*oid) {
            freed(relid);
        }
        adopt(*oid)?;
    }
    for oid in &tviews {
        if Relation::open(*oid, pg_sys::AccessShareLock).is_some_and(|r| r.class().relispopulated) {
            populate::populate_stages(*oid)?;
            indexes::follow_key(*oid)?;
        } else {
            indexes::drop_ours(*oid);
        }
    }
    tviews.into_iter().for_each(queue::recompute);
    Ok(())
}

/// Refuses a query that cannot be maintained, or not be read by the owner.
pub fn check(oid: pg_sys::Oid) -> Result<()> {
    check_as(oid, deferred::is(oid))
}

/// The same for a TVIEW that is going to follow at commit, or later.
pub fn check_as(oid: pg_sys::Oid, is_deferred: bool) -> Result<()> {
    let Some(rel) = Relation::open(oid, pg_sys::AccessShareLock) else { return Ok(()) };
    let owner = rel.class().relowner;
    let _pinned = Pinned::new(owner);
    let checked = {
        let expanded = load::expand(load::stored(&rel)?)?;
        refuse::check(expanded, is_deferred).and_then(|()| view_owners::check(expanded, owner)).and_then(|()| {
            relations::of(expanded)
                .keys()
                .try_for_each(|relid| install::check_privilege(pg_sys::Oid::from(*relid), owner))
        })
    };
    checked.map_err(|e| match e {
        Error::Unsupported { what, hint, .. } => {
            let detail = Some(format!("TVIEW \"{}\" would read it.", name::bare(oid)));
            Error::Unsupported { what, detail, hint, at: -1 }
        }
        Error::Privilege { name, .. } => Error::Privilege { name, at: -1 },
        other => other,
    })
}
