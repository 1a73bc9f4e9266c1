//! Which sub-queries can be stages, and which queries can have stages.
//!
//! Invariant: the answers here depend on the query alone, never on the rows or indexes of the moment.

use crate::analyze::query::tree::{is_plain, outputs};
use crate::analyze::query::{levels, relations};
use crate::pg::tree::{Node, Query, list, lsyscache, server, walk};
use pgrx::pg_sys;

/// Whether a query can have stages: row security is bound to the query as the user wrote it.
pub fn can_split(query: Query) -> bool {
    !walk::walk(query.cast(), &mut |n| {
        list::is(n, pg_sys::NodeTag::T_Query) && {
            let q = n.cast::<pg_sys::Query>();
            q.hasRowSecurity()
                || list::iter::<pg_sys::RangeTblEntry>(q.rtable()).any(|r| {
                    r.rtekind() == pg_sys::RTEKind::RTE_RELATION
                        && (r.relkind() == pg_sys::RELKIND_RELATION || r.relkind() == pg_sys::RELKIND_PARTITIONED_TABLE)
                        && has_policies(r.relid())
                })
        }
    })
}

fn has_policies(relid: pg_sys::Oid) -> bool {
    // SAFETY: an entry of the cache, released after use.
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
pub fn is_stage(sub: Query) -> bool {
    !is_plain(sub) && can_be_stage(sub)
}

pub fn can_be_stage(sub: Query) -> bool {
    sub.commandType() == pg_sys::CmdType::CMD_SELECT
        && sub.cteList().is_null()
        && sub.rowMarks().is_null()
        && !looks_up(sub.cast())
        && !relations::of(sub).is_empty()
        && !outputs(sub).is_empty()
        && outputs(sub).into_iter().all(|t| can_be_stored(t.expr()))
}

pub fn can_be_stored(expr: Node) -> bool {
    let of = server::exprType(expr);
    lsyscache::get_typtype(of) != pg_sys::TYPTYPE_PSEUDO && of != pg_sys::UNKNOWNOID && of != pg_sys::RECORDOID
}

/// Whether a query depends on the blocks around it.
pub fn looks_up(query: Node) -> bool {
    levels::looks_up(query) || has_outer_cte(query)
}

/// Whether a CTE that is not defined inside is read.
pub fn has_outer_cte(query: Node) -> bool {
    walk::walk(query, &mut |n| {
        list::is(n, pg_sys::NodeTag::T_Query)
            && list::iter::<pg_sys::RangeTblEntry>(n.cast::<pg_sys::Query>().rtable())
                .any(|r| r.rtekind() == pg_sys::RTEKind::RTE_CTE)
    })
}

/// Whether an expression is a column of a table, which can be read without an error.
pub fn is_table_column(query: Query, mut node: Node) -> bool {
    while list::is(node, pg_sys::NodeTag::T_RelabelType) {
        node = node.cast::<pg_sys::RelabelType>().arg();
    }
    if !list::is(node, pg_sys::NodeTag::T_Var) || node.cast::<pg_sys::Var>().varlevelsup() > 0 {
        return false;
    }
    let index = node.cast::<pg_sys::Var>().varno() as usize;
    server::rt_fetch(index, query).rtekind() == pg_sys::RTEKind::RTE_RELATION
}
