//! Grouping sets in a form that text keeps.

use crate::pg::ext::{self, make};
use crate::pg::{list, walk};
use pgrx::pg_sys;

/// Makes grouping expressions of several sets that are the same differ, in the query and in all queries in it. Called by load.
///
/// # Safety
/// `query` is a private copy.
pub unsafe fn tell_apart(query: *mut pg_sys::Query) {
    // SAFETY: the nodes are live ones of a tree of the server, as the caller promises.
    unsafe {
        walk::walk(query.cast(), &mut |n| {
            if list::is(n, pg_sys::NodeTag::T_Query) && !(*n.cast::<pg_sys::Query>()).groupingSets.is_null() {
                tell_apart_here(n.cast());
            }
            false
        });
    }
}

unsafe fn tell_apart_here(query: *mut pg_sys::Query) {
    // SAFETY: the nodes are live ones of a tree of the server.
    unsafe {
        let mut seen: Vec<*mut pg_sys::Node> = Vec::new();
        for (number, clause) in list::iter::<pg_sys::SortGroupClause>((*query).groupClause).enumerate() {
            let place = grouped_by(query, number, (*clause).tleSortGroupRef);
            while seen.iter().any(|s| pg_sys::equal((*s).cast(), (*place).cast())) {
                let same = make::<pg_sys::CoalesceExpr>(pg_sys::NodeTag::T_CoalesceExpr);
                (*same).coalescetype = pg_sys::exprType(*place);
                (*same).coalescecollid = pg_sys::exprCollation(*place);
                (*same).args = pg_sys::lappend(std::ptr::null_mut(), (*place).cast());
                (*same).location = -1;
                *place = same.cast();
            }
            seen.push(*place);
        }
    }
}

/// Where a grouping expression is kept: in its target entry, or (18) where the columns that stand for it are defined. Those of equal
/// expressions are all the first one, and it takes the target entry to tell which is meant (parse_agg.c, buildGroupedVar).
unsafe fn grouped_by(query: *mut pg_sys::Query, number: usize, reference: u32) -> *mut *mut pg_sys::Node {
    // SAFETY: the nodes are live ones of a tree of the server.
    unsafe {
        let tle = pg_sys::get_sortgroupref_tle(reference, (*query).targetList);
        #[cfg(feature = "pg18")]
        if (*query).hasGroupRTE && list::is((*tle).expr, pg_sys::NodeTag::T_Var) {
            let var = &mut *(*tle).expr.cast::<pg_sys::Var>();
            let rte = list::nth::<pg_sys::RangeTblEntry>((*query).rtable, var.varno as usize - 1);
            if var.varlevelsup == 0 && (*rte).rtekind == pg_sys::RTEKind::RTE_GROUP {
                var.varattno = number as i16 + 1;
                var.varattnosyn = var.varattno;
                let cell = (*(*rte).groupexprs).elements.add(number);
                return (&raw mut (*cell).ptr_value).cast();
            }
        }
        let _ = number;
        (&raw mut (*tle).expr).cast()
    }
}

/// Grouping sets that name grouping expressions by other numbers.
///
/// # Safety
/// `sets` are those of an analysed query.
pub unsafe fn renumbered(sets: *mut pg_sys::List, number: &dyn Fn(u32) -> u32) -> *mut pg_sys::List {
    // SAFETY: `sets` are those of an analysed query, as the caller promises.
    unsafe {
        let mut out: *mut pg_sys::List = std::ptr::null_mut();
        for set in list::iter::<pg_sys::GroupingSet>(sets) {
            let own = ext::copy(set);
            if (*set).kind == pg_sys::GroupingSetKind::GROUPING_SET_SIMPLE {
                (*own).content = std::ptr::null_mut();
                for reference in list::ints((*set).content) {
                    (*own).content = pg_sys::lappend_int((*own).content, number(reference as u32) as i32);
                }
            } else {
                (*own).content = renumbered((*set).content, number);
            }
            out = pg_sys::lappend(out, own.cast());
        }
        out
    }
}
