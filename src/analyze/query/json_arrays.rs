//! `JSON_ARRAY(SELECT …)` as the expression that it is executed as: from 19 on, COALESCE of a sub-query with an aggregate, and `[]`.
//!
//! The node also keeps the sub-query as it was written, and the deparser prints that one; no walk comes by there, so what is edited would not be in the
//! text. Invariant: the same values, and no such node is left. Called by load. Source: parser/parse_expr.c, transformJsonArrayQueryConstructor.

use crate::pg::tree::{Node, Query, list, walk};
use pgrx::pg_sys;

/// Replaces the nodes in a query and in all queries in it.
pub fn spell_out(query: Query) {
    let has_one = |n: Node| constructor(n).is_some();
    // A replacement may have others inside.
    while walk::walk(query.cast(), &mut |n| has_one(n)) {
        query.become_like(walk::rewrite_deep(query.cast(), &mut |n, _| constructor(n)).cast());
    }
}

/// The expression that a node of this kind is executed as.
fn constructor(node: Node) -> Option<Node> {
    if !list::is(node, pg_sys::NodeTag::T_JsonConstructorExpr) {
        return None;
    }
    let json = node.cast::<pg_sys::JsonConstructorExpr>();
    if json.type_() != pg_sys::JsonConstructorType::JSCTOR_JSON_ARRAY_QUERY {
        return None;
    }
    if json.coercion().is_null() {
        return Some(json.func());
    }
    let is_value = |n: Node| list::is(n, pg_sys::NodeTag::T_CaseTestExpr);
    Some(walk::rewrite(json.coercion(), &mut |n| is_value(n).then(|| json.func())))
}
