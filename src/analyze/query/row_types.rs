//! Rows of named composite types that were written before their type got more attributes.
//!
//! `ROW(a, b)::pair` stays a row of two fields when `pair` gets a third one. Its text has NULL for the new one, and is read as a row of three.
//! Invariant: a row has as many fields as its type has attributes now, so that the tree is what its text is read as. Called by load.
//! Source: utils/adt/ruleutils.c, get_rule_expr; parser/parse_coerce.c, coerce_record_to_complex.

use crate::pg::tree::{Query, list, make, walk};
use crate::pg::tupdesc;
use pgrx::pg_sys;

/// Adds the missing fields to all rows of a query, in place.
pub fn complete(query: Query) {
    walk::walk(query.cast(), &mut |node| {
        let row = node.cast::<pg_sys::RowExpr>();
        if list::is(node, pg_sys::NodeTag::T_RowExpr) && row.row_typeid() != pg_sys::RECORDOID {
            let fields = attributes(row.row_typeid());
            for of in fields.into_iter().skip(list::len(row.args())) {
                row.set_args(list::lappend(row.args(), make::null(of)));
            }
        }
        false
    });
}

/// Type, typmod and collation of each attribute; a dropped attribute has the parser's stand-in.
fn attributes(of: pg_sys::Oid) -> Vec<(pg_sys::Oid, i32, pg_sys::Oid)> {
    // SAFETY: a copy of the type's description, with as many attributes as it says.
    unsafe {
        let desc = pg_sys::lookup_rowtype_tupdesc_copy(of, -1);
        let attributes = (0..(*desc).natts as usize).map(|i| tupdesc::attr(desc, i));
        attributes
            .map(|a| match (*a).attisdropped {
                true => (pg_sys::INT4OID, -1, pg_sys::InvalidOid),
                false => ((*a).atttypid, (*a).atttypmod, (*a).attcollation),
            })
            .collect()
    }
}
