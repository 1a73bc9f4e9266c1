//! Set operations as grouping.
//!
//! UNION is DISTINCT over UNION ALL; INTERSECT and EXCEPT count, for each row, how often it comes from the left and from
//! the right. Written as text, which the server analyses: the grouped parts become stages, and UNION ALL is
//! a sum of its branches, for rows and for their changes alike.
//! Invariant: the same rows, each as often, as the set operation gives. Source: executor/nodeSetOp.c.

use crate::analyze::query::analysed::analysed;
use crate::analyze::query::printed;
use crate::analyze::query::tree::outputs;
use crate::pg::error::Result;
use crate::pg::ext::{self, make};
use crate::pg::list;
use pgrx::pg_sys;
use std::ffi::CStr;

/// The branches of a query that is a sum: UNION ALL and nothing else.
///
/// # Safety
/// `query` is valid.
pub unsafe fn branches(query: *mut pg_sys::Query) -> Option<Vec<*mut pg_sys::Query>> {
    // SAFETY: `query` is valid, as the caller promises.
    unsafe {
        let q = &*query;
        if q.setOperations.is_null() || !q.limitCount.is_null() || !q.limitOffset.is_null() {
            return None;
        }
        let mut out = Vec::new();
        collect(query, q.setOperations, &mut out).then_some(out)
    }
}

unsafe fn collect(query: *mut pg_sys::Query, node: *mut pg_sys::Node, out: &mut Vec<*mut pg_sys::Query>) -> bool {
    // SAFETY: `query` is a live tree of the server; `node` is a live node of such a tree; `out` holds live nodes of that tree.
    unsafe {
        if list::is(node, pg_sys::NodeTag::T_SetOperationStmt) {
            let set = &*node.cast::<pg_sys::SetOperationStmt>();
            return set.op == pg_sys::SetOperation::SETOP_UNION
                && set.all
                && collect(query, set.larg, out)
                && collect(query, set.rarg, out);
        }
        let index = (*node.cast::<pg_sys::RangeTblRef>()).rtindex as usize;
        out.push((*list::nth::<pg_sys::RangeTblEntry>((*query).rtable, index - 1)).subquery);
        true
    }
}

/// The output expressions of a branch, as the set operation converts them; None where that needs more than a cast.
///
/// # Safety
/// `branch` is one of `branches(query)`.
pub unsafe fn outputs_of(query: *mut pg_sys::Query, branch: *mut pg_sys::Query) -> Option<Vec<*mut pg_sys::Node>> {
    // SAFETY: `branch` is one of `branches(query)`, as the caller promises.
    unsafe {
        let set = &*(*query).setOperations.cast::<pg_sys::SetOperationStmt>();
        let types = list::oids(set.colTypes).into_iter().zip(list::oids(set.colCollations));
        outputs(branch)
            .into_iter()
            .zip(types)
            .map(|(tle, (wanted, collation))| {
                let expr = ext::flatten_join_aliases(branch, (*tle).expr.cast());
                let given = pg_sys::exprType(expr);
                if given == wanted {
                    return Some(collated(expr, collation));
                }
                let cast = pg_sys::coerce_to_target_type(
                    std::ptr::null_mut(),
                    ext::copy(expr),
                    given,
                    wanted,
                    -1,
                    pg_sys::CoercionContext::COERCION_IMPLICIT,
                    pg_sys::CoercionForm::COERCE_EXPLICIT_CAST,
                    -1,
                );
                (!cast.is_null()).then(|| collated(cast, collation))
            })
            .collect()
    }
}

/// The expression with the collation that the set operation has found for the column, if it has one.
unsafe fn collated(expr: *mut pg_sys::Node, collation: pg_sys::Oid) -> *mut pg_sys::Node {
    // SAFETY: the nodes are live ones of a tree of the server.
    unsafe {
        if collation == pg_sys::InvalidOid || pg_sys::exprCollation(expr) == collation {
            return expr;
        }
        let collate = make::<pg_sys::CollateExpr>(pg_sys::NodeTag::T_CollateExpr);
        (*collate).arg = expr.cast();
        (*collate).collOid = collation;
        (*collate).location = -1;
        collate.cast()
    }
}

/// The query without set operations other than UNION ALL; None when there are none.
///
/// # Safety
/// `query` is valid; the settings that its text needs are in force.
pub unsafe fn rewrite(query: *mut pg_sys::Query) -> Result<Option<*mut pg_sys::Query>> {
    // SAFETY: the caller promises: `query` is valid; the settings that its text needs are in force.
    unsafe {
        let q = &*query;
        let limited = !q.limitCount.is_null() || !q.limitOffset.is_null();
        if q.setOperations.is_null() || limited || branches(query).is_some() {
            return Ok(None);
        }
        analysed(query, text(query, q.setOperations)?).map(Some)
    }
}

unsafe fn text(query: *mut pg_sys::Query, node: *mut pg_sys::Node) -> Result<String> {
    // SAFETY: `query` is a live tree of the server; `node` is a live node of such a tree.
    unsafe {
        if !list::is(node, pg_sys::NodeTag::T_SetOperationStmt) {
            let index = (*node.cast::<pg_sys::RangeTblRef>()).rtindex as usize;
            let sub = (*list::nth::<pg_sys::RangeTblEntry>((*query).rtable, index - 1)).subquery;
            return printed::text(sub);
        }
        let set = &*node.cast::<pg_sys::SetOperationStmt>();
        let types = list::oids(set.colTypes);
        let columns = (1..=types.len()).map(|i| format!("c{i}")).collect::<Vec<_>>().join(", ");
        let collations = list::oids(set.colCollations);
        let casts: Vec<String> = types
            .iter()
            .zip(collations)
            .enumerate()
            .map(|(i, (t, collation))| {
                // "character" and "bit" would be those of length one: without a length they have other names.
                let flags = pg_sys::FORMAT_TYPE_FORCE_QUALIFY | pg_sys::FORMAT_TYPE_TYPEMOD_GIVEN;
                let of = CStr::from_ptr(pg_sys::format_type_extended(*t, -1, flags as pg_sys::bits16));
                let collate = if collation == pg_sys::InvalidOid {
                    String::new()
                } else {
                    let name = CStr::from_ptr(pg_sys::generate_collation_name(collation));
                    format!(" COLLATE {}", name.to_string_lossy())
                };
                format!("c{}::{}{collate}", i + 1, of.to_string_lossy())
            })
            .collect();
        let side = |node, mark: &str| -> Result<String> {
            Ok(format!("SELECT {}{mark} FROM ({}) x({columns})", casts.join(", "), text(query, node)?))
        };
        let sum = |l: &str, r: &str| -> Result<String> {
            Ok(format!("{} UNION ALL {}", side(set.larg, l)?, side(set.rarg, r)?))
        };
        if set.op == pg_sys::SetOperation::SETOP_UNION {
            let sum = sum("", "")?;
            return Ok(if set.all { sum } else { format!("SELECT DISTINCT {columns} FROM ({sum}) u({columns})") });
        }
        let counted = format!(
            "SELECT {columns}, count(*) FILTER (WHERE s) AS l, count(*) FILTER (WHERE NOT s) AS r \
         FROM ({}) u({columns}, s) GROUP BY {columns}",
            sum(", true", ", false")?,
        );
        let except = set.op == pg_sys::SetOperation::SETOP_EXCEPT;
        Ok(match (except, set.all) {
            (true, false) => format!("SELECT {columns} FROM ({counted}) g WHERE l > 0 AND r = 0"),
            (false, false) => format!("SELECT {columns} FROM ({counted}) g WHERE l > 0 AND r > 0"),
            (true, true) => format!("SELECT {columns} FROM ({counted}) g, generate_series(1, l - r) n"),
            (false, true) => format!("SELECT {columns} FROM ({counted}) g, generate_series(1, least(l, r)) n"),
        })
    }
}
