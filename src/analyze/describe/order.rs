//! How a query reads a part of a stage: its first rows in an order, or a partition.
//!
//! Invariant: an index with these columns gives the rows in the order that the query wants, or in that of its first
//! columns; one with the columns of a partition finds its rows. Called by population, which makes the indexes.

use crate::analyze::describe::partition_columns;
use crate::analyze::query::relations;
use crate::analyze::query::tree::outputs;
use crate::pg::list;
use pgrx::pg_sys;

/// A column of a stage to sort by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordered {
    pub attribute: i16,
    pub descending: bool,
    pub nulls_first: bool,
}

/// The relation that a query with LIMIT reads, when it reads no other, and the columns of its ORDER BY up to the first
/// that is no plain column in the default order of its type.
///
/// # Safety
/// `query` is valid.
pub unsafe fn of(query: *mut pg_sys::Query) -> Option<(pg_sys::Oid, Vec<Ordered>)> {
    // SAFETY: `query` is valid, as the caller promises.
    unsafe {
        let q = &*query;
        let rows = !q.hasAggs && !q.hasWindowFuncs && q.groupClause.is_null() && q.distinctClause.is_null();
        if q.limitCount.is_null() || !rows || !q.setOperations.is_null() {
            return None;
        }
        let [index] = relations::in_from(query)[..] else { return None };
        let rte = list::nth::<pg_sys::RangeTblEntry>(q.rtable, index - 1);
        if (*rte).rtekind != pg_sys::RTEKind::RTE_RELATION {
            return None;
        }
        let columns: Vec<Ordered> = list::iter::<pg_sys::SortGroupClause>(q.sortClause)
            .map_while(|clause| {
                let tle = pg_sys::get_sortgroupref_tle((*clause).tleSortGroupRef, q.targetList);
                ordered(&*clause, (*tle).expr.cast(), index)
            })
            .collect();
        (!columns.is_empty()).then_some(((*rte).relid, columns))
    }
}

/// The relation that a query with windows reads, when it reads no other, and those of its columns by which all windows are
/// partitioned.
///
/// # Safety
/// `query` is valid.
pub unsafe fn partitions(query: *mut pg_sys::Query) -> Option<(pg_sys::Oid, Vec<i16>)> {
    // SAFETY: `query` is valid, as the caller promises.
    unsafe {
        let q = &*query;
        if !q.hasWindowFuncs || !q.setOperations.is_null() {
            return None;
        }
        let [index] = relations::in_from(query)[..] else { return None };
        let rte = list::nth::<pg_sys::RangeTblEntry>(q.rtable, index - 1);
        if (*rte).rtekind != pg_sys::RTEKind::RTE_RELATION {
            return None;
        }
        let outputs = outputs(query);
        let columns: Vec<i16> = partition_columns(query)
            .into_iter()
            .filter_map(|i| {
                let expr = (*outputs[i]).expr.cast::<pg_sys::Node>();
                let var = list::is(expr, pg_sys::NodeTag::T_Var).then(|| &*expr.cast::<pg_sys::Var>())?;
                (var.varlevelsup == 0 && var.varattno > 0).then_some(var.varattno)
            })
            .collect();
        (!columns.is_empty()).then_some(((*rte).relid, columns))
    }
}

unsafe fn ordered(clause: &pg_sys::SortGroupClause, expr: *mut pg_sys::Node, index: usize) -> Option<Ordered> {
    // SAFETY: `clause` and `expr` are live nodes of a tree of the server.
    unsafe {
        if !list::is(expr, pg_sys::NodeTag::T_Var) {
            return None;
        }
        let var = &*expr.cast::<pg_sys::Var>();
        if var.varlevelsup > 0 || var.varno as usize != index || var.varattno <= 0 {
            return None;
        }
        let flags = (pg_sys::TYPECACHE_LT_OPR | pg_sys::TYPECACHE_GT_OPR) as i32;
        let entry = pg_sys::lookup_type_cache(var.vartype, flags);
        let descending = match clause.sortop {
            op if op == (*entry).lt_opr => false,
            op if op == (*entry).gt_opr => true,
            _ => return None,
        };
        Some(Ordered { attribute: var.varattno, descending, nulls_first: clause.nulls_first })
    }
}
