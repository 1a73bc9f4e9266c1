//! Sub-queries in what an outer join null-extends: they become part of a stage, which the join then reads like a table.
//!
//! `t LEFT JOIN u ON u.t = t.id AND EXISTS (SELECT FROM v WHERE v.u = u.id)` is `t LEFT JOIN (SELECT * FROM u WHERE EXISTS (…)) u ON u.t = t.id`:
//! a condition on the nullable side alone may as well be there.
//! Invariant: the query gives the same rows. Called by the splitter for each block, before its FROM clause is split.

use crate::analyze::query::conditions::{conditions, conjunction, mentions};
use crate::analyze::query::tree::is_plain;
use crate::analyze::query::{from, relations};
use crate::analyze::split::eligible::{can_be_stage, looks_up};
use crate::pg::{list, name, walk};
use pgrx::pg_sys;
use std::collections::BTreeSet;
use std::ffi::CString;

/// Whether an outer join null-extends a plain sub-query of FROM that could not be followed there, having sub-queries itself.
pub unsafe fn hides_links(query: *mut pg_sys::Query, index: usize, sub: *mut pg_sys::Query) -> bool {
    // SAFETY: `query` and `sub` are live trees of the server.
    unsafe {
        let mut path = Vec::new();
        from::find((*query).jointree.cast(), index, &mut path);
        is_plain(&*sub) && path.iter().any(|on| from::is_nullable(on)) && has_link(sub.cast()) && can_be_stage(sub)
    }
}

unsafe fn has_link(node: *mut pg_sys::Node) -> bool {
    // SAFETY: `node` is a live node of a tree of the server.
    unsafe { walk::walk(node, &mut |n| list::is(n, pg_sys::NodeTag::T_SubLink)) }
}

/// Puts conditions of outer joins that have sub-queries, and are about a table on the nullable side alone, into a sub-query
/// of FROM in the place of this table.
pub unsafe fn push_conditions(query: *mut pg_sys::Query) {
    // SAFETY: `query` is a live tree of the server.
    unsafe {
        let mut joins = Vec::new();
        for item in list::iter::<pg_sys::Node>((*(*query).jointree).fromlist) {
            outer_joins(item, &mut joins);
        }
        for join in joins {
            push(query, &mut *join);
        }
    }
}

unsafe fn outer_joins(node: *mut pg_sys::Node, out: &mut Vec<*mut pg_sys::JoinExpr>) {
    // SAFETY: `node` is a live node of a tree of the server; `out` holds live nodes of that tree.
    unsafe {
        if list::is(node, pg_sys::NodeTag::T_JoinExpr) {
            let join = node.cast::<pg_sys::JoinExpr>();
            outer_joins((*join).larg, out);
            outer_joins((*join).rarg, out);
            if matches!((*join).jointype, pg_sys::JoinType::JOIN_LEFT | pg_sys::JoinType::JOIN_RIGHT) {
                out.push(join);
            }
        }
    }
}

unsafe fn push(query: *mut pg_sys::Query, join: &mut pg_sys::JoinExpr) {
    // SAFETY: `query` is a live tree of the server; `join` is a live node of such a tree.
    unsafe {
        let side = if join.jointype == pg_sys::JoinType::JOIN_LEFT { join.rarg } else { join.larg };
        if !list::is(side, pg_sys::NodeTag::T_RangeTblRef) || !has_link(join.quals) {
            return;
        }
        let index = (*side.cast::<pg_sys::RangeTblRef>()).rtindex;
        let rte = list::nth::<pg_sys::RangeTblEntry>((*query).rtable, index as usize - 1);
        let is_table = (*rte).rtekind == pg_sys::RTEKind::RTE_RELATION && (*rte).tablesample.is_null();
        if !is_table || has_dropped_columns(rte) || relations::reads_whole_row(query, index as usize) {
            return;
        }
        let alone = BTreeSet::from([index as usize]);
        let (down, stay): (Vec<_>, Vec<_>) =
            conditions(join.quals).into_iter().partition(|c| has_link(*c) && mentions(*c) == alone && !looks_up(*c));
        if down.is_empty() {
            return;
        }
        let used = relations::columns(query, rte);
        let Some(sub) = all_columns(rte) else { return };
        for tle in list::iter::<pg_sys::TargetEntry>((*sub).targetList).filter(|t| !used.contains(&(**t).resno)) {
            let var = (*tle).expr.cast::<pg_sys::Var>();
            (*tle).expr = pg_sys::makeNullConst((*var).vartype, (*var).vartypmod, (*var).varcollid).cast();
        }
        let condition = conjunction(down);
        pg_sys::ChangeVarNodes(condition, index, 1, 0);
        (*(*sub).jointree).quals = condition;
        (*sub).hasSubLinks = true;
        if !can_be_stage(sub) {
            pg_sys::ChangeVarNodes(condition, 1, index, 0);
            return;
        }
        join.quals = if stay.is_empty() { pg_sys::makeBoolConst(true, false) } else { conjunction(stay) };
        (*rte).rtekind = pg_sys::RTEKind::RTE_SUBQUERY;
        (*rte).subquery = sub;
        (*rte).relid = pg_sys::InvalidOid;
        (*rte).relkind = 0;
        (*rte).inh = false;
        #[cfg(not(feature = "pg15"))]
        {
            (*rte).perminfoindex = 0;
        }
    }
}

/// `SELECT *` of a table; columns keep their numbers, none being dropped. Those that nobody reads become NULLs, so that their changes are none.
unsafe fn all_columns(rte: *mut pg_sys::RangeTblEntry) -> Option<*mut pg_sys::Query> {
    // SAFETY: `rte` is a live node of a tree of the server.
    unsafe {
        let only = if (*rte).inh { "" } else { "ONLY " };
        let text = CString::new(format!("SELECT * FROM {only}{}", name::relation((*rte).relid)?)).ok()?;
        let text = pg_sys::pstrdup(text.as_ptr());
        let raw = pg_sys::raw_parser(text, pg_sys::RawParseMode::RAW_PARSE_DEFAULT);
        Some(pg_sys::parse_analyze_fixedparams(list::nth(raw, 0), text, std::ptr::null(), 0, std::ptr::null_mut()))
    }
}

unsafe fn has_dropped_columns(rte: *mut pg_sys::RangeTblEntry) -> bool {
    // SAFETY: `rte` is a live node of a tree of the server.
    unsafe {
        let columns = list::len((*(*rte).eref).colnames) as i16;
        (1..=columns).any(|column| pg_sys::get_rte_attribute_is_dropped(rte, column))
    }
}
