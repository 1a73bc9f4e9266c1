//! Which relations can be captured from WAL.
//!
//! Invariant: of a relation that fits, WAL has each change of a row, with all of the old row. What stops to fit while it is captured is noticed:
//! a change without an old row marks all rows as changed (plugin.rs), an unlogged table in the tree has triggers again in the transaction that
//! makes it one (switch.rs), and the worker leaves the rest to triggers as soon as it looks.

use super::slot;
use crate::catalog::{self, deferred};
use crate::pg::error::Error;
use crate::pg::relation::{TABLEOID, class_of};
use crate::pg::{ext, name, shmem};
use pgrx::pg_sys;
use std::collections::BTreeSet;

/// Why a relation is left to triggers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// A TVIEW, whose changes are known without triggers.
    Kind,
    Unlogged(String),
    Identity(String),
    /// Rows in WAL do not say which table of the tree they are in.
    Tableoid(String),
}

impl Unfit {
    pub fn why(&self) -> String {
        match self {
            Unfit::Kind => "it is no table".into(),
            Unfit::Unlogged(table) => format!("table {table} is not WAL-logged"),
            Unfit::Identity(table) => format!("table {table} does not have REPLICA IDENTITY FULL"),
            Unfit::Tableoid(table) => format!("a TVIEW reads tableoid of {table}"),
        }
    }

    pub fn hint(&self) -> Option<String> {
        match self {
            Unfit::Identity(table) => Some(format!("Use ALTER TABLE {table} REPLICA IDENTITY FULL.")),
            _ => None,
        }
    }
}

/// Relations of which a deferred TVIEW reads tableoid.
pub fn by_table() -> BTreeSet<u32> {
    let sources = catalog::sources(|_| true);
    let deferred = deferred::all(&sources);
    let of = sources.iter().filter(|s| s.columns.contains(&TABLEOID) && deferred.contains(&s.tview.to_u32()));
    of.map(|s| s.relid.to_u32()).collect()
}

/// Why a relation does not fit; None: it does. Takes no locks: the reader must not wait for who has some table.
pub fn unfit(source: pg_sys::Oid) -> Option<Unfit> {
    unfit_among(source, &by_table())
}

/// The same, with what `by_table` gives.
pub fn unfit_among(source: pg_sys::Oid, by_table: &BTreeSet<u32>) -> Option<Unfit> {
    let title = |relid| name::relation(relid).unwrap_or_default();
    for relid in ext::find_all_inheritors(source, pg_sys::NoLock as i32) {
        let Some(class) = class_of(relid) else { continue };
        match class.relkind as u8 {
            pg_sys::RELKIND_PARTITIONED_TABLE => continue,
            pg_sys::RELKIND_RELATION => {}
            _ => return Some(Unfit::Kind),
        }
        if class.relpersistence as u8 != pg_sys::RELPERSISTENCE_PERMANENT {
            return Some(Unfit::Unlogged(title(relid)));
        }
        if class.relreplident as u8 != pg_sys::REPLICA_IDENTITY_FULL {
            return Some(Unfit::Identity(title(relid)));
        }
    }
    by_table.contains(&source.to_u32()).then(|| Unfit::Tableoid(title(source)))
}

/// Whether some table of an inheritance tree has changes that are not in WAL.
pub fn has_unlogged(source: pg_sys::Oid) -> bool {
    ext::find_all_inheritors(source, pg_sys::NoLock as i32).into_iter().any(|relid| {
        class_of(relid).is_some_and(|class| class.relpersistence as u8 != pg_sys::RELPERSISTENCE_PERMANENT)
    })
}

/// Why nothing can be captured from WAL on this server, and what would help.
pub fn server() -> Option<(String, String)> {
    if shmem::area().is_none() {
        let hint = "Add pg_tviews to shared_preload_libraries and restart the server.";
        return Some(("pg_tviews was loaded by this session only".into(), hint.into()));
    }
    if !slot::is_wal_logical() {
        return Some((
            "wal_level is not \"logical\"".into(),
            "Set wal_level to logical and restart the server.".into(),
        ));
    }
    if !slot::is_plugin_allowed() {
        let hint = "Add pg_tviews to output_plugin_libraries and reload the configuration.";
        return Some(("output_plugin_libraries does not name \"pg_tviews\"".into(), hint.into()));
    }
    None
}

/// The error for a deferred TVIEW over a relation that must be captured from WAL and cannot; None: it can, or need not.
pub fn refusal(source: pg_sys::Oid) -> Option<Error> {
    const OTHERWISE: &str = "Set pg_tviews.cdc_mode to auto to have such tables captured by triggers.";
    let title = name::relation(source).unwrap_or_default();
    if let Some((why, hint)) = server() {
        let what = format!("changes of table {title} cannot be taken from WAL: {why}");
        return Some(Error::WrongState { what, hint: Some(hint) });
    }
    let unfit = unfit(source).filter(|u| *u != Unfit::Kind)?;
    let what = format!("changes of table {title} cannot be taken from WAL: {}", unfit.why());
    Some(Error::WrongState { what, hint: Some(unfit.hint().unwrap_or_else(|| OTHERWISE.into())) })
}
