//! Temporary tables in the query of a TVIEW: parse analysis refuses them for materialized views, but without position or hint.
//!
//! Invariant: only says what analysis would say anyway; names of CTEs are not looked up, and in doubt nothing is said.

use pgrx::{pg_guard, pg_sys};
use std::collections::BTreeSet;
use std::ffi::{c_void, CStr, CString};

use super::complaint::Complaint;
use crate::pg::{ext, list};

#[derive(Default)]
struct Search {
    ctes: BTreeSet<CString>,
    found: Option<(CString, i32)>,
}

/// The first temporary table that a CREATE MATERIALIZED VIEW among `trees` reads.
///
/// # Safety
/// `trees` is a result of the parser.
pub unsafe fn check(trees: *mut pg_sys::List) -> Complaint {
    if !pg_sys::IsTransactionState() || pg_sys::IsAbortedTransactionBlockState() {
        return Complaint::NONE;
    }
    for raw in list::iter::<pg_sys::RawStmt>(trees) {
        let stmt = (*raw).stmt.cast::<pg_sys::CreateTableAsStmt>();
        if !list::is(stmt, pg_sys::NodeTag::T_CreateTableAsStmt)
            || (*stmt).objtype != pg_sys::ObjectType::OBJECT_MATVIEW
        {
            continue;
        }
        let mut search = Search::default();
        step((*stmt).query, (&mut search as *mut Search).cast());
        if let Some((name, offset)) = search.found {
            let message = format!("temporary table \"{}\" cannot be maintained", name.to_string_lossy());
            let message = CString::new(message).unwrap_or_default();
            return Complaint {
                message: pg_sys::pstrdup(message.as_ptr()),
                offset,
                code: pgrx::PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED as i32,
                hint: c"Other sessions cannot read it.".as_ptr(),
            };
        }
    }
    Complaint::NONE
}

#[pg_guard]
unsafe extern "C-unwind" fn step(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    if node.is_null() {
        return false;
    }
    let search = &mut *context.cast::<Search>();
    match (*node).type_ {
        pg_sys::NodeTag::T_WithClause => {
            for cte in list::iter::<pg_sys::CommonTableExpr>((*node.cast::<pg_sys::WithClause>()).ctes) {
                search.ctes.insert(CStr::from_ptr((*cte).ctename).to_owned());
            }
        }
        pg_sys::NodeTag::T_SelectStmt => {
            // The walker visits WITH last; its names are needed first.
            let with = (*node.cast::<pg_sys::SelectStmt>()).withClause;
            if !with.is_null() {
                step(with.cast(), context);
            }
        }
        pg_sys::NodeTag::T_RangeVar => {
            let var = node.cast::<pg_sys::RangeVar>();
            let name = CStr::from_ptr((*var).relname);
            if (*var).schemaname.is_null() && search.ctes.contains(name) {
                return false;
            }
            let flags = pg_sys::RVROption::RVR_MISSING_OK;
            let lock = pg_sys::NoLock as i32;
            let relid = pg_sys::RangeVarGetRelidExtended(var, lock, flags, None, std::ptr::null_mut());
            if relid != pg_sys::InvalidOid && pg_sys::get_rel_persistence(relid) as u8 == pg_sys::RELPERSISTENCE_TEMP {
                search.found = Some((name.to_owned(), (*var).location));
                return true;
            }
            return false;
        }
        _ => {}
    }
    ext::raw_expression_tree_walker(node, Some(step), context)
}
