//! What can be a stage, and of which queries.
//!
//! Invariant: what is said here depends on the query alone, never on the rows or indexes of the moment.

use crate::analyze::query::tree::{is_plain, outputs};
use crate::analyze::query::{levels, relations};
use crate::pg::{list, walk};
use pgrx::pg_sys;

/// Row security and inheritance by ONLY are bound to the query as the user wrote it.
pub unsafe fn can_split(query: *mut pg_sys::Query) -> bool {
    // SAFETY: `query` is a live tree of the server.
    unsafe {
        !walk::walk(query.cast(), &mut |n| {
            list::is(n, pg_sys::NodeTag::T_Query) && {
                let q = n.cast::<pg_sys::Query>();
                (*q).hasRowSecurity
                    || list::iter::<pg_sys::RangeTblEntry>((*q).rtable).any(|r| {
                        (*r).rtekind == pg_sys::RTEKind::RTE_RELATION
                            && ((*r).relkind as u8 == pg_sys::RELKIND_RELATION
                                || (*r).relkind as u8 == pg_sys::RELKIND_PARTITIONED_TABLE)
                            && has_policies((*r).relid)
                    })
            }
        })
    }
}

unsafe fn has_policies(relid: pg_sys::Oid) -> bool {
    // SAFETY: the relation of the query is locked and its cache entry is released before returning.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::RELOID as i32, pg_sys::Datum::from(relid));
        if tuple.is_null() {
            return false;
        }
        let on = (*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_class>()).relrowsecurity;
        pg_sys::ReleaseSysCache(tuple);
        on
    }
}

/// Whether a sub-query is worth and able to be a stage.
pub unsafe fn is_stage(sub: *mut pg_sys::Query) -> bool {
    // SAFETY: `sub` is a live tree of the server.
    unsafe { !is_plain(&*sub) && can_be_stage(sub) }
}

pub unsafe fn can_be_stage(sub: *mut pg_sys::Query) -> bool {
    // SAFETY: `sub` is a live tree of the server.
    unsafe {
        let q = &*sub;
        q.commandType == pg_sys::CmdType::CMD_SELECT
            && q.cteList.is_null()
            && q.rowMarks.is_null()
            && !looks_up(sub.cast())
            && !relations::of(sub).is_empty()
            && !outputs(sub).is_empty()
            && outputs(sub).into_iter().all(|t| can_be_stored((*t).expr.cast()))
    }
}

pub unsafe fn can_be_stored(expr: *mut pg_sys::Node) -> bool {
    // SAFETY: `expr` is a live node of a tree of the server.
    unsafe {
        let of = pg_sys::exprType(expr);
        pg_sys::get_typtype(of) as u8 != pg_sys::TYPTYPE_PSEUDO && of != pg_sys::UNKNOWNOID && of != pg_sys::RECORDOID
    }
}

/// Whether a query depends on the blocks around it.
pub unsafe fn looks_up(query: *mut pg_sys::Node) -> bool {
    // SAFETY: `query` is a live node of a tree of the server.
    unsafe { levels::looks_up(query) || has_outer_cte(query) }
}

/// Whether a CTE that is not defined inside is read.
pub unsafe fn has_outer_cte(query: *mut pg_sys::Node) -> bool {
    // SAFETY: `query` is a live node of a tree of the server.
    unsafe {
        walk::walk(query, &mut |n| {
            list::is(n, pg_sys::NodeTag::T_Query)
                && list::iter::<pg_sys::RangeTblEntry>((*n.cast::<pg_sys::Query>()).rtable)
                    .any(|r| (*r).rtekind == pg_sys::RTEKind::RTE_CTE)
        })
    }
}

/// Whether an expression is a column of a table, which can be read without an error.
pub unsafe fn is_table_column(query: *mut pg_sys::Query, mut node: *mut pg_sys::Node) -> bool {
    // SAFETY: `query` is a live tree of the server; `node` is a live node of such a tree.
    unsafe {
        while list::is(node, pg_sys::NodeTag::T_RelabelType) {
            node = (*node.cast::<pg_sys::RelabelType>()).arg.cast();
        }
        if !list::is(node, pg_sys::NodeTag::T_Var) || (*node.cast::<pg_sys::Var>()).varlevelsup > 0 {
            return false;
        }
        let index = (*node.cast::<pg_sys::Var>()).varno as usize;
        (*list::nth::<pg_sys::RangeTblEntry>((*query).rtable, index - 1)).rtekind == pg_sys::RTEKind::RTE_RELATION
    }
}
