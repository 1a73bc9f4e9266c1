//! Making and dropping the internal TVIEWs that a TVIEW is computed from.
//!
//! Invariant: a TVIEW with stages owns them: an internal dependency drops them with it, they have its owner, and nobody
//! else reads them. Called when a TVIEW is created or when its query, or what its query means, changes.

use crate::analyze::stages::{self, Stages};
use crate::analyze::{load, operators};
use crate::capture::install;
use crate::catalog::stages as catalog;
use crate::pg::error::{Error, Result};
use crate::pg::name;
use crate::pg::pinned::{Pinned, Superuser};
use crate::pg::relation::Relation;
use crate::pg::spi::Session;
use crate::refresh::summary;
use pgrx::pg_sys;
use std::collections::BTreeMap;
use std::ffi::CStr;
use tviews_core::strategy::Decision;

/// Makes the stages of a TVIEW that has none; they are not populated.
pub fn make(tview: pg_sys::Oid) -> Result<()> {
    let owner = {
        let Some(rel) = Relation::open(tview, pg_sys::NoLock) else { return Ok(()) };
        rel.class().relowner
    };
    // SAFETY: private copies of the stored query.
    unsafe {
        let pinned = Pinned::new(owner);
        let query = {
            let Some(rel) = Relation::open(tview, pg_sys::NoLock) else { return Ok(()) };
            load::expand(load::stored(&rel)?)?
        };
        let path = operators::search_path(query);
        let mut new = New { tview, owner, pinned: &pinned, path: &path, number: 0 };
        stages::split(query, &crate::refresh::tview::stored_key, &mut new)?;
    }
    Ok(())
}

/// Stages that are made as they are asked for.
struct New<'a> {
    tview: pg_sys::Oid,
    owner: pg_sys::Oid,
    pinned: &'a Pinned,
    path: &'a CStr,
    number: i16,
}

impl Stages for New<'_> {
    fn next(&mut self, text: &str, joined: &str) -> Result<pg_sys::Oid> {
        self.number += 1;
        self.pinned.search_path(self.path);
        let stage = create(self.tview, self.number, text, joined, self.owner)?;
        self.pinned.search_path(c"pg_catalog, pg_temp");
        Ok(stage)
    }

    fn is_joined(&self, _joined: &str) -> bool {
        true
    }
}

fn create(tview: pg_sys::Oid, number: i16, text: &str, joined: &str, owner: pg_sys::Oid) -> Result<pg_sys::Oid> {
    let label = format!("{}_{number}", tview.to_u32());
    let schema = catalog::SCHEMA.to_string_lossy();
    // SAFETY: catalog writes inside a transaction; what is made is visible after CommandCounterIncrement.
    unsafe {
        let columns = columns(text)?;
        {
            let _superuser = Superuser::new();
            Session::open().run(&format!(
                "CREATE MATERIALIZED VIEW {schema}.{} ({columns}) USING tview WITH (logged = false) AS {text} WITH NO DATA",
                name::ident(&label),
            ))?;
        }
        let c_label = std::ffi::CString::new(label).unwrap_or_default();
        let namespace = pg_sys::get_namespace_oid(catalog::SCHEMA.as_ptr(), false);
        let stage = pg_sys::get_relname_relid(c_label.as_ptr(), namespace);
        if stage == pg_sys::InvalidOid {
            return Err(Error::Internal("a stage was not created".into()));
        }
        let address =
            |oid| pg_sys::ObjectAddress { classId: pg_sys::RelationRelationId, objectId: oid, objectSubId: 0 };
        set_owner(stage, owner);
        if tview != pg_sys::InvalidOid {
            let kind = pg_sys::DependencyType::DEPENDENCY_INTERNAL;
            pg_sys::recordDependencyOn(&address(stage), &address(tview), kind);
            catalog::register(tview, number, stage, joined)?;
        }
        pg_sys::CommandCounterIncrement();
        Ok(stage)
    }
}

/// The strategies that a TVIEW of this query would have: it is made, without contents and without triggers on its tables,
/// looked at, and rolled back.
///
/// # Safety
/// `text` is a SELECT in which all names are qualified, but for operators that `path` finds; outside of a read-only
/// transaction.
pub unsafe fn trial(text: &str, path: &CStr, owner: pg_sys::Oid) -> Result<BTreeMap<u32, Decision>> {
    let (context, resources) = (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner);
    pg_sys::BeginInternalSubTransaction(std::ptr::null());
    pg_sys::MemoryContextSwitchTo(context);
    let decisions = {
        let _trial = install::Trial::new();
        let pinned = Pinned::new(owner);
        pinned.search_path(path);
        create(pg_sys::InvalidOid, 0, text, "", owner).and_then(summary::decisions)
    };
    pg_sys::RollbackAndReleaseCurrentSubTransaction();
    pg_sys::MemoryContextSwitchTo(context);
    pg_sys::CurrentResourceOwner = resources;
    decisions
}

/// Names c1, c2 … for the columns of a query.
unsafe fn columns(text: &str) -> Result<String> {
    let text = std::ffi::CString::new(text).map_err(|_| Error::Internal("NUL byte in SQL text".into()))?;
    let text = pg_sys::pstrdup(text.as_ptr());
    let raw = pg_sys::raw_parser(text, pg_sys::RawParseMode::RAW_PARSE_DEFAULT);
    let query = pg_sys::parse_analyze_fixedparams(
        crate::pg::list::nth(raw, 0),
        text,
        std::ptr::null(),
        0,
        std::ptr::null_mut(),
    );
    let n = load::outputs(query).len();
    Ok((1..=n).map(|i| format!("c{i}")).collect::<Vec<_>>().join(", "))
}

/// Also of the stages below, which were made while the stage was still ours.
unsafe fn set_owner(stage: pg_sys::Oid, owner: pg_sys::Oid) {
    for below in catalog::of(stage) {
        set_owner(below, owner);
    }
    let same = Relation::open(stage, pg_sys::AccessShareLock).is_none_or(|r| r.class().relowner == owner);
    if !same {
        let _superuser = Superuser::new();
        pg_sys::ATExecChangeOwner(stage, owner, true, pg_sys::AccessExclusiveLock as i32);
        pg_sys::CommandCounterIncrement();
    }
}

/// Drops the stages of a TVIEW.
pub fn drop(tview: pg_sys::Oid) {
    for stage in catalog::of(tview) {
        // SAFETY: the dependency that protects the stage goes first.
        unsafe {
            pg_sys::deleteDependencyRecordsForSpecific(
                pg_sys::RelationRelationId,
                stage,
                pg_sys::DependencyType::DEPENDENCY_INTERNAL as _,
                pg_sys::RelationRelationId,
                tview,
            );
            pg_sys::CommandCounterIncrement();
            let address =
                pg_sys::ObjectAddress { classId: pg_sys::RelationRelationId, objectId: stage, objectSubId: 0 };
            pg_sys::performDeletion(
                &address,
                pg_sys::DropBehavior::DROP_CASCADE,
                pg_sys::PERFORM_DELETION_INTERNAL as i32,
            );
            pg_sys::CommandCounterIncrement();
        }
    }
}

/// Gives stages the owner of their TVIEW, after owners have changed.
pub fn follow_owners() {
    for (stage, _) in catalog::all() {
        let root = catalog::root(stage);
        if let Some(owner) = Relation::open(root, pg_sys::AccessShareLock).map(|r| r.class().relowner) {
            // SAFETY: both exist.
            unsafe { set_owner(stage, owner) };
        }
    }
}
