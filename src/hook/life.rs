//! The rest of a TVIEW's life: DROP, renames, policies, roles, replaced views, new partitions.
//!
//! Invariant: a statement that changes the meaning or the result of a TVIEW's query, without a write on a base table, marks the
//! TVIEW for recomputation in the same transaction.

use super::keys;
use super::named::{self, find};
use crate::analyze::refuse;
use crate::build::redefine::{self, redefine};
use crate::capture::freed::freed;
use crate::capture::{install, route};
use crate::hook::call::Call;
use crate::hook::policies::policies_changed;
use crate::pg::acl::owns;
use crate::pg::error::{Error, Result};
use crate::pg::fault::{self, Fault};
use crate::pg::{list, name};
use crate::refresh::plan::graph;
use crate::wal::switch;
use crate::{build, catalog, queue, tam};
use pgrx::pg_sys;
use std::collections::BTreeSet;
use std::ffi::CStr;

/// The syntax hook marks names written after the word TVIEW by an alias.
///
/// # Safety
/// `rel` is a live node of a tree of the server.
pub unsafe fn is_marked(rel: *mut pg_sys::RangeVar) -> bool {
    // SAFETY: `rel` is a live node of a tree of the server.
    unsafe { !rel.is_null() && !(*rel).alias.is_null() && CStr::from_ptr((*(*rel).alias).aliasname) == c"tview" }
}

/// Statements with our marks in a database without the extension: the server must never see the marks.
pub fn without_extension(call: &mut Call) -> Result<()> {
    // SAFETY: `call` holds the statement that the server is executing.
    unsafe {
        let tree = (*call.pstmt).utilityStmt;
        if (*tree).type_ == pg_sys::NodeTag::T_DropStmt {
            let stmt = tree.cast::<pg_sys::DropStmt>();
            if (*stmt).removeType == pg_sys::ObjectType::OBJECT_MATVIEW && (*stmt).concurrent {
                let stmt = call.own_tree::<pg_sys::DropStmt>();
                (*stmt).concurrent = false;
            }
        }
        Ok(())
    }
}

/// Locks the tables whose triggers will go with these TVIEWs, before the TVIEWs themselves are locked: a writer holds its
/// table first and wants the TVIEW at commit, so the other order would be a deadlock.
pub fn lock_sources(tviews: &BTreeSet<u32>) {
    let mut tviews = tviews.clone();
    for (stage, _) in catalog::stages::all() {
        if tviews.contains(&catalog::stages::root(stage).to_u32()) {
            tviews.insert(stage.to_u32());
        }
    }
    let all = catalog::sources(|_| true);
    let still: BTreeSet<u32> =
        all.iter().filter(|s| !tviews.contains(&s.tview.to_u32())).map(|s| s.relid.to_u32()).collect();
    let going: BTreeSet<u32> = all
        .iter()
        .filter(|s| tviews.contains(&s.tview.to_u32()))
        .flat_map(|s| install::covering(s.relid))
        .filter(|r| !still.contains(r))
        .collect();
    for relid in going {
        let relid = pg_sys::Oid::from(relid);
        // SAFETY: syscache look-up; an oid without relation has no kind.
        let kind = unsafe { pg_sys::get_rel_relkind(relid) } as u8;
        if kind == pg_sys::RELKIND_RELATION || kind == pg_sys::RELKIND_PARTITIONED_TABLE {
            // SAFETY: locking is harmless should the relation have gone meanwhile.
            unsafe { pg_sys::LockRelationOid(relid, pg_sys::AccessExclusiveLock as i32) };
        }
    }
}

/// Locks all TVIEWs, in the order in which refreshes do: these have locked theirs when they write to the extension's tables, which a statement that
/// drops the extension locks first.
pub fn lock_all() -> Result<()> {
    lock_sources(&catalog::stored().into_iter().collect());
    for tview in &graph::current()?.order {
        // SAFETY: locking is harmless should the relation have gone meanwhile.
        unsafe { pg_sys::LockRelationOid(pg_sys::Oid::from(*tview), pg_sys::AccessExclusiveLock as i32) };
    }
    Ok(())
}

/// DROP TVIEW, DROP MATERIALIZED VIEW of TVIEWs, and DROP TABLE of TVIEWs.
pub fn drop(call: &mut Call) -> Result<()> {
    // SAFETY: `call` holds the statement that the server is executing.
    unsafe {
        let stmt = (*call.pstmt).utilityStmt.cast::<pg_sys::DropStmt>();
        let kind = (*stmt).removeType;
        if kind == pg_sys::ObjectType::OBJECT_POLICY {
            let changed = tables_of(stmt);
            call.then(move || policies_changed(&changed));
            return Ok(());
        }
        if kind == pg_sys::ObjectType::OBJECT_TRIGGER {
            // Our triggers come back, as after DISABLE TRIGGER.
            let changed = tables_of(stmt);
            call.then(move || tree_changed(&changed));
            return Ok(());
        }
        if kind == pg_sys::ObjectType::OBJECT_INDEX {
            let mut tables = BTreeSet::new();
            for names in list::iter::<pg_sys::List>((*stmt).objects) {
                let index = find(pg_sys::makeRangeVarFromNameList(names));
                if index != pg_sys::InvalidOid {
                    tables.insert(pg_sys::IndexGetRelation(index, true).to_u32());
                }
            }
            tables.remove(&0);
            return keys::remember(call, &tables);
        }
        if kind != pg_sys::ObjectType::OBJECT_MATVIEW && kind != pg_sys::ObjectType::OBJECT_TABLE {
            return Ok(());
        }
        drop_relations(call)
    }
}

fn drop_relations(call: &mut Call) -> Result<()> {
    // SAFETY: `call` holds the statement that the server is executing.
    unsafe {
        let stmt = call.own_tree::<pg_sys::DropStmt>();
        let kind = (*stmt).removeType;
        let marked = kind == pg_sys::ObjectType::OBJECT_MATVIEW && (*stmt).concurrent;
        let (mut any, mut others) = (false, Vec::new());
        let mut objects: *mut pg_sys::List = std::ptr::null_mut();
        for names in list::iter::<pg_sys::List>((*stmt).objects) {
            let var = pg_sys::makeRangeVarFromNameList(names);
            let mut oid = find(var);
            // A user who may not drop the TVIEW must not lock its tables either: the error is the server's.
            if tam::is_tview(oid) && owns(oid) {
                oid = named::hold(|| find(var), named::Lock::WithSources);
                // Before the statement itself: event triggers see what users have made.
                build::internal::drop(oid);
            }
            let is_tview = tam::is_tview(oid);
            any |= is_tview;
            if !is_tview && oid != pg_sys::InvalidOid {
                others.push(name::bare(oid));
            }
            let names = if is_tview { named::qualified(names, oid) } else { names };
            objects = pg_sys::lappend(objects, names.cast());
        }
        if marked && let Some(other) = others.first() {
            return Err(Error::NotATview(other.clone()));
        }
        (*stmt).objects = objects;
        if marked || (any && others.is_empty()) {
            (*stmt).removeType = pg_sys::ObjectType::OBJECT_MATVIEW;
        }
        if marked {
            (*stmt).concurrent = false;
        }
        Ok(())
    }
}

/// Whether a TVIEW reads whole rows of this relation or of one it inherits to or from: column names are part of the rows.
pub fn whole_row_is_read(relid: pg_sys::Oid) -> bool {
    let tree = install::covering(relid);
    let mut found =
        catalog::sources(|s| s.columns.contains(&0) && (s.relid == relid || tree.contains(&s.relid.to_u32())));
    found.pop().is_some()
}

/// Tables of policies or triggers: each list of names has the table's name and then the object's.
///
/// # Safety
/// `stmt` is a live node of a tree of the server.
unsafe fn tables_of(stmt: *mut pg_sys::DropStmt) -> BTreeSet<u32> {
    // SAFETY: `stmt` is a live node of a tree of the server.
    unsafe {
        let mut tables = BTreeSet::new();
        for names in list::iter::<pg_sys::List>((*stmt).objects) {
            let table = pg_sys::list_copy_head(names, list::len(names) as i32 - 1);
            tables.insert(find(pg_sys::makeRangeVarFromNameList(table)).to_u32());
        }
        tables.remove(&0);
        tables
    }
}

/// RENAME, SET SCHEMA, OWNER TO, COMMENT: names in cached SQL become stale; TVIEW as a word is checked.
pub fn names(call: &mut Call) -> Result<()> {
    // SAFETY: `call` holds the statement that the server is executing.
    unsafe {
        let tree = (*call.pstmt).utilityStmt;
        let relation = match (*tree).type_ {
            pg_sys::NodeTag::T_RenameStmt => (*tree.cast::<pg_sys::RenameStmt>()).relation,
            pg_sys::NodeTag::T_AlterObjectSchemaStmt => (*tree.cast::<pg_sys::AlterObjectSchemaStmt>()).relation,
            pg_sys::NodeTag::T_AlterOwnerStmt => (*tree.cast::<pg_sys::AlterOwnerStmt>()).relation,
            _ => return Ok(()),
        };
        if is_marked(relation) {
            let oid = find(relation);
            if oid != pg_sys::InvalidOid && !tam::is_tview(oid) {
                return Err(Error::NotATview(name::bare(oid)));
            }
        }
        call.then(names_changed);
        if (*tree).type_ == pg_sys::NodeTag::T_RenameStmt
            && (*tree.cast::<pg_sys::RenameStmt>()).renameType == pg_sys::ObjectType::OBJECT_COLUMN
        {
            let oid = find(relation);
            if pg_sys::get_rel_relkind(oid) as u8 == pg_sys::RELKIND_VIEW {
                // Rows of the view have other names, which to_jsonb() shows.
                call.then(move || view_replaced(relation));
            } else if whole_row_is_read(oid) {
                let changed = BTreeSet::from([oid.to_u32()]);
                call.then(move || tree_changed(&changed));
            }
        }
        Ok(())
    }
}

/// CREATE TABLE: a plain table is never stored in our access method; a new child needs its parents' triggers.
pub fn create_table(call: &mut Call) -> Result<()> {
    // SAFETY: `call` holds the statement that the server is executing.
    unsafe {
        let stmt = (*call.pstmt).utilityStmt.cast::<pg_sys::CreateStmt>();
        let method = (*stmt).accessMethod;
        let plain = list::is(stmt, pg_sys::NodeTag::T_CreateStmt);
        if !method.is_null() && CStr::from_ptr(method) == c"tview" {
            return Err(Error::unsupported(
                "access method \"tview\" stores materialized views only",
                -1,
                "Use CREATE TVIEW … AS SELECT ….",
            ));
        }
        let default = pg_sys::default_table_access_method;
        if plain
            && method.is_null()
            && (*stmt).partspec.is_null()
            && !default.is_null()
            && CStr::from_ptr(default) == c"tview"
        {
            let stmt = call.own_tree::<pg_sys::CreateStmt>();
            (*stmt).accessMethod = pg_sys::pstrdup(c"heap".as_ptr());
        }
        let stmt = (*call.pstmt).utilityStmt.cast::<pg_sys::CreateStmt>();
        if (*stmt).inhRelations.is_null() {
            return Ok(());
        }
        let stmt = call.own_tree::<pg_sys::CreateStmt>();
        let mut parents = BTreeSet::new();
        for var in list::iter::<pg_sys::RangeVar>((*stmt).inhRelations) {
            let mut parent = find(var);
            if !bases_around(&BTreeSet::from([parent.to_u32()])).is_empty() {
                parent = named::hold(|| find(var), named::Lock::Own(pg_sys::ShareUpdateExclusiveLock));
                named::qualify(var, parent);
            }
            parents.insert(parent.to_u32());
        }
        parents.remove(&0);
        if !parents.is_empty() {
            keys::remember(call, &parents)?;
            call.then(move || tree_changed(&parents));
        }
        Ok(())
    }
}

/// Base relations of TVIEWs in the inheritance trees of `relids`.
pub fn bases_around(relids: &BTreeSet<u32>) -> BTreeSet<u32> {
    let used: BTreeSet<u32> = catalog::sources(|_| true).into_iter().map(|s| s.relid.to_u32()).collect();
    let mut out = BTreeSet::new();
    for relid in relids {
        let relid = pg_sys::Oid::from(*relid);
        out.extend(install::covering(relid).into_iter().filter(|r| used.contains(r)));
        if used.contains(&relid.to_u32()) {
            out.insert(relid.to_u32());
        }
    }
    out
}

/// A table's inheritance tree, triggers or policies changed: adds missing triggers, and marks for recomputation.
pub fn tree_changed(relids: &BTreeSet<u32>) -> Result<()> {
    // SAFETY: makes the statement's catalog changes visible.
    unsafe { pg_sys::CommandCounterIncrement() };
    let bases = bases_around(relids);
    // Rows as a whole may have columns now that cannot be kept.
    redefine::tviews(|names| !names.is_disjoint(&bases))?.into_iter().try_for_each(redefine::check)?;
    for base in bases {
        refuse::check_children(pg_sys::Oid::from(base), &name::bare(pg_sys::Oid::from(base)))?;
        install::install_needed(pg_sys::Oid::from(base))?;
        switch::follow_tree(pg_sys::Oid::from(base))?;
        if fault::on(Fault::IgnoreTrees) {
            continue;
        }
        queue::change_everything(pg_sys::Oid::from(base));
    }
    for relid in relids {
        freed(pg_sys::Oid::from(*relid));
    }
    Ok(())
}

/// Marks base relations above a relation that is about to disappear.
pub fn relation_dropped(relid: pg_sys::Oid) {
    let above = route::ancestors(relid);
    if above.is_empty() {
        return;
    }
    let above: BTreeSet<u32> = above.into_iter().map(pg_sys::Oid::to_u32).collect();
    for s in catalog::sources(|s| above.contains(&s.relid.to_u32())) {
        queue::change_everything(s.relid);
    }
}

/// CREATE OR REPLACE VIEW: TVIEWs over the view may read other relations now.
///
/// # Safety
/// `view` is a live node of a tree of the server.
pub unsafe fn view_replaced(view: *mut pg_sys::RangeVar) -> Result<()> {
    // SAFETY: `view` is a live node of a tree of the server.
    unsafe {
        pg_sys::CommandCounterIncrement();
        let view = find(view).to_u32();
        if view == 0 {
            return Ok(());
        }
        redefine(redefine::tviews(|names| names.contains(&view))?)
    }
}

/// Expressions of generated columns of these tables have changed: a virtual column is part of the queries that read it.
pub fn expression_changed(relids: &BTreeSet<u32>) -> Result<()> {
    // SAFETY: makes the statement's catalog changes visible.
    unsafe { pg_sys::CommandCounterIncrement() };
    redefine(redefine::tviews(|names| !names.is_disjoint(relids))?)
}

/// Names or owners have changed.
fn names_changed() -> Result<()> {
    // SAFETY: makes the statement's catalog changes visible.
    unsafe { pg_sys::CommandCounterIncrement() };
    build::internal::follow_owners();
    catalog::invalidate_all();
    Ok(())
}
