//! Joins without USING and without names of their own: what is said of their columns is said of the relations below.
//!
//! `(a LEFT JOIN b USING (k)) AS s` is `a LEFT JOIN b ON a.k = b.k`, where `s.k` is `a.k`; in a FULL JOIN it is `COALESCE(a.k, b.k)`.
//! The name of a join hides the relations below it from the text of a query, and USING makes columns of the join that are those
//! of no relation. Both are in the way of everything that is made from parts of a query. The planner does the same
//! (optimizer/plan/planner.c, subquery_planner).
//! Invariant: the same rows. A merged column that is grouped by can be written as what it stands for in sub-queries, too: the
//! parser itself looks at it like that (parse_agg.c, parseCheckAggregates). Called by load, for every query.

use crate::pg::{ext, list, walk};
use pgrx::pg_sys;
use std::collections::BTreeMap;

/// Rewrites the query and all queries in it.
///
/// # Safety
/// `query` is a private copy.
pub unsafe fn plain(query: *mut pg_sys::Query) {
    // SAFETY: the nodes are live ones of a tree of the server, as the caller promises.
    unsafe {
        block(query);
        // What a Var was written as may be a column of a join.
        walk::walk(query.cast(), &mut |n| {
            if list::is(n, pg_sys::NodeTag::T_Var) {
                let var = &mut *n.cast::<pg_sys::Var>();
                var.varnosyn = var.varno as _;
                var.varattnosyn = var.varattno;
            }
            false
        });
    }
}

unsafe fn block(query: *mut pg_sys::Query) {
    // SAFETY: the nodes are live ones of a tree of the server.
    unsafe {
        let mut joins = Vec::new();
        collect((*query).jointree.cast(), &mut joins);
        if !joins.is_empty() {
            #[cfg(not(feature = "pg15"))]
            refuse_rows(query);
            flatten(query, &joins);
            let mut columns = BTreeMap::new();
            for join in joins {
                without_name(query, join, &mut columns);
            }
        }
        for below in walk::below(query) {
            block(below);
        }
    }
}

/// The row of a join as a whole is NULL where an outer join above null-extends it, which no row of its columns is. Before 16 the server makes such a row.
#[cfg(not(feature = "pg15"))]
unsafe fn refuse_rows(query: *mut pg_sys::Query) {
    // SAFETY: the nodes are live ones of a tree of the server.
    unsafe {
        let is_candidate = |n: *mut pg_sys::Node| {
            let var = n.cast::<pg_sys::Var>();
            list::is(n, pg_sys::NodeTag::T_Var) && (*var).varattno == 0 && !(*var).varnullingrels.is_null()
        };
        if !walk::walk(query.cast(), &mut |n| is_candidate(n)) {
            return;
        }
        let mut found = None;
        walk::rewrite_deep(query.cast(), &mut |n, depth| {
            if is_candidate(n) {
                let var = n.cast::<pg_sys::Var>();
                if (*var).varlevelsup + 1 == depth
                    && (*list::nth::<pg_sys::RangeTblEntry>((*query).rtable, (*var).varno as usize - 1)).rtekind
                        == pg_sys::RTEKind::RTE_JOIN
                {
                    found = Some((*var).location);
                }
            }
            None
        });
        if let Some(at) = found {
            let hint = "Use the rows of the relations that it joins.";
            crate::pg::error::Error::unsupported(
                "the row of a join cannot be maintained where an outer join null-extends it",
                at,
                hint,
            )
            .raise();
        }
    }
}

/// All joins of a FROM clause, those below first.
pub unsafe fn collect(node: *mut pg_sys::Node, out: &mut Vec<*mut pg_sys::JoinExpr>) {
    // SAFETY: the nodes are live ones of a tree of the server.
    unsafe {
        if list::is(node, pg_sys::NodeTag::T_FromExpr) {
            for item in list::iter::<pg_sys::Node>((*node.cast::<pg_sys::FromExpr>()).fromlist) {
                collect(item, out);
            }
        } else if list::is(node, pg_sys::NodeTag::T_JoinExpr) {
            let join = node.cast::<pg_sys::JoinExpr>();
            collect((*join).larg, out);
            collect((*join).rarg, out);
            out.push(join);
        }
    }
}

/// Puts what they stand for in the place of columns of joins, wherever the query has expressions.
unsafe fn flatten(query: *mut pg_sys::Query, joins: &[*mut pg_sys::JoinExpr]) {
    // SAFETY: the nodes are live ones of a tree of the server.
    unsafe {
        let q = &mut *query;
        let flat = |node: *mut pg_sys::Node| ext::flatten_join_aliases(query, node);
        q.targetList = flat(q.targetList.cast()).cast();
        q.havingQual = flat(q.havingQual);
        q.limitOffset = flat(q.limitOffset);
        q.limitCount = flat(q.limitCount);
        (*q.jointree).quals = flat((*q.jointree).quals);
        for join in joins {
            (**join).quals = flat((**join).quals);
        }
        for window in list::iter::<pg_sys::WindowClause>(q.windowClause) {
            (*window).startOffset = flat((*window).startOffset);
            (*window).endOffset = flat((*window).endOffset);
        }
        for cte in list::iter::<pg_sys::CommonTableExpr>(q.cteList) {
            (*cte).ctequery = flat((*cte).ctequery);
        }
        for rte in list::iter::<pg_sys::RangeTblEntry>(q.rtable) {
            (*rte).subquery = flat((*rte).subquery.cast()).cast();
            (*rte).functions = flat((*rte).functions.cast()).cast();
            (*rte).tablefunc = flat((*rte).tablefunc.cast()).cast();
            (*rte).values_lists = flat((*rte).values_lists.cast()).cast();
            (*rte).tablesample = flat((*rte).tablesample.cast()).cast();
            (*rte).securityQuals = flat((*rte).securityQuals.cast()).cast();
            #[cfg(feature = "pg18")]
            {
                (*rte).groupexprs = flat((*rte).groupexprs.cast()).cast();
            }
        }
    }
}

/// Gives a join all columns of both sides, nothing looking at them any more: those of joins below are others now, too.
unsafe fn without_name(query: *mut pg_sys::Query, join: *mut pg_sys::JoinExpr, columns: &mut BTreeMap<i32, usize>) {
    // SAFETY: the nodes are live ones of a tree of the server.
    unsafe {
        let rte = &mut *list::nth::<pg_sys::RangeTblEntry>((*query).rtable, (*join).rtindex as usize - 1);
        let merged = rte.joinmergedcols as usize;
        let vars: Vec<*mut pg_sys::Node> = list::iter(rte.joinaliasvars).collect();
        let labels: Vec<*mut pg_sys::Node> = list::iter((*rte.eref).colnames).collect();
        let left = list::ints(rte.joinleftcols);
        let right = list::ints(rte.joinrightcols);
        // Where the column of a side stands among those of the join.
        let at_left: BTreeMap<i32, usize> = left.iter().enumerate().map(|(i, att)| (*att, i)).collect();
        let beyond = left.len() - merged;
        let at_right: BTreeMap<i32, usize> =
            right.iter().enumerate().map(|(i, att)| (*att, if i < merged { i } else { beyond + i })).collect();
        let null: *mut pg_sys::List = std::ptr::null_mut();
        let (mut all, mut names, mut sides) = (null, null, [null, null]);
        for (side, (node, known)) in [((*join).larg, at_left), ((*join).rarg, at_right)].into_iter().enumerate() {
            let numbers: Vec<i32> = match columns.get(&index_of(node)) {
                Some(count) => (1..=*count as i32).collect(),
                None => known.keys().copied().collect(),
            };
            for number in numbers {
                let nothing = || pg_sys::makeNullConst(pg_sys::INT4OID, -1, pg_sys::InvalidOid).cast();
                let place = known.get(&number);
                let var = place.map_or_else(nothing, |p| vars[*p]);
                let label = place
                    .map_or_else(|| pg_sys::makeString(pg_sys::pstrdup(c"column".as_ptr())).cast(), |p| labels[*p]);
                all = pg_sys::lappend(all, var.cast());
                names = pg_sys::lappend(names, label.cast());
                sides[side] = pg_sys::lappend_int(sides[side], number);
            }
        }
        columns.insert((*join).rtindex, list::len(all));
        rte.joinaliasvars = all;
        (*rte.eref).colnames = names;
        [rte.joinleftcols, rte.joinrightcols] = sides;
        rte.joinmergedcols = 0;
        (*join).usingClause = std::ptr::null_mut();
        (*join).alias = std::ptr::null_mut();
        rte.alias = std::ptr::null_mut();
        (*join).join_using_alias = std::ptr::null_mut();
        rte.join_using_alias = std::ptr::null_mut();
    }
}

unsafe fn index_of(node: *mut pg_sys::Node) -> i32 {
    // SAFETY: the nodes are live ones of a tree of the server.
    unsafe {
        if list::is(node, pg_sys::NodeTag::T_JoinExpr) {
            return (*node.cast::<pg_sys::JoinExpr>()).rtindex;
        }
        (*node.cast::<pg_sys::RangeTblRef>()).rtindex
    }
}
