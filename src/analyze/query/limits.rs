//! LIMIT and OFFSET that are computed from constants become what they are, and those that limit nothing go.
//!
//! `LIMIT 5 + 5` is `LIMIT 10`, and `LIMIT ALL`, `LIMIT NULL` and `OFFSET 0` are nothing. What is computed from anything but numbers stays.
//! Invariant: the same rows. Called by load.

use crate::pg::tree::{Node, Query, Tree, list, lsyscache, make, walk};
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
    if list::is(node, pg_sys::NodeTag::T_Const) {
        return node;
    }
    number(node).map_or(node, make::int8)
}

/// The value of constants, added, subtracted or multiplied as int or bigint; None for anything else, and for what would fail.
fn number(node: Node) -> Option<i64> {
    match node.tag() {
        pg_sys::NodeTag::T_Const => {
            let constant = node.cast::<pg_sys::Const>();
            let value = constant.constvalue().value();
            match constant.consttype() {
                _ if constant.constisnull() => None,
                pg_sys::INT8OID => Some(value as i64),
                pg_sys::INT4OID => Some(i64::from(value as i32)),
                _ => None,
            }
        }
        pg_sys::NodeTag::T_FuncExpr => {
            let cast = node.cast::<pg_sys::FuncExpr>();
            let is_cast = cast.funcid() == pg_sys::Oid::from(pg_sys::F_INT8_INT4);
            if is_cast { number(list::nth(cast.args(), 0)) } else { None }
        }
        pg_sys::NodeTag::T_OpExpr => {
            let call = node.cast::<pg_sys::OpExpr>();
            if list::len(call.args()) != 2 {
                return None;
            }
            let (a, b) = (number(list::nth(call.args(), 0))?, number(list::nth(call.args(), 1))?);
            let function = lsyscache::get_opcode(call.opno()).to_u32();
            let short = |value: Option<i64>| value.filter(|v| i32::try_from(*v).is_ok());
            match function {
                pg_sys::F_INT4PL => short(a.checked_add(b)),
                pg_sys::F_INT4MI => short(a.checked_sub(b)),
                pg_sys::F_INT4MUL => short(a.checked_mul(b)),
                pg_sys::F_INT8PL | pg_sys::F_INT84PL | pg_sys::F_INT48PL => a.checked_add(b),
                pg_sys::F_INT8MI | pg_sys::F_INT84MI | pg_sys::F_INT48MI => a.checked_sub(b),
                pg_sys::F_INT8MUL | pg_sys::F_INT84MUL | pg_sys::F_INT48MUL => a.checked_mul(b),
                _ => None,
            }
        }
        _ => None,
    }
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
