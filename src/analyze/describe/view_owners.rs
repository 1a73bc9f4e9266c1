//! Row security of tables that are read through views of other owners.
//!
//! The server applies policies as the role that a table is read as: through a view, its owner, unless it is a security invoker
//! (fireRIRrules in rewrite/rewriteHandler.c, get_row_security_policies in rewrite/rowsecurity.c). A flush reads the changed rows of the table
//! itself, as the owner of the TVIEW. Invariant: where policies apply to either role, the two are the same.
//! Called when a TVIEW is made, and when the owners of the TVIEW, of its views or of row security change.

use crate::pg::error::{Error, Result};
use crate::pg::tree::{Query, RangeTblEntry, list, server, walk};
use crate::pg::{acl, name};
use pgrx::pg_sys;

/// Refuses a table with row security that is read as another role than the owner of the TVIEW.
pub fn check(query: Query, owner: pg_sys::Oid) -> Result<()> {
    let mut error = None;
    walk::walk(query.cast(), &mut |node| {
        if list::is(node, pg_sys::NodeTag::T_Query) {
            let query = node.cast::<pg_sys::Query>();
            error =
                list::iter::<pg_sys::RangeTblEntry>(query.rtable()).find_map(|rte| check_one(query, rte, owner).err());
        }
        error.is_some()
    });
    error.map_or(Ok(()), Err)
}

fn check_one(query: Query, rte: RangeTblEntry, owner: pg_sys::Oid) -> Result<()> {
    if rte.rtekind() != pg_sys::RTEKind::RTE_RELATION || rte.relkind() == pg_sys::RELKIND_VIEW {
        return Ok(());
    }
    let reader = server::read_as(query, rte);
    let applies = |to| {
        // SAFETY: a look-up for an existing relation.
        let enabled = unsafe { pg_sys::check_enable_rls(rte.relid(), to, true) };
        enabled == pg_sys::CheckEnableRlsResult::RLS_ENABLED as i32
    };
    if reader == pg_sys::InvalidOid || reader == owner || !applies(reader) && !applies(owner) {
        return Ok(());
    }
    Err(Error::Unsupported {
        what: format!(
            "row security of table \"{}\" cannot be followed through a view of another owner",
            name::bare(rte.relid())
        ),
        detail: Some(format!("The view reads the table as role \"{}\".", acl::role_name(reader))),
        hint: Some("Make the view security_invoker, or let one role own the view and the TVIEW.".into()),
        at: -1,
    })
}
