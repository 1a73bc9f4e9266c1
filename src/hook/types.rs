//! Types whose values become something else without a write: labels of enums, attributes of composite types.
//!
//! Invariant: a TVIEW that depends on such a type, through columns, functions and other types, is computed again in the same transaction, and no session
//! keeps SQL with the old names. Called by utility.

use super::dependents::tviews_over;
use super::named::find;
use super::utility::{After, Call};
use crate::catalog;
use crate::pg::pinned::Pinned;
use crate::pg::relation::Relation;
use crate::queue;
use crate::tam::storage;
use pgrx::pg_sys::{self, Oid};

/// Notes the type that a statement changes.
///
/// # Safety
/// `call` holds a statement that is about to be executed.
pub unsafe fn before(call: &mut Call) {
    // SAFETY: `call` holds the statement that the server is executing.
    unsafe {
        use pg_sys::NodeTag::*;
        let tree = (*call.pstmt).utilityStmt;
        let of = |relation: *mut pg_sys::RangeVar| pg_sys::get_rel_type_id(find(relation));
        let changed = match (*tree).type_ {
            T_AlterEnumStmt if !(*tree.cast::<pg_sys::AlterEnumStmt>()).oldVal.is_null() => {
                let name = pg_sys::makeTypeNameFromNameList((*tree.cast::<pg_sys::AlterEnumStmt>()).typeName);
                pg_sys::LookupTypeNameOid(std::ptr::null_mut(), name, true)
            }
            T_RenameStmt if (*tree.cast::<pg_sys::RenameStmt>()).renameType == pg_sys::ObjectType::OBJECT_ATTRIBUTE => {
                of((*tree.cast::<pg_sys::RenameStmt>()).relation)
            }
            T_AlterTableStmt if (*tree.cast::<pg_sys::AlterTableStmt>()).objtype == pg_sys::ObjectType::OBJECT_TYPE => {
                of((*tree.cast::<pg_sys::AlterTableStmt>()).relation)
            }
            _ => return,
        };
        if changed != pg_sys::InvalidOid {
            call.after = After::Type(changed);
        }
    }
}

/// After the statement.
pub fn changed(of: Oid) {
    // SAFETY: makes the statement's catalog changes visible.
    unsafe { pg_sys::CommandCounterIncrement() };
    let start = vec![(pg_sys::TypeRelationId.to_u32(), of.to_u32(), 0)];
    let concerned = tviews_over(start);
    if concerned.is_empty() {
        return;
    }
    // SAFETY: a look-up in a system cache.
    let has_attributes = unsafe { pg_sys::get_typtype(of) } as u8 == pg_sys::TYPTYPE_COMPOSITE;
    for relid in concerned {
        if has_attributes {
            index_again(relid);
        }
        queue::recompute(relid);
    }
    catalog::invalidate_all();
}

/// Rows are found by hashes, and the hash of a value changes with the attributes of its type, although its bytes do not.
fn index_again(tview: Oid) {
    // The lock that REINDEX takes, and more: the owner's functions may be called.
    let Some(rel) = Relation::open(tview, pg_sys::AccessExclusiveLock) else { return };
    let (owner, persistence) = (rel.class().relowner, rel.class().relpersistence as u8);
    // SAFETY: the relation is locked and, after the check, open only here.
    unsafe {
        pg_sys::CheckTableNotInUse(rel.raw(), c"ALTER TYPE".as_ptr());
        drop(rel);
        let _pinned = Pinned::new(owner);
        storage::rebuild_indexes(tview, persistence);
    }
}
