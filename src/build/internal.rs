//! Making and dropping the internal TVIEWs that a TVIEW is computed from.
//!
//! Invariant: a TVIEW with stages owns them: an internal dependency drops them with it, they have its owner, and nobody
//! else reads them. Called when a TVIEW is created or when its query, or the meaning of its query, changes.

use crate::analyze::query::{load, operators};
use crate::analyze::split::{self, Stages};
use crate::build::{adopt, advice};
use crate::capture::install;
use crate::catalog::stages as catalog;
use crate::pg::error::{Error, Result};
use crate::pg::pinned::Pinned;
use crate::pg::relation::Relation;
use crate::pg::{ddl, name, subtransaction};
use crate::refresh::plan::{summary, tview};
use crate::tam;
use pgrx::pg_sys;
use std::collections::BTreeMap;
use std::ffi::CStr;
use tviews_core::strategy::Decision;

/// Makes the stages of a TVIEW that has none; they are not populated.
pub fn make(tview: pg_sys::Oid) -> Result<()> {
    let (owner, tablespace) = {
        let Some(rel) = Relation::open(tview, pg_sys::NoLock) else { return Ok(()) };
        (rel.class().relowner, rel.class().reltablespace)
    };
    let pinned = Pinned::new(owner);
    let query = {
        let Some(rel) = Relation::open(tview, pg_sys::NoLock) else { return Ok(()) };
        load::expand(load::stored(&rel)?)?
    };
    let path = operators::search_path(query);
    let mut new = New { tview, owner, tablespace, pinned: &pinned, path: &path, number: 0 };
    split::split(query, &tview::stored_key, &mut new)?;
    Ok(())
}

/// Stages that are made as they are asked for.
struct New<'a> {
    tview: pg_sys::Oid,
    owner: pg_sys::Oid,
    tablespace: pg_sys::Oid,
    pinned: &'a Pinned,
    path: &'a CStr,
    number: i16,
}

impl Stages for New<'_> {
    fn next(&mut self, text: &str, joined: &str) -> Result<pg_sys::Oid> {
        self.number += 1;
        self.pinned.search_path(self.path);
        let label = format!("{}_{}", self.tview.to_u32(), self.number);
        let stage = create(&label, text, self.owner, self.tablespace)?;
        self.pinned.search_path(c"pg_catalog, pg_temp");
        let address =
            |oid| pg_sys::ObjectAddress { classId: pg_sys::RelationRelationId, objectId: oid, objectSubId: 0 };
        // SAFETY: the stage and the TVIEW exist.
        unsafe {
            let kind = pg_sys::DependencyType::DEPENDENCY_INTERNAL;
            pg_sys::recordDependencyOn(&address(stage), &address(self.tview), kind);
        }
        catalog::register(self.tview, self.number, stage, joined)?;
        // SAFETY: makes the stage and its dependency visible.
        unsafe { pg_sys::CommandCounterIncrement() };
        Ok(stage)
    }

    fn makes(&self) -> bool {
        true
    }

    fn has_next(&self) -> bool {
        true
    }

    fn is_joined(&self, _joined: &str) -> bool {
        true
    }
}

/// The relation of a stage, analysed and made as its owner, who is the current user.
fn create(label: &str, text: &str, owner: pg_sys::Oid, tablespace: pg_sys::Oid) -> Result<pg_sys::Oid> {
    // SAFETY: the text is that of a SELECT of ours; the trees made from it live in the current context.
    unsafe {
        let label = std::ffi::CString::new(label).unwrap_or_default();
        let schema = pg_sys::get_namespace_oid(catalog::SCHEMA.as_ptr(), false);
        let method = tam::access_method_oid().ok_or_else(|| Error::Internal("no access method".into()))?;
        let query = ddl::analyze(text)?;
        let unlogged = pg_sys::RELPERSISTENCE_UNLOGGED;
        let stage = ddl::create_matview(
            (schema, tablespace),
            unlogged,
            (&label, &[]),
            owner,
            method,
            &["fillfactor=90"],
            query,
        )?;
        adopt::adopt(stage)?;
        Ok(stage)
    }
}

/// The strategies by which a TVIEW would be maintained, and the indexes that it would lack.
pub struct Preview {
    pub decisions: BTreeMap<u32, Decision>,
    /// Indexes that are missing, by the relation whose changes are slow without them.
    pub advice: Vec<(u32, String)>,
}

/// The strategies that a TVIEW of this query would have: the TVIEW is made, without contents and without triggers on its tables,
/// looked at, and rolled back.
///
/// # Safety
/// `text` is a SELECT in which all names are qualified, but for operators that `path` finds; outside of a read-only
/// transaction.
pub unsafe fn trial(text: &str, path: &CStr, owner: pg_sys::Oid) -> Result<Preview> {
    // SAFETY: the caller promises: `text` is a SELECT in which all names are qualified, but for operators that `path` finds; outside of a read-only
    // transaction.
    unsafe {
        subtransaction::undone(|| {
            let _trial = install::Trial::new();
            let pinned = Pinned::new(owner);
            pinned.search_path(path);
            // sessions do not wait for each other because of a name
            let label = format!("check_{}", { pg_sys::MyProcPid });
            let made = create(&label, text, owner, pg_sys::InvalidOid)?;
            let advice = |m: advice::Missing| (m.changed, format!("{} -- without it, {}", m.statement(), m.cost()));
            Ok(Preview {
                decisions: summary::decisions(made)?,
                advice: advice::missing(made)?.into_iter().map(advice).collect(),
            })
        })
    }
}

/// Changes the owner of a stage and of the stages below.
fn set_owner(stage: pg_sys::Oid, owner: pg_sys::Oid) {
    // SAFETY: the TVIEW of the stage is locked by the statement that changes its owner.
    unsafe {
        for below in catalog::of(stage) {
            set_owner(below, owner);
        }
        let same = Relation::open(stage, pg_sys::AccessShareLock).is_none_or(|r| r.class().relowner == owner);
        if !same {
            // recursing: as for the indexes of a relation whose owner changes, rights are not asked for
            pg_sys::ATExecChangeOwner(stage, owner, true, pg_sys::AccessExclusiveLock as i32);
            pg_sys::CommandCounterIncrement();
        }
    }
}

/// Moves the stages of a TVIEW to a tablespace.
pub fn move_to(tview: pg_sys::Oid, tablespace: *mut std::ffi::c_char) {
    for stage in catalog::of(tview) {
        move_to(stage, tablespace);
        set_tablespace(stage, tablespace);
    }
}

/// Moves one relation, which the statement has locked, without its indexes; an error when the user may not create anything there.
pub fn set_tablespace(relid: pg_sys::Oid, tablespace: *mut std::ffi::c_char) {
    // SAFETY: a command as the parser makes it. Source: commands/tablecmds.c.
    unsafe {
        let command = pg_sys::palloc0(size_of::<pg_sys::AlterTableCmd>()).cast::<pg_sys::AlterTableCmd>();
        (*command).type_ = pg_sys::NodeTag::T_AlterTableCmd;
        (*command).subtype = pg_sys::AlterTableType::AT_SetTableSpace;
        (*command).name = tablespace;
        pg_sys::AlterTableInternal(relid, pg_sys::lappend(std::ptr::null_mut(), command.cast()), false);
        pg_sys::CommandCounterIncrement();
    }
}

/// Drops the stages of a TVIEW, stages that read others first; a stage may have gone with another one already.
pub fn drop(tview: pg_sys::Oid) {
    for stage in catalog::of(tview).into_iter().rev() {
        if name::relation(stage).is_none() {
            continue;
        }
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
            set_owner(stage, owner);
        }
    }
}
