//! Functions whose text names helpers, types or tables without a schema.
//!
//! Such names are looked up when the function runs, and a TVIEW runs it under the fixed search_path, whoever writes. So the text is looked at under
//! that path when the TVIEW is created or populated: a function that would fail is refused, with its name, also when no row is there yet.
//! Bodies of SQL functions are analysed, as the server does when it creates them (catalog/pg_proc.c, fmgr_sql_validator), and so are the bodies of
//! functions that they call; in PL/pgSQL, names of calls, casts and declarations are looked up. Not looked at: functions with a
//! search_path of their own, other languages, operators and tables inside of PL/pgSQL, SQL that is executed from strings.
//! Invariant: nothing is evaluated; bodies are analysed as the TVIEW's owner. Called by create and populate.

use crate::pg::error::{Error, Result};
use crate::pg::original::Told;
use crate::pg::procedure::{self, Body, Language};
use crate::pg::tree::{Node, Query, Text, Tree, list, lsyscache, make, parser, server, walk};
use crate::pg::{acl, ext, name, subtransaction};
use pgrx::pg_sys::{self, Oid, SysCacheIdentifier};
use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use tviews_core::syntax;

/// Refuses a query that calls a function which does not find its names.
pub fn check(query: Query) -> Result<()> {
    let mut seen = BTreeSet::new();
    check_tree(query.cast(), None, &mut seen)
}

/// `at`: where the call of the query is that leads here.
fn check_tree(tree: Node, at: Option<i32>, seen: &mut BTreeSet<u32>) -> Result<()> {
    let mut calls = Vec::new();
    walk::walk(tree, &mut |node| {
        for function in server::functions_of(node) {
            if function.to_u32() >= pg_sys::FirstNormalObjectId {
                calls.push((function, node));
            }
        }
        false
    });
    for (function, node) in calls {
        let at = at.unwrap_or_else(|| server::exprLocation(node));
        check_function(function, node, at, seen)?;
    }
    Ok(())
}

/// `call`: the expression that calls the function, from which polymorphic arguments get their types, or null.
fn check_function(function: Oid, call: Node, at: i32, seen: &mut BTreeSet<u32>) -> Result<()> {
    if !seen.insert(function.to_u32()) {
        return Ok(());
    }
    for part in procedure::parts_of_aggregate(function) {
        if part.to_u32() >= pg_sys::FirstNormalObjectId {
            check_function(part, Tree::null(), at, seen)?;
        }
    }
    let Some(body) = Body::of(function) else { return Ok(()) };
    if body.has_search_path {
        return Ok(());
    }
    match body.language {
        Language::Sql => {
            let call = if is_call(call) { call } else { Tree::null() };
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
    let schema = acl::schema_name(lsyscache::get_func_namespace(function));
    Error::Unsupported {
        what: format!("function {shown} does not find what it names without a schema"),
        detail: Some(format!("TVIEWs are maintained under the search_path pg_catalog, whoever writes: {why}.")),
        hint: Some(format!("ALTER FUNCTION {shown} SET search_path = {};", name::ident(&schema))),
        at,
    }
}

/// Expressions from which the server tells the types of arguments: utils/fmgr/fmgr.c, get_call_expr_argtype.
fn is_call(node: Node) -> bool {
    use pg_sys::NodeTag::*;
    !node.is_null() && matches!(node.tag(), T_FuncExpr | T_OpExpr | T_DistinctExpr | T_NullIfExpr | T_ScalarArrayOpExpr)
}

/// The queries of an SQL function, or the error that its text gives.
fn queries(body: &Body, call: Node) -> std::result::Result<Vec<Query>, Told> {
    if let Some(stored) = &body.stored {
        // SAFETY: a tree that the server has stored.
        let tree: Node = unsafe { Tree::new(pg_sys::stringToNode(stored.as_ptr()).cast()) };
        return Ok(if list::is(tree, pg_sys::NodeTag::T_List) {
            list::iter(list::nth::<pg_sys::List>(tree.cast(), 0)).collect()
        } else {
            vec![tree.cast()]
        });
    }
    let text = Text::of(&body.text);
    let collation = if call.is_null() { pg_sys::InvalidOid } else { server::exprInputCollation(call) };
    subtransaction::told(Told::is_of_limits, || {
        let analyse = |statement| {
            // SAFETY: a function that exists, and a call of it or null.
            parser::transform(statement, text, |state| unsafe {
                ext::set_up_function_parser(state, body.function, call.raw(), collation)
            })
        };
        list::iter(parser::raw_parser(text)).map(analyse).collect()
    })
}

/// Calls, casts and declarations whose function or type exists, but not where the search_path looks.
fn strangers(body: &Body) -> Option<String> {
    let names = syntax::names(&body.text.to_string_lossy());
    let function =
        names.functions.iter().find(|n| is_elsewhere(n, found_function, SysCacheIdentifier::PROCNAMEARGSNSP));
    if let Some(function) = function {
        return Some(format!("function {} is in another schema", name::ident(function)));
    }
    let stranger = names.types.iter().find(|n| is_elsewhere(n, found_type, SysCacheIdentifier::TYPENAMENSP));
    stranger.map(|t| format!("type {} is in another schema", name::ident(t)))
}

/// Whether a function or type of this name exists, but is not found by the search_path.
fn is_elsewhere(name: &str, found: fn(&CStr) -> bool, by_name: SysCacheIdentifier::Type) -> bool {
    let Ok(name) = CString::new(name) else { return false };
    if found(&name) {
        return false;
    }
    let none = pg_sys::Datum::from(0usize);
    // names of catalogs are looked up by C strings
    // SAFETY: a list of the cache, released after use.

    unsafe {
        let members = pg_sys::SearchSysCacheList(by_name as i32, 1, pg_sys::Datum::from(name.as_ptr()), none, none);
        let any = (*members).n_members > 0;
        pg_sys::ReleaseCatCacheList(members);
        any
    }
}

fn found_function(name: &CStr) -> bool {
    let names = list::lappend(Tree::null(), make::string(Text::of(name)));
    let any = std::ptr::null_mut();
    // SAFETY: a live list of names.
    let found = unsafe {
        pg_sys::FuncnameGetCandidates(
            names.raw(),
            -1,
            any,
            false,
            false,
            false,
            true,
            #[cfg(feature = "since_19")]
            &mut 0,
        )
    };
    !found.is_null()
}

fn found_type(name: &CStr) -> bool {
    // SAFETY: looks a name up.
    unsafe { pg_sys::TypenameGetTypid(name.as_ptr()) != pg_sys::InvalidOid }
}
