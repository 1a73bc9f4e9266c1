//! LIMIT and OFFSET that are computed from constants become what they are, and those that limit nothing go.
//!
//! `LIMIT 5 + 5` is `LIMIT 10`, and `LIMIT ALL`, `LIMIT NULL` and `OFFSET 0` are nothing. What is computed from a table, a setting or a parameter stays.
//! Invariant: the same rows. Called by load.

use crate::pg::tree::{Node, Query, Tree, list, server, walk};
use pgrx::pg_sys;

/// Changes the clauses in all blocks of a query, in place.
pub fn compute(query: Query) {
    walk::walk(query.cast(), &mut |n| {
        if list::is(n, pg_sys::NodeTag::T_Query) {
            block(n.cast());
        }
        false
    });
}

fn block(query: Query) {
    query.set_limitCount(computed(query.limitCount()));
    query.set_limitOffset(computed(query.limitOffset()));
    if is_none(query.limitCount()) && query.limitOption() != pg_sys::LimitOption::LIMIT_OPTION_WITH_TIES {
        query.set_limitCount(Tree::null());
    }
    if is_none(query.limitOffset()) || is_zero(query.limitOffset()) {
        query.set_limitOffset(Tree::null());
    }
}

fn computed(node: Node) -> Node {
    let is_expression = [pg_sys::NodeTag::T_OpExpr, pg_sys::NodeTag::T_FuncExpr].iter().any(|tag| list::is(node, *tag));
    if !is_expression || server::checkExprHasSubLink(node) || server::contain_nonstrict_functions(node) {
        return node;
    }
    let value = server::eval_const_expressions(node);
    if list::is(value, pg_sys::NodeTag::T_Const) { value } else { node }
}

fn is_none(node: Node) -> bool {
    list::is(node, pg_sys::NodeTag::T_Const) && node.cast::<pg_sys::Const>().constisnull()
}

fn is_zero(node: Node) -> bool {
    list::is(node, pg_sys::NodeTag::T_Const) && {
        let constant = node.cast::<pg_sys::Const>();
        constant.consttype() == pg_sys::INT8OID && !constant.constisnull() && constant.constvalue().value() == 0
    }
}
