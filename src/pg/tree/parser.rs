//! From text to trees, and back.
//!
//! Invariant: text that goes in ends with a NUL and lives as long as the tree made from it, as `Text` does. Source: parser/analyze.c.

use super::{List, Query, Text, Tree, list};
use crate::pg::deparse;
use pgrx::pg_sys;

/// The statements of a text, as the parser makes them.
pub fn raw_parser(text: Text) -> List {
    // SAFETY: ends with a NUL, and lives as long as the tree.
    unsafe { Tree::new(pg_sys::raw_parser(text.raw(), pg_sys::RawParseMode::RAW_PARSE_DEFAULT)) }
}

/// The query of a text of one statement, after the hooks of parse analysis.
pub fn analyse(text: Text) -> Query {
    let statement: Tree<pg_sys::RawStmt> = list::first(raw_parser(text));
    let (none, args) = (std::ptr::null_mut(), std::ptr::null());
    // SAFETY: a live statement of the text.
    unsafe { Tree::new(pg_sys::parse_analyze_fixedparams(statement.raw(), text.raw(), args, 0, none)) }
}

/// The query without these hooks, which look at queries of users; `set_up` tells the parser of parameters.
pub fn transform(statement: Tree<pg_sys::RawStmt>, text: Text, set_up: impl FnOnce(*mut pg_sys::ParseState)) -> Query {
    // SAFETY: a live statement of the text; the state is freed once.
    let query: Query = unsafe {
        let state = pg_sys::make_parsestate(std::ptr::null_mut());
        (*state).p_sourcetext = text.raw();
        set_up(state);
        let query = pg_sys::transformTopLevelStmt(state, statement.raw());
        pg_sys::free_parsestate(state);
        Tree::new(query)
    };
    query.copy()
}

/// A text of a query, see pg/deparse.rs.
pub fn text(query: Query) -> String {
    // SAFETY: a live query.
    unsafe { deparse::text(query.raw()) }
}

/// A text of a query, and the tree that it is the text of.
pub fn printed(query: Query) -> (Query, String) {
    // SAFETY: a live query; the printed tree is a copy.
    unsafe {
        let (tree, text) = deparse::printed(query.raw());
        (Tree::new(tree), text)
    }
}

/// An expression cast to another type; null when there is no implicit cast.
pub fn implicit_cast(expr: super::Node, to: pg_sys::Oid, typmod: i32) -> super::Node {
    let (context, form) = (pg_sys::CoercionContext::COERCION_IMPLICIT, pg_sys::CoercionForm::COERCE_EXPLICIT_CAST);
    let (state, from) = (std::ptr::null_mut(), super::server::exprType(expr));
    // SAFETY: a live expression.
    unsafe { Tree::new(pg_sys::coerce_to_target_type(state, expr.raw(), from, to, typmod, context, form, -1)) }
}
