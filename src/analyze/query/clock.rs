//! What gives the time of the transaction. Only TVIEWs that follow later than at commit may read it.

use crate::pg::tree::{Node, lsyscache, walk};
use pgrx::pg_sys;

/// Whether a tree reads the clock, sub-queries included.
pub fn reads(root: Node) -> bool {
    walk::walk(root, &mut |node| match node.tag() {
        pg_sys::NodeTag::T_SQLValueFunction => is_value(node.cast::<pg_sys::SQLValueFunction>().op()),
        pg_sys::NodeTag::T_FuncExpr => is_function(node.cast::<pg_sys::FuncExpr>().funcid()),
        _ => false,
    })
}

/// CURRENT_DATE and its like; not CURRENT_USER and its like, which come behind them (nodes/primnodes.h).
pub fn is_value(op: pg_sys::SQLValueFunctionOp::Type) -> bool {
    op <= pg_sys::SQLValueFunctionOp::SVFOP_LOCALTIMESTAMP_N
}

/// Functions that give the time of the transaction or the statement, or count from it.
pub fn is_function(function: pg_sys::Oid) -> bool {
    if function.to_u32() >= pg_sys::FirstNormalObjectId {
        return false;
    }
    let name = lsyscache::get_func_name(function);
    match if name.is_null() { String::new() } else { name.to_string() }.as_str() {
        "now" | "statement_timestamp" | "transaction_timestamp" => true,
        // age(timestamptz) counts from today; age(timestamptz, timestamptz) does not.
        "age" => lsyscache::get_func_nargs(function) == 1,
        _ => false,
    }
}
