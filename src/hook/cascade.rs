//! Stages of TVIEWs that a statement drops by CASCADE, dropped before it: users' event triggers see only objects that users have made.
//!
//! The server lists the objects of a statement before any is dropped, dependents included, and leaves out only objects dropped on their own with
//! PERFORM_DELETION_INTERNAL (commands/event_trigger.c, catalog/dependency.c, deleteObjectsInList). So the same dependencies are followed here first.
//! Invariant: a TVIEW that is still there after the statement has its stages: stages that were dropped in vain are made again.
//! Called by utility, where there are event triggers at all, and to ask whether a statement drops the extension.

use super::dependents::{Address, depends_on, dropped_with};
use super::life;
use super::named::find;
use crate::build;
use crate::build::redefine::redefine;
use crate::catalog::stages;
use crate::hook::call::Call;
use crate::pg::acl::owns;
use crate::pg::error::Result;
use crate::pg::syscatalog::{
    CONSTRAINT, EVENT_TRIGGER_OID, EVENT_TRIGGERS, OWNED, SHARED_DEPEND_BY_REFERENCE, SHARED_DEPEND_CLASS,
    SHARED_DEPEND_DATABASE, SHARED_DEPEND_KIND, SHARED_DEPEND_OBJECT,
};
use crate::pg::{ext, list, name};
use pgrx::pg_sys::{self, Oid};
use std::collections::BTreeSet;

/// Drops the stages of the TVIEWs that the statement will drop, and notes the TVIEWs.
///
/// # Safety
/// `call` holds a statement that is about to be executed.
pub unsafe fn before(call: &mut Call) -> Result<()> {
    // SAFETY: `call` holds the statement that the server is executing.
    unsafe {
        if EVENT_TRIGGERS.find(&[], &[EVENT_TRIGGER_OID]).is_empty() {
            return Ok(());
        }
        let start = dropped((*call.pstmt).utilityStmt);
        if start.is_empty() {
            return Ok(());
        }
        let with_stages: BTreeSet<u32> =
            stages::all().into_iter().map(|(stage, _)| stages::root(stage).to_u32()).collect();
        let tviews: BTreeSet<u32> = dropped_with(start).intersection(&with_stages).copied().collect();
        if tviews.is_empty() {
            return Ok(());
        }
        life::lock_sources(&tviews);
        for tview in &tviews {
            pg_sys::LockRelationOid(Oid::from(*tview), pg_sys::AccessExclusiveLock as i32);
            build::internal::drop(Oid::from(*tview));
        }
        call.at_last(move || after(&tviews));
        Ok(())
    }
}

/// Whether the statement drops the extension: by its name, with its schema, or with all that its owner has.
///
/// # Safety
/// `tree` is the tree of a statement.
pub unsafe fn drops_extension(tree: *mut pg_sys::Node) -> bool {
    // SAFETY: `tree` is the tree of a statement; its lists have what its tag says.
    unsafe {
        use pg_sys::ObjectType::{OBJECT_EXTENSION, OBJECT_SCHEMA};
        let may = match (*tree).type_ {
            pg_sys::NodeTag::T_DropOwnedStmt => true,
            pg_sys::NodeTag::T_DropStmt => {
                matches!((*tree.cast::<pg_sys::DropStmt>()).removeType, OBJECT_EXTENSION | OBJECT_SCHEMA)
            }
            _ => false,
        };
        if !may {
            return false;
        }
        let start = dropped(tree);
        let extension = pg_sys::get_extension_oid(c"pg_tviews".as_ptr(), true);
        !start.is_empty() && {
            let above = depends_on(pg_sys::ExtensionRelationId, extension);
            start.into_iter().any(|(class, object, _)| above.contains(&(class, object)))
        }
    }
}

/// After the statement: makes the stages of TVIEWs that are still there again.
pub fn after(tviews: &BTreeSet<u32>) -> Result<()> {
    let left = tviews.iter().map(|t| Oid::from(*t)).filter(|t| name::relation(*t).is_some()).collect();
    redefine(left)
}

/// The objects that a statement drops by name, when it cascades and the user may drop them; none for other statements.
///
/// # Safety
/// `tree` is the tree of a statement; its lists have what its tag says.
unsafe fn dropped(tree: *mut pg_sys::Node) -> Vec<Address> {
    // SAFETY: `tree` is the tree of a statement; its lists have what its tag says.
    unsafe {
        use pg_sys::NodeTag::*;
        let cascade = pg_sys::DropBehavior::DROP_CASCADE;
        match (*tree).type_ {
            T_DropStmt => {
                let stmt = &*tree.cast::<pg_sys::DropStmt>();
                if stmt.behavior != cascade {
                    return Vec::new();
                }
                list::iter::<pg_sys::Node>(stmt.objects).filter_map(|o| object(stmt.removeType, o)).collect()
            }
            T_DropOwnedStmt => {
                let stmt = &*tree.cast::<pg_sys::DropOwnedStmt>();
                list::iter::<pg_sys::RoleSpec>(stmt.roles).flat_map(|role| owned(role)).collect()
            }
            T_AlterTableStmt => {
                let stmt = &*tree.cast::<pg_sys::AlterTableStmt>();
                let cascades = |c: &*mut pg_sys::AlterTableCmd| (**c).behavior == cascade;
                let relid = find(stmt.relation);
                if relid == pg_sys::InvalidOid || !owns(relid) {
                    return Vec::new();
                }
                let part = |c: *mut pg_sys::AlterTableCmd| match (*c).subtype {
                    pg_sys::AlterTableType::AT_DropColumn => {
                        let column = pg_sys::get_attnum(relid, (*c).name);
                        (column > 0).then(|| (pg_sys::RelationRelationId.to_u32(), relid.to_u32(), column as u32))
                    }
                    pg_sys::AlterTableType::AT_DropConstraint => {
                        let constraint = ext::constraint_of(relid, (*c).name);
                        Some((CONSTRAINT, constraint.to_u32(), 0))
                    }
                    _ => None,
                };
                list::iter::<pg_sys::AlterTableCmd>(stmt.cmds).filter(cascades).filter_map(part).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// The object of a name in DROP, when there is one that the user may drop. The server says what is wrong with other names.
///
/// # Safety
/// `name` is as the parser makes it for this kind.
unsafe fn object(kind: pg_sys::ObjectType::Type, name: *mut pg_sys::Node) -> Option<Address> {
    // SAFETY: `name` is as the parser makes it for this kind.
    unsafe {
        use pg_sys::ObjectType::*;
        if matches!(kind, OBJECT_TABLE | OBJECT_VIEW | OBJECT_MATVIEW | OBJECT_FOREIGN_TABLE) {
            let relid = find(pg_sys::makeRangeVarFromNameList(name.cast()));
            let may = relid != pg_sys::InvalidOid
                && (owns(relid) || may_drop(pg_sys::NamespaceRelationId, pg_sys::get_rel_namespace(relid)));
            return may.then(|| (pg_sys::RelationRelationId.to_u32(), relid.to_u32(), 0));
        }
        if !matches!(
            kind,
            OBJECT_SCHEMA
                | OBJECT_TYPE
                | OBJECT_DOMAIN
                | OBJECT_FUNCTION
                | OBJECT_AGGREGATE
                | OBJECT_ROUTINE
                | OBJECT_OPERATOR
                | OBJECT_EXTENSION
                | OBJECT_COLLATION
        ) {
            return None;
        }
        let mut relation: pg_sys::Relation = std::ptr::null_mut();
        let address = pg_sys::get_object_address(kind, name, &mut relation, pg_sys::AccessShareLock as i32, true);
        (address.objectId != pg_sys::InvalidOid && may_drop(address.classId, address.objectId))
            .then(|| (address.classId.to_u32(), address.objectId.to_u32(), 0))
    }
}

fn may_drop(class: Oid, object: Oid) -> bool {
    // SAFETY: look-ups in system caches, of an object that exists.
    unsafe {
        let user = pg_sys::GetUserId();
        #[cfg(not(feature = "pg15"))]
        return pg_sys::object_ownercheck(class, object, user);
        #[cfg(feature = "pg15")]
        match class {
            pg_sys::NamespaceRelationId => pg_sys::pg_namespace_ownercheck(object, user),
            pg_sys::TypeRelationId => pg_sys::pg_type_ownercheck(object, user),
            pg_sys::ProcedureRelationId => pg_sys::pg_proc_ownercheck(object, user),
            pg_sys::ExtensionRelationId => pg_sys::pg_extension_ownercheck(object, user),
            _ => pg_sys::superuser(),
        }
    }
}

/// The objects that a role owns in this database, when the user may drop them.
///
/// # Safety
/// `role` is a live node of a tree of the server.
unsafe fn owned(role: *mut pg_sys::RoleSpec) -> Vec<Address> {
    // SAFETY: `role` is a live node of a tree of the server.
    unsafe {
        let role = pg_sys::get_rolespec_oid(role, true);
        if role == pg_sys::InvalidOid || !pg_sys::has_privs_of_role(pg_sys::GetUserId(), role) {
            return Vec::new();
        }
        let wanted = [SHARED_DEPEND_DATABASE, SHARED_DEPEND_CLASS, SHARED_DEPEND_OBJECT, SHARED_DEPEND_KIND];
        let mut found = SHARED_DEPEND_BY_REFERENCE.find(&[pg_sys::AuthIdRelationId, role], &wanted);
        found.retain(|row| row[0] == pg_sys::MyDatabaseId && row[3] == OWNED);
        found.into_iter().map(|row| (row[1].to_u32(), row[2].to_u32(), 0)).collect()
    }
}
