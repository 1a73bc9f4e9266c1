//! Functions that cannot be maintained: volatile ones, functions of the clock or the session, and stable ones that may read
//! tables.
//!
//! Rule: IMMUTABLE functions are trusted. STABLE ones are accepted when they are built in, depend on nothing but
//! settings that are pinned (pg/pinned.rs), and are not in the list below. `lc_monetary` is pinned, too, but decides what an amount is worth: the
//! conversions of `money` are in the list.

use crate::analyze::query::clock;
use crate::analyze::refuse::hidden_output;
use crate::pg::error::{Error, Result};
use crate::pg::tree::{Node, lsyscache, server};
use pgrx::{pg_guard, pg_sys};
use std::ffi::c_void;

/// Built-in STABLE functions whose result depends on the clock, the session or on catalogs and tables.
/// A trailing `*` stands for any ending.
const REFUSED: &[&str] = &[
    "aclitem*",
    "age",
    "cash_*",
    "col_description",
    "current_*",
    "currtid*",
    "cursor_to_xml*",
    "database_to_xml*",
    "enum_first",
    "enum_last",
    "enum_range",
    "format_type",
    "getdatabaseencoding",
    "has_*",
    "inet_client_*",
    "inet_server_*",
    "is_*_visible",
    "money",
    "now",
    "numeric",
    "obj_description",
    "pg_*",
    "query_to_xml*",
    "reg*",
    "row_security_active",
    "schema_to_xml*",
    "session_user",
    "shobj_description",
    "statement_timestamp",
    "table_to_xml*",
    "to_reg*",
    "transaction_timestamp",
    "txid_*",
    "version",
];

/// Accepted although the name matches: these functions only look at their arguments.
const ACCEPTED: &[&str] = &["regexp_*", "pg_size_pretty", "pg_size_bytes", "pg_typeof", "pg_column_size"];

pub const BY_TIME: &str = "Compare with a column, or filter by time when reading the TVIEW.";
pub const BY_USER: &str = "Filter by user when reading: in a view over the TVIEW with the condition.";

/// The hint for a built-in function that depends on more than its arguments.
fn instead_of(name: &str) -> &'static str {
    let among = |patterns: &[&str]| patterns.iter().any(|p| glob(p, name));
    if among(&["now", "statement_timestamp", "transaction_timestamp", "current_date", "current_time*", "age"]) {
        BY_TIME
    } else if among(&["current_user", "current_role", "session_user", "has_*", "row_security_active", "inet_*"]) {
        BY_USER
    } else if among(&["money", "numeric", "cash_*"]) {
        "lc_monetary decides what an amount of money is worth. Keep amounts as numeric."
    } else if among(&["enum_*"]) {
        "ALTER TYPE … ADD VALUE changes it. Write the labels that are meant, or ask when reading the TVIEW."
    } else if name == "timezone" {
        "The summer time of today decides. Use timestamptz, or a zone when reading the TVIEW."
    } else if among(&[
        "current_setting",
        "current_schema*",
        "current_database",
        "version",
        "txid_*",
        "getdatabaseencoding",
    ]) {
        "Compare with a column, or filter when reading the TVIEW."
    } else {
        "Keep what is wanted of the catalogs in a column, or ask them when reading: in a view over the TVIEW."
    }
}

struct Found {
    function: pg_sys::Oid,
    may_read_clock: bool,
}

/// Refuses `node` when a function it calls itself cannot be maintained.
pub fn check_functions(node: Node, may_read_clock: bool) -> Result<()> {
    let mut found = Found { function: pg_sys::InvalidOid, may_read_clock };
    // SAFETY: a live node; the context is a `Found`.
    let offending =
        unsafe { pg_sys::check_functions_in_node(node.raw(), Some(offends), (&mut found as *mut Found).cast()) };
    if !offending {
        return hidden_output::check(node);
    }
    let name = function_name(found.function);
    let at = server::exprLocation(node);
    if lsyscache::func_volatile(found.function) == pg_sys::PROVOLATILE_VOLATILE {
        return Err(Error::unsupported(
            format!("volatile function {name}() cannot be maintained"),
            at,
            if found.function.to_u32() < pg_sys::FirstNormalObjectId {
                "Compute the value when a row is written, as the DEFAULT of a column or in a trigger."
            } else {
                "If the function always gives the same result for the same arguments, declare it IMMUTABLE."
            },
        ));
    }
    if reads_text_search_setting(found.function) {
        return Err(Error::unsupported(
            format!("function {name}() depends on default_text_search_config and cannot be maintained"),
            at,
            "Name the configuration, as in to_tsvector('english', …) @@ to_tsquery('english', …).",
        ));
    }
    if found.function.to_u32() < pg_sys::FirstNormalObjectId {
        return Err(Error::unsupported(
            format!("function {name}() depends on the clock, the session or the catalogs and cannot be maintained"),
            at,
            instead_of(&name),
        ));
    }
    Err(Error::unsupported(
        format!("stable function {name}() cannot be maintained"),
        at,
        "It may read tables whose changes would go unnoticed. Declare it IMMUTABLE if it does not.",
    ))
}

#[pg_guard]
unsafe extern "C-unwind" fn offends(function: pg_sys::Oid, context: *mut c_void) -> bool {
    // SAFETY: the context that `check_functions` gave.
    let may_read_clock = unsafe { (*context.cast::<Found>()).may_read_clock };
    let bad = match lsyscache::func_volatile(function) {
        _ if may_read_clock && clock::is_function(function) => false,
        pg_sys::PROVOLATILE_IMMUTABLE => false,
        pg_sys::PROVOLATILE_STABLE => function.to_u32() >= pg_sys::FirstNormalObjectId || refused(function),
        _ => true,
    };
    if bad {
        // SAFETY: the context that `check_functions` gave.
        unsafe { (*context.cast::<Found>()).function = function };
    }
    bad
}

pub fn refused(function: pg_sys::Oid) -> bool {
    if function.to_u32() == pg_sys::F_TIMEZONE_TEXT_TIMETZ {
        // Its result depends on today's summer time.
        return true;
    }
    if reads_text_search_setting(function) {
        return true;
    }
    let name = function_name(function);
    let among = |patterns: &[&str]| patterns.iter().any(|p| glob(p, &name));
    if name == "age" {
        // age(timestamptz) counts from today; age(timestamptz, timestamptz) does not.
        return lsyscache::get_func_nargs(function) == 1;
    }
    among(REFUSED) && !among(ACCEPTED)
}

/// Whether a function takes its text search configuration from default_text_search_config: the functions whose other form takes it as an argument.
fn reads_text_search_setting(function: pg_sys::Oid) -> bool {
    const WITHOUT: [u32; 18] = [
        pg_sys::F_TO_TSVECTOR_TEXT,
        pg_sys::F_TO_TSVECTOR_JSON,
        pg_sys::F_TO_TSVECTOR_JSONB,
        pg_sys::F_JSON_TO_TSVECTOR_JSON_JSONB,
        pg_sys::F_JSONB_TO_TSVECTOR_JSONB_JSONB,
        pg_sys::F_TO_TSQUERY_TEXT,
        pg_sys::F_PLAINTO_TSQUERY_TEXT,
        pg_sys::F_PHRASETO_TSQUERY_TEXT,
        pg_sys::F_WEBSEARCH_TO_TSQUERY_TEXT,
        pg_sys::F_TS_HEADLINE_TEXT_TSQUERY,
        pg_sys::F_TS_HEADLINE_TEXT_TSQUERY_TEXT,
        pg_sys::F_TS_HEADLINE_JSON_TSQUERY,
        pg_sys::F_TS_HEADLINE_JSON_TSQUERY_TEXT,
        pg_sys::F_TS_HEADLINE_JSONB_TSQUERY,
        pg_sys::F_TS_HEADLINE_JSONB_TSQUERY_TEXT,
        pg_sys::F_TS_MATCH_TT,
        pg_sys::F_TS_MATCH_TQ,
        pg_sys::F_GET_CURRENT_TS_CONFIG,
    ];
    WITHOUT.contains(&function.to_u32())
}

/// `*` matches any run of characters.
fn glob(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => name.starts_with(head) && name.len() >= head.len() + tail.len() && name.ends_with(tail),
    }
}

pub fn function_name(function: pg_sys::Oid) -> String {
    let name = lsyscache::get_func_name(function);
    if name.is_null() { function.to_u32().to_string() } else { name.to_string() }
}
