//! Keys of TVIEWs that are derived from keys of base tables must not be pulled from under them.
//!
//! Invariant: after DROP CONSTRAINT, DROP NOT NULL, DROP INDEX or a new inheritance child, every populated TVIEW still
//! derives the key it is stored by; otherwise the statement is refused, as the server refuses to drop a primary key that
//! a view's GROUP BY depends on. Without this a duplicate would later fail in a writer's transaction.

use super::utility::{Call, keep};
use crate::capture::install;
use crate::catalog;
use crate::pg::error::{Error, Result};
use crate::pg::name;
use crate::pg::relation::Relation;
use crate::refresh::tview;
use pgrx::pg_sys;
use std::collections::{BTreeMap, BTreeSet};

/// Key attributes by TVIEW, as they were before the statement.
pub type Keys = BTreeMap<u32, Vec<usize>>;

/// Remembers the keys of the TVIEWs over these relations.
pub fn remember(call: &mut Call, relids: &BTreeSet<u32>) -> Result<()> {
    let mut keys = Keys::new();
    let around: BTreeSet<u32> =
        relids.iter().flat_map(|r| install::covering(pg_sys::Oid::from(*r))).chain(relids.iter().copied()).collect();
    for s in catalog::sources(|s| around.contains(&s.relid.to_u32())) {
        if let Some(key) = key_of(s.tview)? {
            keys.insert(s.tview.to_u32(), key);
        }
    }
    if !keys.is_empty() {
        call.keys = keep(keys);
    }
    Ok(())
}

fn key_of(oid: pg_sys::Oid) -> Result<Option<Vec<usize>>> {
    let Some(rel) = Relation::open(oid, pg_sys::AccessShareLock) else { return Ok(None) };
    if !rel.class().relispopulated {
        return Ok(None);
    }
    Ok(tview::of(&rel)?.key.as_ref().map(|key| key.iter().map(|k| k.at).collect()))
}

/// Refuses the statement when a key is not what it was.
pub fn check(before: &Keys) -> Result<()> {
    // SAFETY: makes the statement's catalog changes visible.
    unsafe { pg_sys::CommandCounterIncrement() };
    for (oid, key) in before {
        let oid = pg_sys::Oid::from(*oid);
        // A TVIEW that the statement dropped by CASCADE is not there any more.
        if name::relation(oid).is_some() && key_of(oid)?.as_ref() != Some(key) {
            return Err(Error::Dependent {
                what: format!("the key of TVIEW \"{}\" depends on what this statement removes", name::bare(oid)),
                hint: "Drop the TVIEW first, and create it again afterwards.".into(),
            });
        }
    }
    Ok(())
}
