//! Marks of a CYCLE clause: `SET c TO 'yes' DEFAULT 'no'`.
//!
//! The deparser prints them with their type, `'yes'::text`, and the grammar wants literals there. Here texts become literals without a
//! type, which are texts when they are read again. Invariant: the same query. Called by `deparse`. Source:
//! utils/adt/ruleutils.c, get_with_clause; parser/gram.y, opt_cycle_clause.

use super::{list, walk};
use pgrx::pg_sys;

/// Changes the marks of a query.
///
/// # Safety
/// `query` is valid and the caller's own.
pub unsafe fn bare(query: *mut pg_sys::Query) {
    // SAFETY: the nodes are live ones of a tree of the server, as the caller promises.
    unsafe {
        walk::walk(query.cast(), &mut |n| {
            if list::is(n, pg_sys::NodeTag::T_CTECycleClause) {
                let clause = &mut *n.cast::<pg_sys::CTECycleClause>();
                clause.cycle_mark_value = literal(clause.cycle_mark_value);
                clause.cycle_mark_default = literal(clause.cycle_mark_default);
            }
            false
        });
    }
}

/// # Safety
/// The nodes are live ones of a tree of the server.
unsafe fn literal(node: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: the nodes are live ones of a tree of the server.
    unsafe {
        if !list::is(node, pg_sys::NodeTag::T_Const) {
            return node;
        }
        let value = &*node.cast::<pg_sys::Const>();
        if value.consttype != pg_sys::TEXTOID || value.constisnull {
            return node;
        }
        let text = pg_sys::text_to_cstring(value.constvalue.cast_mut_ptr());
        let datum = pg_sys::Datum::from(text);
        pg_sys::makeConst(pg_sys::UNKNOWNOID, -1, pg_sys::InvalidOid, -2, datum, false, false).cast()
    }
}
