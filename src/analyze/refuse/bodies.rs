//! Functions whose text names helpers, types or tables without a schema.
//!
//! Such names are looked up when the function runs, and a TVIEW runs it under the fixed search_path, whoever writes. So the text is looked at under
//! that path when the TVIEW is created or populated: what would fail then is refused, with the function's name, also when no row is there yet.
//! Texts of SQL functions are analysed, as the server does when it creates them (catalog/pg_proc.c, fmgr_sql_validator), and so are those of the functions that
//! they call; in PL/pgSQL, what is called, cast to and declared is looked up by name. Not looked at: functions with a
//! search_path of their own, other languages, operators and tables inside of PL/pgSQL, SQL that is executed from strings.
//! Invariant: nothing is evaluated; what is analysed is analysed as the TVIEW's owner. Called by create and populate.

use crate::pg::error::{Error, Result};
use crate::pg::original::Told;
use crate::pg::procedure::{self, Body, Language};
use crate::pg::{acl, callees, ext, list, name, subtransaction, walk};
use pgrx::pg_sys::{self, Oid, SysCacheIdentifier};
use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use tviews_core::syntax;

/// Refuses what calls a function that does not find its names.
///
/// # Safety
/// `query` is valid; the settings that it is maintained with are in force, its search_path included.
pub unsafe fn check(query: *mut pg_sys::Query) -> Result<()> {
    // SAFETY: `query` is valid, as the caller promises.
    unsafe {
        let mut seen = BTreeSet::new();
        check_tree(query.cast(), None, &mut seen)
    }
}

/// `at`: where the call of the query is that leads here.
unsafe fn check_tree(tree: *mut pg_sys::Node, at: Option<i32>, seen: &mut BTreeSet<u32>) -> Result<()> {
    // SAFETY: `tree` is a live tree of the server.
    unsafe {
        let mut calls = Vec::new();
        walk::walk(tree, &mut |node| {
            for function in callees::functions_of(node) {
                if function.to_u32() >= pg_sys::FirstNormalObjectId {
                    calls.push((function, node));
                }
            }
            false
        });
        for (function, node) in calls {
            let at = at.unwrap_or_else(|| pg_sys::exprLocation(node));
            check_function(function, node, at, seen)?;
        }
        Ok(())
    }
}

/// `call`: the expression that calls it, from which polymorphic arguments get their types, or null.
unsafe fn check_function(function: Oid, call: *mut pg_sys::Node, at: i32, seen: &mut BTreeSet<u32>) -> Result<()> {
    // SAFETY: `call` is null or a live node of a tree of the server.
    unsafe {
        if !seen.insert(function.to_u32()) {
            return Ok(());
        }
        for part in procedure::parts_of_aggregate(function) {
            if part.to_u32() >= pg_sys::FirstNormalObjectId {
                check_function(part, std::ptr::null_mut(), at, seen)?;
            }
        }
        let Some(body) = Body::of(function) else { return Ok(()) };
        if body.has_search_path {
            return Ok(());
        }
        match body.language {
            Language::Sql => {
                let call = if is_call(call) { call } else { std::ptr::null_mut() };
                if body.is_polymorphic && call.is_null() {
                    return Ok(());
                }
                for query in queries(&body, call).map_err(|told| invalid(function, at, told))? {
                    check_tree(query.cast(), Some(at), seen)?;
                }
                Ok(())
            }
            Language::PlPgSql => strangers(&body).map_or(Ok(()), |why| Err(refused(function, at, why))),
            Language::Other => Ok(()),
        }
    }
}

fn invalid(function: Oid, at: i32, told: Told) -> Error {
    if told.is_of_names() {
        return refused(function, at, told.message);
    }
    Error::Unsupported {
        what: format!("function {} is not valid in a TVIEW", name::function(function)),
        detail: Some(format!("{}.", told.message)),
        hint: Some("It is called with the rights of the owner of the TVIEW, under the search_path pg_catalog.".into()),
        at,
    }
}

fn refused(function: Oid, at: i32, why: String) -> Error {
    let shown = name::function(function);
    // SAFETY: a look-up in a system cache.
    let schema = unsafe { acl::schema_name(pg_sys::get_func_namespace(function)) };
    Error::Unsupported {
        what: format!("function {shown} does not find what it names without a schema"),
        detail: Some(format!("TVIEWs are maintained under the search_path pg_catalog, whoever writes: {why}.")),
        hint: Some(format!("ALTER FUNCTION {shown} SET search_path = {};", name::ident(&schema))),
        at,
    }
}

/// Expressions from which the server tells the types of arguments: utils/fmgr/fmgr.c, get_call_expr_argtype.
unsafe fn is_call(node: *mut pg_sys::Node) -> bool {
    // SAFETY: `node` is null or a live node of a tree of the server.
    unsafe {
        use pg_sys::NodeTag::*;
        !node.is_null()
            && matches!((*node).type_, T_FuncExpr | T_OpExpr | T_DistinctExpr | T_NullIfExpr | T_ScalarArrayOpExpr)
    }
}

/// The queries of an SQL function, or why they are none.
unsafe fn queries(body: &Body, call: *mut pg_sys::Node) -> std::result::Result<Vec<*mut pg_sys::Query>, Told> {
    // SAFETY: `call` is null or a live node of a tree of the server.
    unsafe {
        if let Some(stored) = &body.stored {
            let tree = pg_sys::stringToNode(stored.as_ptr()).cast::<pg_sys::Node>();
            return Ok(if list::is(tree, pg_sys::NodeTag::T_List) {
                list::iter(list::nth::<pg_sys::List>(tree.cast(), 0)).collect()
            } else {
                vec![tree.cast()]
            });
        }
        let text = pg_sys::pstrdup(body.text.as_ptr());
        let collation = if call.is_null() { pg_sys::InvalidOid } else { pg_sys::exprInputCollation(call) };
        subtransaction::told(Told::is_of_limits, || {
            let raw = pg_sys::raw_parser(text, pg_sys::RawParseMode::RAW_PARSE_DEFAULT);
            // Without the hooks that look at queries of users.
            let analyse = |statement| {
                let state = pg_sys::make_parsestate(std::ptr::null_mut());
                (*state).p_sourcetext = text;
                ext::set_up_function_parser(state, body.function, call, collation);
                let query = pg_sys::transformTopLevelStmt(state, statement);
                pg_sys::free_parsestate(state);
                ext::copy(query)
            };
            list::iter::<pg_sys::RawStmt>(raw).map(analyse).collect()
        })
    }
}

/// Calls, casts and declarations that name something which exists, but not where it is looked for.
unsafe fn strangers(body: &Body) -> Option<String> {
    // SAFETY: look-ups in system caches.
    unsafe {
        let names = syntax::names(&body.text.to_string_lossy());
        let function =
            names.functions.iter().find(|n| is_elsewhere(n, found_function, SysCacheIdentifier::PROCNAMEARGSNSP));
        if let Some(function) = function {
            return Some(format!("function {} is in another schema", name::ident(function)));
        }
        let stranger = names.types.iter().find(|n| is_elsewhere(n, found_type, SysCacheIdentifier::TYPENAMENSP));
        stranger.map(|t| format!("type {} is in another schema", name::ident(t)))
    }
}

/// Whether something of this name exists, and is not found by the search_path.
unsafe fn is_elsewhere(name: &str, found: unsafe fn(&CStr) -> bool, by_name: SysCacheIdentifier::Type) -> bool {
    // SAFETY: look-ups in system caches; the list of entries is released.
    unsafe {
        let Ok(name) = CString::new(name) else { return false };
        if found(&name) {
            return false;
        }
        let none = pg_sys::Datum::from(0usize);
        // names of catalogs are looked up by C strings
        let members = pg_sys::SearchSysCacheList(by_name as i32, 1, pg_sys::Datum::from(name.as_ptr()), none, none);
        let any = (*members).n_members > 0;
        pg_sys::ReleaseCatCacheList(members);
        any
    }
}

unsafe fn found_function(name: &CStr) -> bool {
    // SAFETY: a list of one name, as the parser makes it.
    unsafe {
        let names = pg_sys::lappend(std::ptr::null_mut(), pg_sys::makeString(pg_sys::pstrdup(name.as_ptr())).cast());
        !pg_sys::FuncnameGetCandidates(names, -1, std::ptr::null_mut(), false, false, false, true).is_null()
    }
}

unsafe fn found_type(name: &CStr) -> bool {
    // SAFETY: a C string.
    unsafe { pg_sys::TypenameGetTypid(name.as_ptr()) != pg_sys::InvalidOid }
}
