//! What is asked of a query, and of its expressions, everywhere.

use crate::pg::ext::make;
use crate::pg::list;
use pgrx::pg_sys;

/// The non-junk target entries, in output order.
///
/// # Safety
/// `query` is valid.
pub unsafe fn outputs(query: *mut pg_sys::Query) -> Vec<*mut pg_sys::TargetEntry> {
    // SAFETY: `query` is valid, as the caller promises.
    unsafe { list::iter::<pg_sys::TargetEntry>((*query).targetList).filter(|t| !(**t).resjunk).collect() }
}

/// Whether a sub-query only joins, filters and projects.
pub unsafe fn is_plain(q: &pg_sys::Query) -> bool {
    q.commandType == pg_sys::CmdType::CMD_SELECT
        && !q.hasAggs
        && !q.hasWindowFuncs
        && !q.hasTargetSRFs
        && !q.hasDistinctOn
        && q.groupClause.is_null()
        && q.groupingSets.is_null()
        && q.havingQual.is_null()
        && q.distinctClause.is_null()
        && q.limitCount.is_null()
        && q.limitOffset.is_null()
        && q.setOperations.is_null()
        && q.cteList.is_null()
        && q.rowMarks.is_null()
}

/// Removes everything behind the FROM and WHERE clauses.
pub unsafe fn strip(query: *mut pg_sys::Query) {
    // SAFETY: `query` is a live tree of the server.
    unsafe {
        let q = &mut *query;
        q.groupClause = std::ptr::null_mut();
        q.groupingSets = std::ptr::null_mut();
        q.havingQual = std::ptr::null_mut();
        q.distinctClause = std::ptr::null_mut();
        q.sortClause = std::ptr::null_mut();
        q.windowClause = std::ptr::null_mut();
        q.hasAggs = false;
        q.hasWindowFuncs = false;
        q.hasDistinctOn = false;
        #[cfg(feature = "pg18")]
        {
            q.hasGroupRTE = false;
        }
    }
}

pub unsafe fn constant(value: i64) -> *mut pg_sys::Node {
    // SAFETY: `makeConst` allocates in the current context; an int8 is passed by value on every server of 64 bits.
    unsafe {
        let len = std::mem::size_of::<i64>() as i32;
        pg_sys::makeConst(pg_sys::INT8OID, -1, pg_sys::InvalidOid, len, pg_sys::Datum::from(value), false, true).cast()
    }
}

/// `count(*)`.
pub unsafe fn count_all() -> *mut pg_sys::Aggref {
    // SAFETY: makes a new node in the current context.
    unsafe {
        let count = make::<pg_sys::Aggref>(pg_sys::NodeTag::T_Aggref);
        (*count).aggfnoid = pg_sys::Oid::from(pg_sys::F_COUNT_);
        (*count).aggtype = pg_sys::INT8OID;
        (*count).aggstar = true;
        (*count).aggkind = b'n' as _;
        (*count).aggsplit = pg_sys::AggSplit::AGGSPLIT_SIMPLE;
        (*count).aggno = -1;
        (*count).aggtransno = -1;
        (*count).location = -1;
        count
    }
}

pub unsafe fn type_of(node: *mut pg_sys::Node) -> Type {
    // SAFETY: `node` is a live node of a tree of the server.
    unsafe { (pg_sys::exprType(node), pg_sys::exprTypmod(node), pg_sys::exprCollation(node)) }
}

/// Type of a value: (type, typmod, collation).
pub type Type = (pg_sys::Oid, i32, pg_sys::Oid);
