//! Row security of tables that are read through views of other owners.
//!
//! The server applies policies as the role that a table is read as: through a view, its owner, unless it is a security invoker
//! (fireRIRrules in rewrite/rewriteHandler.c, get_row_security_policies in rewrite/rowsecurity.c). A flush reads the changed rows of the table
//! itself, as the owner of the TVIEW. Invariant: where policies apply to either, the two are the same role.
//! Called when a TVIEW is made, and when anything changes that decides it.

use crate::pg::error::{Error, Result};
use crate::pg::{acl, list, name, walk};
use pgrx::pg_sys;

/// Refuses a table with row security that is read as another role than the owner of the TVIEW.
///
/// # Safety
/// `query` is a valid query with its views expanded.
pub unsafe fn check(query: *mut pg_sys::Query, owner: pg_sys::Oid) -> Result<()> {
    // SAFETY: `query` is a valid query, as the caller promises.
    unsafe {
        let mut error = None;
        walk::walk(query.cast(), &mut |node| {
            if list::is(node, pg_sys::NodeTag::T_Query) {
                let query = node.cast::<pg_sys::Query>();
                error = list::iter::<pg_sys::RangeTblEntry>((*query).rtable)
                    .find_map(|rte| check_one(query, rte, owner).err());
            }
            error.is_some()
        });
        error.map_or(Ok(()), Err)
    }
}

unsafe fn check_one(query: *mut pg_sys::Query, rte: *mut pg_sys::RangeTblEntry, owner: pg_sys::Oid) -> Result<()> {
    // SAFETY: `rte` is an entry of the range table of `query`.
    unsafe {
        if (*rte).rtekind != pg_sys::RTEKind::RTE_RELATION || (*rte).relkind as u8 == pg_sys::RELKIND_VIEW {
            return Ok(());
        }
        let reader = read_as(query, rte);
        let applies =
            |to| pg_sys::check_enable_rls((*rte).relid, to, true) == pg_sys::CheckEnableRlsResult::RLS_ENABLED as i32;
        if reader == pg_sys::InvalidOid || reader == owner || !applies(reader) && !applies(owner) {
            return Ok(());
        }
        Err(Error::Unsupported {
            what: format!(
                "row security of table \"{}\" cannot be followed through a view of another owner",
                name::bare((*rte).relid)
            ),
            detail: Some(format!("The view reads the table as role \"{}\".", acl::role_name(reader))),
            hint: Some("Make the view security_invoker, or let one role own the view and the TVIEW.".into()),
            at: -1,
        })
    }
}

/// The role that a relation is read as; invalid when it is the one that runs the query.
unsafe fn read_as(query: *mut pg_sys::Query, rte: *mut pg_sys::RangeTblEntry) -> pg_sys::Oid {
    // SAFETY: `rte` is an entry of the range table of `query`.
    unsafe {
        #[cfg(feature = "pg15")]
        {
            let _ = query;
            (*rte).checkAsUser
        }
        #[cfg(not(feature = "pg15"))]
        {
            if (*rte).perminfoindex == 0 {
                return pg_sys::InvalidOid;
            }
            (*pg_sys::getRTEPermissionInfo((*query).rteperminfos, rte)).checkAsUser
        }
    }
}
