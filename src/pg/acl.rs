//! Privileges of roles, and the names of roles.
//!
//! Invariant: only system caches are read, and nothing is raised when a privilege is missing. The server's functions have other names from 16 on.
//! Source: catalog/aclchk.c.

use pgrx::pg_sys::{self, AclResult::ACLCHECK_OK, Oid};
use std::ffi::CStr;

const SELECT: pg_sys::AclMode = pg_sys::ACL_SELECT as pg_sys::AclMode;
const USAGE: pg_sys::AclMode = pg_sys::ACL_USAGE as pg_sys::AclMode;
const EXECUTE: pg_sys::AclMode = pg_sys::ACL_EXECUTE as pg_sys::AclMode;

/// Not for a relation that does not exist any more.
pub fn may_select(relid: Oid, role: Oid) -> bool {
    let mut is_missing = false;
    // SAFETY: a look-up in system caches.
    let granted = unsafe { pg_sys::pg_class_aclcheck_ext(relid, role, SELECT, &mut is_missing) };
    granted == ACLCHECK_OK && !is_missing
}

pub fn may_select_column(relid: Oid, column: i16, role: Oid) -> bool {
    // SAFETY: as above.
    unsafe { pg_sys::pg_attribute_aclcheck(relid, column, role, SELECT) == ACLCHECK_OK }
}

pub fn may_use_schema(schema: Oid, role: Oid) -> bool {
    // SAFETY: as above.
    unsafe {
        #[cfg(feature = "pg15")]
        return pg_sys::pg_namespace_aclcheck(schema, role, USAGE) == ACLCHECK_OK;
        #[cfg(not(feature = "pg15"))]
        return pg_sys::object_aclcheck(pg_sys::NamespaceRelationId, schema, role, USAGE) == ACLCHECK_OK;
    }
}

pub fn may_execute(function: Oid, role: Oid) -> bool {
    // SAFETY: as above.
    unsafe {
        #[cfg(feature = "pg15")]
        return pg_sys::pg_proc_aclcheck(function, role, EXECUTE) == ACLCHECK_OK;
        #[cfg(not(feature = "pg15"))]
        return pg_sys::object_aclcheck(pg_sys::ProcedureRelationId, function, role, EXECUTE) == ACLCHECK_OK;
    }
}

pub fn owns_database(database: Oid) -> bool {
    // SAFETY: as above.
    unsafe {
        #[cfg(feature = "pg15")]
        return pg_sys::pg_database_ownercheck(database, pg_sys::GetUserId());
        #[cfg(not(feature = "pg15"))]
        return pg_sys::object_ownercheck(pg_sys::DatabaseRelationId, database, pg_sys::GetUserId());
    }
}

/// Messages of errors can contain data of the tables: they are shown to the TVIEW's owner and to members of `pg_read_all_stats`.
pub fn may_read_errors(tview: Oid) -> bool {
    super::relation::class_of(tview).is_some_and(|class| {
        // SAFETY: look-ups of role membership.
        unsafe {
            let user = pg_sys::GetUserId();
            pg_sys::has_privs_of_role(user, class.relowner)
                || pg_sys::has_privs_of_role(user, Oid::from(pg_sys::ROLE_PG_READ_ALL_STATS))
        }
    })
}

/// The name of a role, or its number.
pub fn role_name(role: Oid) -> String {
    // SAFETY: a look-up in a system cache; null for a role that is gone.
    unsafe { text(pg_sys::GetUserNameFromId(role, true)) }.unwrap_or_else(|| role.to_u32().to_string())
}

/// The name of the role that owns a relation.
pub fn owner_name(relid: Oid) -> String {
    super::relation::class_of(relid).map(|class| role_name(class.relowner)).unwrap_or_default()
}

pub fn schema_name(schema: Oid) -> String {
    // SAFETY: a look-up in a system cache; null for a schema that is gone.
    unsafe { text(pg_sys::get_namespace_name(schema)) }.unwrap_or_default()
}

pub fn schema_of_operator(operator: Oid) -> Oid {
    // SAFETY: a look-up in a system cache, whose entry is released after it was read.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::OPEROID as i32, operator.into());
        if tuple.is_null() {
            return pg_sys::InvalidOid;
        }
        let schema = (*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_operator>()).oprnamespace;
        pg_sys::ReleaseSysCache(tuple);
        schema
    }
}

/// # Safety
/// Null or a C string.
unsafe fn text(name: *const std::ffi::c_char) -> Option<String> {
    // SAFETY: null or a C string.
    unsafe { (!name.is_null()).then(|| CStr::from_ptr(name).to_string_lossy().into_owned()) }
}

/// Whether the user is the owner, or has MAINTAIN where that privilege exists (17).
pub fn maintains(relid: pg_sys::Oid) -> bool {
    #[cfg(feature = "since_17")]
    // SAFETY: an existing relation.
    unsafe {
        let granted = pg_sys::pg_class_aclcheck(relid, pg_sys::GetUserId(), pg_sys::ACL_MAINTAIN as pg_sys::AclMode);
        if granted == pg_sys::AclResult::ACLCHECK_OK {
            return true;
        }
    }
    owns(relid)
}

pub fn owns(relid: pg_sys::Oid) -> bool {
    // SAFETY: an existing relation.
    unsafe {
        #[cfg(feature = "pg15")]
        return pg_sys::pg_class_ownercheck(relid, pg_sys::GetUserId());
        #[cfg(not(feature = "pg15"))]
        pg_sys::object_ownercheck(pg_sys::RelationRelationId, relid, pg_sys::GetUserId())
    }
}
