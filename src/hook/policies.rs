//! Policies, and the roles they apply to: statements that change which rows a TVIEW's owner sees.
//!
//! Invariant: TVIEWs over such tables are defined anew in the same transaction. Called by utility, and by other handlers that change policies.

use crate::build::redefine::{self, redefine};
use crate::capture::install;
use crate::catalog;
use crate::hook::call::Call;
use crate::hook::named::find;
use crate::pg::error::Result;
use crate::pg::list;
use pgrx::pg_sys;
use std::collections::BTreeSet;
use std::ffi::CStr;

pub fn policy(call: &mut Call) -> Result<()> {
    // SAFETY: `call` holds the statement that the server is executing.
    unsafe {
        let tree = (*call.pstmt).utilityStmt;
        let table = if (*tree).type_ == pg_sys::NodeTag::T_CreatePolicyStmt {
            (*tree.cast::<pg_sys::CreatePolicyStmt>()).table
        } else {
            (*tree.cast::<pg_sys::AlterPolicyStmt>()).table
        };
        let oid = find(table);
        if oid != pg_sys::InvalidOid {
            let changed = BTreeSet::from([oid.to_u32()]);
            call.then(move || policies_changed(&changed));
        }
        Ok(())
    }
}

/// Policies of tables changed: TVIEWs that read them may see other rows, and read other tables for that.
pub fn policies_changed(tables: &BTreeSet<u32>) -> Result<()> {
    // SAFETY: makes the statement's catalog changes visible.
    unsafe { pg_sys::CommandCounterIncrement() };
    let around: BTreeSet<u32> =
        tables.iter().flat_map(|t| install::covering(pg_sys::Oid::from(*t))).chain(tables.iter().copied()).collect();
    redefine(redefine::tviews(|names| !names.is_disjoint(&around))?)
}

/// ALTER ROLE, GRANT and REVOKE of roles: statements that decide to whom policies apply.
pub fn roles(call: &mut Call) -> Result<()> {
    // SAFETY: `call` holds the statement that the server is executing.
    unsafe {
        let tree = (*call.pstmt).utilityStmt;
        let decides = |option: *mut pg_sys::DefElem| {
            [c"superuser", c"bypassrls", c"inherit", c"rolemembers"].contains(&CStr::from_ptr((*option).defname))
        };
        if !list::is(tree, pg_sys::NodeTag::T_AlterRoleStmt)
            || list::iter((*tree.cast::<pg_sys::AlterRoleStmt>()).options).any(decides)
        {
            call.then(roles_changed);
        }
        Ok(())
    }
}

/// The roles that policies apply to may have changed.
pub fn roles_changed() -> Result<()> {
    let read: BTreeSet<u32> = catalog::sources(|_| true).into_iter().map(|s| s.relid.to_u32()).collect();
    let tables: BTreeSet<u32> = read.into_iter().filter(|t| redefine::has_policies(pg_sys::Oid::from(*t))).collect();
    if tables.is_empty() {
        return Ok(());
    }
    policies_changed(&tables)
}
