//! What was done to TVIEWs as objects: rows of `tviews.audit`, for the view `pg_tview_meta_audit`.
//!
//! Invariant: a row is written by the statement that defines or drops a TVIEW, in its transaction, so the rows that are there tell what happened.
//! Stages have none. Nothing reads the rows but users. Called by the DDL hooks.

use super::stages;
use super::table::Table;
use crate::pg::snapshot::Active;
use crate::pg::{acl, name};
use crate::tam;
use pgrx::{IntoDatum, pg_sys};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Create,
    /// Another query.
    Replace,
    /// The relation goes, or is no TVIEW any more.
    Drop,
}

/// Notes an operation on a TVIEW that exists, still or already.
pub fn note(operation: Operation, tview: pg_sys::Oid) {
    if tam::is_tview(tview) && !stages::is_stage(tview) {
        write(operation, tview);
    }
}

/// Notes that a relation has become an ordinary materialized view.
pub fn note_former(tview: pg_sys::Oid) {
    write(Operation::Drop, tview);
}

fn write(operation: Operation, tview: pg_sys::Oid) {
    let Some(table) = Table::open("audit", pg_sys::RowExclusiveLock) else { return };
    let word = match operation {
        Operation::Create => "CREATE",
        Operation::Replace => "REPLACE",
        Operation::Drop => "DROP",
    };
    // SAFETY: look-ups of an existing relation; the function takes its oid and gives a text.
    unsafe {
        let schema = acl::schema_name(pg_sys::get_rel_namespace(tview));
        let label = name::bare(tview);
        let definition = (operation != Operation::Drop).then(|| {
            // It looks the query up with the active snapshot, which is older than the TVIEW.
            let _snapshot = Active::latest();
            let function = pg_sys::F_PG_GET_VIEWDEF_OID;
            pg_sys::OidFunctionCall1Coll(function, pg_sys::InvalidOid, tview.into())
        });
        table.insert(&[
            // a timestamptz is a number of microseconds
            pg_sys::GetCurrentTransactionStartTimestamp().into_datum(),
            word.into_datum(),
            tview.into_datum(),
            schema.into_datum(),
            label.into_datum(),
            acl::role_name(pg_sys::GetUserId()).into_datum(),
            definition,
        ]);
    }
}
