//! Questions about a query and its expressions that all of analysis asks.

use crate::pg::tree::{Aggref, Node, Query, TargetEntry, Tree, list, make, server};
use pgrx::pg_sys;

/// The non-junk target entries, in output order.
pub fn outputs(query: Query) -> Vec<TargetEntry> {
    list::iter::<pg_sys::TargetEntry>(query.targetList()).filter(|t| !t.resjunk()).collect()
}

/// Whether a sub-query only joins, filters and projects.
pub fn is_plain(q: Query) -> bool {
    q.commandType() == pg_sys::CmdType::CMD_SELECT
        && !q.hasAggs()
        && !q.hasWindowFuncs()
        && !q.hasTargetSRFs()
        && !q.hasDistinctOn()
        && q.groupClause().is_null()
        && q.groupingSets().is_null()
        && q.havingQual().is_null()
        && q.distinctClause().is_null()
        && q.limitCount().is_null()
        && q.limitOffset().is_null()
        && q.setOperations().is_null()
        && q.cteList().is_null()
        && q.rowMarks().is_null()
}

/// Removes everything behind the FROM and WHERE clauses.
pub fn strip(query: Query) {
    query.set_groupClause(Tree::null());
    query.set_groupingSets(Tree::null());
    query.set_havingQual(Tree::null());
    query.set_distinctClause(Tree::null());
    query.set_sortClause(Tree::null());
    query.set_windowClause(Tree::null());
    query.set_hasAggs(false);
    query.set_hasWindowFuncs(false);
    query.set_hasDistinctOn(false);
    #[cfg(feature = "since_18")]
    {
        query.set_hasGroupRTE(false);
    }
}

pub fn constant(value: i64) -> Node {
    make::int8(value)
}

/// `count(*)`.
pub fn count_all() -> Aggref {
    make::aggregate(pg_sys::Oid::from(pg_sys::F_COUNT_), pg_sys::INT8OID, None)
}

pub fn type_of(node: Node) -> Type {
    (server::exprType(node), server::exprTypmod(node), server::exprCollation(node))
}

/// Type of a value: (type, typmod, collation).
pub type Type = (pg_sys::Oid, i32, pg_sys::Oid);
