//! New nodes, in the current memory context.

use super::{Aggref, Kind, List, Node, Text, Tree, Var, list};
use crate::pg::ext;
use pgrx::pg_sys::{self, Oid};
use std::ffi::CStr;

/// A node of which everything but its tag is zero, null or false.
pub fn make<T: Kind>() -> Tree<T> {
    // SAFETY: `T` is the struct of its tag.
    unsafe { Tree::new(ext::make(T::TAG)) }
}

pub fn target(expr: Node, number: usize, name: Text, junk: bool) -> super::TargetEntry {
    // SAFETY: a live expression, and a string that lives as long.
    unsafe { Tree::new(pg_sys::makeTargetEntry(expr.raw().cast(), number as i16, name.raw(), junk)) }
}

/// A name in a list of names.
pub fn string(text: Text) -> Node {
    // SAFETY: a string that lives as long as the node.
    unsafe { Tree::new(pg_sys::makeString(text.raw()).cast()) }
}

pub fn alias(name: &CStr, columns: List) -> Tree<pg_sys::Alias> {
    // SAFETY: the name is copied; a live list.
    unsafe { Tree::new(pg_sys::makeAlias(name.as_ptr(), columns.raw())) }
}

pub fn var(relation: i32, column: i16, (typid, typmod, collation): (Oid, i32, Oid), levels_up: u32) -> Var {
    // SAFETY: allocates only.
    unsafe { Tree::new(pg_sys::makeVar(relation, column, typid, typmod, collation, levels_up)) }
}

pub fn null((typid, typmod, collation): (Oid, i32, Oid)) -> Node {
    // SAFETY: a look-up of the type, which exists.
    unsafe { Tree::new(pg_sys::makeNullConst(typid, typmod, collation).cast()) }
}

pub fn boolean(value: bool) -> Node {
    // SAFETY: allocates only.
    unsafe { Tree::new(pg_sys::makeBoolConst(value, false)) }
}

pub fn int4(value: i32) -> Node {
    // SAFETY: allocates only.
    unsafe { Tree::new(ext::int4(value).cast()) }
}

pub fn int8(value: i64) -> Node {
    let len = size_of::<i64>() as i32;
    // SAFETY: allocates only; an int8 is passed by value on every server of 64 bits.
    unsafe {
        let datum = pg_sys::Datum::from(value);
        Tree::new(pg_sys::makeConst(pg_sys::INT8OID, -1, pg_sys::InvalidOid, len, datum, false, true).cast())
    }
}

/// A call of a plain aggregate, of one argument or, with a star, of none.
pub fn aggregate(function: Oid, result: Oid, argument: Option<Node>) -> Aggref {
    let agg: Aggref = make();
    agg.set_aggfnoid(function);
    agg.set_aggtype(result);
    agg.set_aggstar(argument.is_none());
    if let Some(argument) = argument {
        agg.set_aggargtypes(list::of_oids([super::server::exprType(argument)]));
        agg.set_inputcollid(super::server::exprCollation(argument));
        if super::lsyscache::get_typcollation(result) != pg_sys::InvalidOid {
            agg.set_aggcollid(agg.inputcollid());
        }
        agg.set_args(list::of([target(argument, 1, Text::null(), false)]));
    }
    agg.set_aggkind(b'n');
    agg.set_aggsplit(pg_sys::AggSplit::AGGSPLIT_SIMPLE);
    agg.set_aggno(-1);
    agg.set_aggtransno(-1);
    agg.set_location(-1);
    agg
}

/// `left op right`.
pub fn comparison(operator: Oid, left: Node, right: Node, collation: Oid) -> Node {
    // SAFETY: live expressions of the operator's types.
    unsafe {
        let (left, right) = (left.raw().cast(), right.raw().cast());
        let none = pg_sys::InvalidOid;
        Tree::new(pg_sys::make_opclause(operator, pg_sys::BOOLOID, false, left, right, none, collation).cast())
    }
}

pub fn call(function: Oid, result: Oid, args: List, collation: Oid, input_collation: Oid) -> Node {
    let form = pg_sys::CoercionForm::COERCE_EXPLICIT_CALL;
    // SAFETY: live expressions of the function's types.
    unsafe { Tree::new(pg_sys::makeFuncExpr(function, result, args.raw(), collation, input_collation, form).cast()) }
}

pub fn from(items: List, quals: Node) -> Tree<pg_sys::FromExpr> {
    // SAFETY: a live list, a live condition or none.
    unsafe { Tree::new(pg_sys::makeFromExpr(items.raw(), quals.raw())) }
}
