//! Operators that SQL cannot name with their schema.
//!
//! NULLIF, IS DISTINCT FROM, CASE x WHEN and comparisons of rows are written without the operator
//! they use, so deparsed text finds it by search_path. Invariant: the path with which the SQL of a TVIEW runs finds the
//! operators that the stored query has: pg_catalog first, then the schemas of those operators, and no others (an exact match
//! of the argument types wins over one in an earlier schema that needs a cast; see pg/callees.rs).

use crate::pg::name;
use crate::pg::tree::{Node, Query, list, server, walk};
use pgrx::pg_sys;
use std::collections::BTreeSet;
use std::ffi::{CStr, CString};

/// The search_path for running the SQL of an expanded query.
pub fn search_path(query: Query) -> CString {
    let mut schemas = BTreeSet::new();
    walk::walk(query.cast(), &mut |node| {
        for part in without_names(node) {
            add(part, &mut schemas);
        }
        false
    });
    let mut path = vec!["pg_catalog".to_string()];
    path.extend(schemas.iter().filter(|s| *s != "pg_catalog").map(|s| name::ident(s)));
    path.push("pg_temp".into());
    CString::new(path.join(", ")).unwrap_or_default()
}

/// Adds the schemas of the operators that an expression itself is made of; operators in their arguments are written by name.
fn add(node: Node, schemas: &mut BTreeSet<String>) {
    if list::is(node, pg_sys::NodeTag::T_BoolExpr) {
        list::iter(node.cast::<pg_sys::BoolExpr>().args()).for_each(|n| add(n, schemas));
    } else if !node.is_null() {
        schemas.extend(server::operators_of(node).into_iter().filter_map(schema_of));
    }
}

/// Expressions in which operators are applied that are not written by name where `node` is printed.
fn without_names(node: Node) -> Vec<Node> {
    use pg_sys::NodeTag::*;
    match node.tag() {
        T_DistinctExpr | T_NullIfExpr | T_RowCompareExpr => vec![node],
        T_SubLink => vec![node.cast::<pg_sys::SubLink>().testexpr()],
        T_CaseExpr if !node.cast::<pg_sys::CaseExpr>().arg().is_null() => {
            let whens = list::iter::<pg_sys::CaseWhen>(node.cast::<pg_sys::CaseExpr>().args());
            whens.map(|when| when.expr()).collect()
        }
        _ => Vec::new(),
    }
}

fn schema_of(op: pg_sys::Oid) -> Option<String> {
    // SAFETY: a look-up in the operator cache, whose entry is copied from before it is released.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::OPEROID as i32, pg_sys::Datum::from(op));
        if tuple.is_null() {
            return None;
        }
        let form = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_operator>();
        let schema = pg_sys::get_namespace_name((*form).oprnamespace);
        pg_sys::ReleaseSysCache(tuple);
        (!schema.is_null()).then(|| CStr::from_ptr(schema).to_string_lossy().into_owned())
    }
}
