//! Objects by which the meaning of values changes without a write: labels of enums, attributes of composite types, text search configurations and
//! dictionaries, versions of collations.
//!
//! Invariant: a TVIEW that depends on such an object, through columns, functions and other objects, is computed again in the same transaction, and
//! no session keeps SQL with the old names. Called by utility.

use super::dependents::tviews_over;
use super::named::find;
use crate::build::redefine;
use crate::catalog::{self, stages};
use crate::hook::call::Call;
use crate::pg::error::Result;
use crate::pg::pinned::Pinned;
use crate::pg::relation::Relation;
use crate::pg::syscatalog::{TS_CONFIG, TS_DICTIONARY};
use crate::queue;
use crate::tam::storage;
use pgrx::pg_sys::{self, Oid};
use std::collections::BTreeSet;

/// Notes the object that a statement changes.
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
            _ => {
                if let Some((class, of)) = other(tree).filter(|o| o.1 != pg_sys::InvalidOid) {
                    call.then(move || changed_object(class, of));
                }
                return;
            }
        };
        if changed != pg_sys::InvalidOid {
            call.then(move || changed_object(pg_sys::TypeRelationId, changed));
        }
    }
}

/// The class and number of the object that a statement changes, when it is no type.
///
/// # Safety
/// `tree` is a live node of a tree of the server.
unsafe fn other(tree: *mut pg_sys::Node) -> Option<(Oid, Oid)> {
    // SAFETY: `tree` is a live node of a tree of the server.
    unsafe {
        use pg_sys::NodeTag::*;
        match (*tree).type_ {
            T_AlterTSConfigurationStmt => {
                let names = (*tree.cast::<pg_sys::AlterTSConfigurationStmt>()).cfgname;
                Some((Oid::from(TS_CONFIG), pg_sys::get_ts_config_oid(names, true)))
            }
            T_AlterTSDictionaryStmt => {
                let names = (*tree.cast::<pg_sys::AlterTSDictionaryStmt>()).dictname;
                Some((Oid::from(TS_DICTIONARY), pg_sys::get_ts_dict_oid(names, true)))
            }
            T_AlterCollationStmt => {
                let names = (*tree.cast::<pg_sys::AlterCollationStmt>()).collname;
                Some((pg_sys::CollationRelationId, pg_sys::get_collation_oid(names, true)))
            }
            _ => None,
        }
    }
}

/// After the statement: recomputes the TVIEWs that depend on the object.
fn changed_object(class: Oid, of: Oid) -> Result<()> {
    // SAFETY: makes the statement's catalog changes visible.
    unsafe { pg_sys::CommandCounterIncrement() };
    let start = vec![(class.to_u32(), of.to_u32(), 0)];
    let concerned = tviews_over(start);
    if concerned.is_empty() {
        return Ok(());
    }
    // SAFETY: a look-up in a system cache.
    let hashes_change = class == pg_sys::CollationRelationId
        || class == pg_sys::TypeRelationId && unsafe { pg_sys::get_typtype(of) } as u8 == pg_sys::TYPTYPE_COMPOSITE;
    let roots: BTreeSet<u32> = concerned.iter().map(|relid| stages::root(*relid).to_u32()).collect();
    roots.into_iter().map(Oid::from).try_for_each(redefine::check)?;
    for relid in concerned {
        if hashes_change {
            index_again(relid);
        }
        queue::recompute(relid);
    }
    catalog::invalidate_all();
    Ok(())
}

/// Rows are found by hashes, and the hash of a value changes with the attributes of its type, although its bytes do not; so do order and
/// equality with a collation.
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
