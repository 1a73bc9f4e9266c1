//! CREATE TABLE tv_x AS, SELECT INTO tv_x: a name that begins with `pg_tviews.ctas_prefix` asks for a TVIEW, and the statement never fails
//! because there can be none.
//!
//! Invariant: either the TVIEW is made, in a sub-transaction, and a NOTICE says that it is no copy; or nothing of the attempt is left, the server
//! makes the ordinary table, and a NOTICE says why. Errors that an ordinary table would meet too are raised by the server when it makes the
//! table. Nothing with side effects is computed twice: volatile functions are refused before anything is computed.
//! Statements that name an access method are left alone; statements with options of TVIEWs mean a TVIEW and may fail. Called by create.

use super::create;
use crate::hook::call::Call;
use crate::pg::error::Result;
use crate::pg::original::Told;
use crate::pg::{callback, ext, guc, list, subtransaction};
use pgrx::pg_sys;
use std::ffi::CStr;

/// The reason why a table is an ordinary table.
pub struct Ordinary {
    name: String,
    reason: String,
    hint: Option<String>,
}

/// Whether a statement would make a table whose name asks for a TVIEW.
///
/// # Safety
/// `stmt` is a live node.
pub unsafe fn asks(stmt: *mut pg_sys::CreateTableAsStmt) -> bool {
    // SAFETY: `stmt` is a live node, as the caller promises.
    unsafe {
        (*stmt).objtype == pg_sys::ObjectType::OBJECT_TABLE
            && (*(*stmt).into).accessMethod.is_null()
            && has_prefix((*(*stmt).into).rel)
            && !create::names_options(stmt)
    }
}

/// # Safety
/// `rel` is a live node.
pub unsafe fn has_prefix(rel: *mut pg_sys::RangeVar) -> bool {
    // SAFETY: `rel` is a live node, as the caller promises.
    unsafe {
        let Some(prefix) = guc::CTAS_PREFIX.get() else { return false };
        let prefix = prefix.to_bytes();
        !prefix.is_empty() && CStr::from_ptr((*rel).relname).to_bytes().starts_with(prefix)
    }
}

pub fn before(call: &mut Call) -> Result<()> {
    // SAFETY: `call` holds the statement that the server is executing.
    unsafe {
        let stmt = (*call.pstmt).utilityStmt.cast::<pg_sys::CreateTableAsStmt>();
        let rel = ext::copy((*(*stmt).into).rel);
        let schema = pg_sys::RangeVarGetCreationNamespace(rel);
        if pg_sys::get_relname_relid((*rel).relname, schema) != pg_sys::InvalidOid {
            // The server has its own message for an existing name, with or without IF NOT EXISTS.
            return create::plain_table(call, stmt);
        }
        let refused = match never(stmt) {
            Some(why) => Ordinary::new(rel, why.into(), None),
            None => match subtransaction::told(|_| false, || attempt(call)) {
                Ok(completion) => {
                    call.done = true;
                    if !call.completion.is_null() {
                        *call.completion = completion;
                    }
                    say_made(rel);
                    return Ok(());
                }
                Err(Told { message, hint, .. }) => Ordinary::new(rel, message, hint),
            },
        };
        create::plain_table(call, stmt)?;
        call.then(move || {
            refused.say();
            Ok(())
        });
        Ok(())
    }
}

/// EXPLAIN ANALYZE makes the table below the utility statement.
///
/// # Safety
/// `stmt` is a live node of a tree of the server.
pub unsafe fn explained(call: &mut Call, stmt: *mut pg_sys::CreateTableAsStmt) {
    // SAFETY: `stmt` is a live node of a tree of the server.
    unsafe {
        let refused = Ordinary::new((*(*stmt).into).rel, "EXPLAIN ANALYZE cannot create one".into(), None);
        call.then(move || {
            refused.say();
            Ok(())
        });
    }
}

/// The reason that is known without looking at the query.
///
/// # Safety
/// `stmt` is a live node of a tree of the server.
unsafe fn never(stmt: *mut pg_sys::CreateTableAsStmt) -> Option<&'static str> {
    // SAFETY: `stmt` is a live node of a tree of the server.
    unsafe {
        if (*(*(*stmt).into).rel).relpersistence as u8 == pg_sys::RELPERSISTENCE_TEMP {
            return Some("a TVIEW cannot be temporary");
        }
        let query = (*stmt).query.cast::<pg_sys::Query>();
        let executes = list::is((*stmt).query, pg_sys::NodeTag::T_Query)
            && list::is((*query).utilityStmt, pg_sys::NodeTag::T_ExecuteStmt);
        executes.then_some("a TVIEW cannot be made from EXECUTE")
    }
}

/// Executes the statement as CREATE MATERIALIZED VIEW with our access method, hooks included.
fn attempt(call: &Call) -> pg_sys::QueryCompletion {
    // SAFETY: a statement of its own, in the place of the one that the server is executing.
    unsafe {
        let pstmt = ext::copy(call.pstmt);
        let stmt = (*pstmt).utilityStmt.cast::<pg_sys::CreateTableAsStmt>();
        (*stmt).objtype = pg_sys::ObjectType::OBJECT_MATVIEW;
        (*stmt).is_select_into = false;
        (*(*stmt).into).accessMethod = pg_sys::pstrdup(create::TVIEW.as_ptr());
        let mut completion: pg_sys::QueryCompletion = std::mem::zeroed();
        pg_sys::ProcessUtility(
            pstmt,
            callback::source(),
            false,
            pg_sys::ProcessUtilityContext::PROCESS_UTILITY_QUERY,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            pg_sys::None_Receiver,
            &mut completion,
        );
        completion
    }
}

fn say_made(rel: *mut pg_sys::RangeVar) {
    let name = label(rel);
    pgrx::pg_sys::panic::ErrorReport::new(
        pgrx::PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION,
        format!("\"{name}\" is a TVIEW: it follows the tables of its query, and keeps no copy of what they had"),
        "convention",
    )
    .set_hint("SET pg_tviews.ctas_prefix = '' makes ordinary tables of such names, too.")
    .report(pgrx::PgLogLevel::NOTICE);
}

impl Ordinary {
    fn new(rel: *mut pg_sys::RangeVar, reason: String, hint: Option<String>) -> Ordinary {
        Ordinary { name: label(rel), reason, hint }
    }

    /// Raises the NOTICE, when the table is there.
    pub fn say(&self) {
        let mut report = pgrx::pg_sys::panic::ErrorReport::new(
            pgrx::PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION,
            format!("\"{}\" is an ordinary table and no TVIEW: {}", self.name, self.reason),
            "convention",
        );
        if let Some(hint) = &self.hint {
            report = report.set_hint(hint.clone());
        }
        report.report(pgrx::PgLogLevel::NOTICE);
    }
}

fn label(rel: *mut pg_sys::RangeVar) -> String {
    // SAFETY: a live node, whose name is a C string.
    unsafe { CStr::from_ptr((*rel).relname).to_string_lossy().into_owned() }
}
