//! Operators that SQL cannot name with their schema.
//!
//! JOIN … USING, NATURAL JOIN, NULLIF, IS DISTINCT FROM, CASE x WHEN and row comparisons are written without the operator
//! they use, so deparsed text finds it by search_path. Invariant: the path with which the SQL of a TVIEW runs finds the
//! operators that the stored query has: pg_catalog first, then the schemas of all its other operators (an exact match
//! of the argument types wins over one in an earlier schema that needs a cast).

use crate::pg::{name, walk};
use pgrx::pg_sys;
use std::collections::BTreeSet;
use std::ffi::{CStr, CString};

/// The search_path for running the SQL of an expanded query.
///
/// # Safety
/// `query` is valid.
pub unsafe fn search_path(query: *mut pg_sys::Query) -> CString {
    let mut schemas = BTreeSet::new();
    walk::walk(query.cast(), &mut |node| {
        for op in operators_of(node) {
            schemas.extend(schema_of(op));
        }
        false
    });
    let mut path = vec!["pg_catalog".to_string()];
    path.extend(schemas.iter().filter(|s| *s != "pg_catalog").map(|s| name::ident(s)));
    path.push("pg_temp".into());
    CString::new(path.join(", ")).unwrap_or_default()
}

unsafe fn operators_of(node: *mut pg_sys::Node) -> Vec<pg_sys::Oid> {
    use pg_sys::NodeTag::*;
    match (*node).type_ {
        // DistinctExpr and NullIfExpr are the same struct.
        T_OpExpr | T_DistinctExpr | T_NullIfExpr => vec![(*node.cast::<pg_sys::OpExpr>()).opno],
        T_RowCompareExpr => crate::pg::list::oids((*node.cast::<pg_sys::RowCompareExpr>()).opnos),
        _ => Vec::new(),
    }
}

unsafe fn schema_of(op: pg_sys::Oid) -> Option<String> {
    let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::OPEROID as i32, pg_sys::Datum::from(op));
    if tuple.is_null() {
        return None;
    }
    let form = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_operator>();
    let schema = pg_sys::get_namespace_name((*form).oprnamespace);
    pg_sys::ReleaseSysCache(tuple);
    (!schema.is_null()).then(|| CStr::from_ptr(schema).to_string_lossy().into_owned())
}
