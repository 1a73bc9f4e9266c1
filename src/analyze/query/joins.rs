//! Joins without USING and without names of their own: references to their columns become references to the relations below.
//!
//! `(a LEFT JOIN b USING (k)) AS s` is `a LEFT JOIN b ON a.k = b.k`, where `s.k` is `a.k`; in a FULL JOIN it is `COALESCE(a.k, b.k)`.
//! The name of a join hides the relations below it from the text of a query, and USING makes columns of the join that are columns
//! of no relation. Both are in the way of SQL that is made from parts of a query. The planner flattens joins too
//! (optimizer/plan/planner.c, subquery_planner).
//! Invariant: the same rows. A merged column that is grouped by can be written as its expression in sub-queries, too: the
//! parser itself looks at it like that (parse_agg.c, parseCheckAggregates). Called by load, for every query.

use crate::pg::tree::{JoinExpr, List, Node, Query, Text, Tree, list, make, server, walk};
use pgrx::pg_sys;
use std::collections::BTreeMap;

/// Rewrites the query and all queries in it.
pub fn plain(query: Query) {
    block(query);
    // The syntactic reference of a Var may be a column of a join.
    walk::walk(query.cast(), &mut |n| {
        if list::is(n, pg_sys::NodeTag::T_Var) {
            let var = n.cast::<pg_sys::Var>();
            var.set_varnosyn(var.varno() as _);
            var.set_varattnosyn(var.varattno());
        }
        false
    });
}

fn block(query: Query) {
    let mut joins = Vec::new();
    collect(query.jointree().cast(), &mut joins);
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

/// The whole row of a join is NULL where an outer join above null-extends it; a row of its columns never is. Before 16 the server makes such a row.
#[cfg(not(feature = "pg15"))]
fn refuse_rows(query: Query) {
    let is_candidate = |n: Node| {
        let var = n.cast::<pg_sys::Var>();
        list::is(n, pg_sys::NodeTag::T_Var) && var.varattno() == 0 && !var.varnullingrels().is_null()
    };
    if !walk::walk(query.cast(), &mut |n| is_candidate(n)) {
        return;
    }
    let mut found = None;
    walk::rewrite_deep(query.cast(), &mut |n, depth| {
        if is_candidate(n) {
            let var = n.cast::<pg_sys::Var>();
            if var.varlevelsup() + 1 == depth
                && server::rt_fetch(var.varno() as usize, query).rtekind() == pg_sys::RTEKind::RTE_JOIN
            {
                found = Some(var.location());
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

/// All joins of a FROM clause, those below first.
pub fn collect(node: Node, out: &mut Vec<JoinExpr>) {
    if list::is(node, pg_sys::NodeTag::T_FromExpr) {
        for item in list::iter::<pg_sys::Node>(node.cast::<pg_sys::FromExpr>().fromlist()) {
            collect(item, out);
        }
    } else if list::is(node, pg_sys::NodeTag::T_JoinExpr) {
        let join = node.cast::<pg_sys::JoinExpr>();
        collect(join.larg(), out);
        collect(join.rarg(), out);
        out.push(join);
    }
}

/// Replaces columns of joins by the expressions they stand for, wherever the query has expressions.
fn flatten(query: Query, joins: &[JoinExpr]) {
    let flat = |node: Node| server::flatten_join_aliases(query, node);
    query.set_targetList(flat(query.targetList().cast()).cast());
    query.set_havingQual(flat(query.havingQual()));
    query.set_limitOffset(flat(query.limitOffset()));
    query.set_limitCount(flat(query.limitCount()));
    query.jointree().set_quals(flat(query.jointree().quals()));
    for join in joins {
        join.set_quals(flat(join.quals()));
    }
    for window in list::iter::<pg_sys::WindowClause>(query.windowClause()) {
        window.set_startOffset(flat(window.startOffset()));
        window.set_endOffset(flat(window.endOffset()));
    }
    for cte in list::iter::<pg_sys::CommonTableExpr>(query.cteList()) {
        cte.set_ctequery(flat(cte.ctequery()));
    }
    for rte in list::iter::<pg_sys::RangeTblEntry>(query.rtable()) {
        rte.set_subquery(flat(rte.subquery().cast()).cast());
        rte.set_functions(flat(rte.functions().cast()).cast());
        rte.set_tablefunc(flat(rte.tablefunc().cast()).cast());
        rte.set_values_lists(flat(rte.values_lists().cast()).cast());
        rte.set_tablesample(flat(rte.tablesample().cast()).cast());
        rte.set_securityQuals(flat(rte.securityQuals().cast()).cast());
        #[cfg(feature = "since_18")]
        {
            rte.set_groupexprs(flat(rte.groupexprs().cast()).cast());
        }
    }
}

/// Columns of joins that are those of a relation become nothing: the relation will be another one.
pub fn forget_columns(query: Query, index: usize) {
    let nothing = make::null((pg_sys::INT4OID, -1, pg_sys::InvalidOid));
    let is_its = |n: Node| list::is(n, pg_sys::NodeTag::T_Var) && n.cast::<pg_sys::Var>().varno() as usize == index;
    for rte in list::iter::<pg_sys::RangeTblEntry>(query.rtable()) {
        let vars = list::iter::<pg_sys::Node>(rte.joinaliasvars()).map(|n| if is_its(n) { nothing } else { n });
        rte.set_joinaliasvars(list::of(vars.collect::<Vec<_>>()));
    }
}

/// Takes a column of a relation out of the join that it is a part of; those behind it have the number before theirs then. Nothing looks at columns of joins.
pub fn take_out(query: Query, index: usize, column: i32) {
    let mut joins = Vec::new();
    collect(query.jointree().cast(), &mut joins);
    let is_it = |n: Node| list::is(n, pg_sys::NodeTag::T_RangeTblRef) && index_of(n) as usize == index;
    for join in joins.into_iter().filter(|join| is_it(join.larg()) || is_it(join.rarg())) {
        let rte = server::rt_fetch(join.rtindex() as usize, query);
        let mut sides = [list::ints(rte.joinleftcols()), list::ints(rte.joinrightcols())];
        let side = usize::from(is_it(join.rarg()));
        let Some(at) = sides[side].iter().position(|number| *number == column) else { continue };
        let place = if side == 0 { at } else { sides[0].len() + at };
        sides[side].remove(at);
        sides[side].iter_mut().filter(|number| **number > column).for_each(|number| *number -= 1);
        let rest = |all: List| {
            let nodes = list::iter::<pg_sys::Node>(all).enumerate().filter(|(i, _)| *i != place);
            list::of(nodes.map(|(_, n)| n).collect::<Vec<_>>())
        };
        rte.set_joinaliasvars(rest(rte.joinaliasvars()));
        rte.eref().set_colnames(rest(rte.eref().colnames()));
        let [left, right] = sides.map(list::of_ints);
        rte.set_joinleftcols(left);
        rte.set_joinrightcols(right);
    }
    count_columns(query);
}

/// Counts the columns of joins anew after a relation has become a join: nothing looks at them, but the server's text of a query needs them.
pub fn count_columns(query: Query) {
    count_columns_of(query, BTreeMap::new());
}

/// The same after an item has become another one, with so many columns, by its range table index.
pub fn count_columns_of(query: Query, mut columns: BTreeMap<i32, usize>) {
    let mut joins = Vec::new();
    collect(query.jointree().cast(), &mut joins);
    joins.into_iter().for_each(|join| without_name(query, join, &mut columns));
}

/// Gives a join all columns of both sides; nothing looks at its columns any more. Columns of joins below have changed, too.
fn without_name(query: Query, join: JoinExpr, columns: &mut BTreeMap<i32, usize>) {
    let rte = server::rt_fetch(join.rtindex() as usize, query);
    let merged = rte.joinmergedcols() as usize;
    let vars: Vec<Node> = list::iter(rte.joinaliasvars()).collect();
    let labels: Vec<Node> = list::iter(rte.eref().colnames()).collect();
    let left = list::ints(rte.joinleftcols());
    let right = list::ints(rte.joinrightcols());
    // Where the column of a side stands among those of the join.
    let at_left: BTreeMap<i32, usize> = left.iter().enumerate().map(|(i, att)| (*att, i)).collect();
    let beyond = left.len() - merged;
    let at_right: BTreeMap<i32, usize> =
        right.iter().enumerate().map(|(i, att)| (*att, if i < merged { i } else { beyond + i })).collect();
    let null: List = Tree::null();
    let (mut all, mut names, mut sides) = (null, null, [const { Vec::new() }; 2]);
    for (side, (node, known)) in [(join.larg(), at_left), (join.rarg(), at_right)].into_iter().enumerate() {
        let numbers: Vec<i32> = match columns.get(&index_of(node)) {
            Some(count) => (1..=*count as i32).collect(),
            None => known.keys().copied().collect(),
        };
        for number in numbers {
            let nothing = || make::null((pg_sys::INT4OID, -1, pg_sys::InvalidOid));
            let place = known.get(&number);
            let var = place.map_or_else(nothing, |p| vars[*p]);
            let label = place.map_or_else(|| make::string(Text::of(c"column")), |p| labels[*p]);
            all = list::lappend(all, var.cast());
            names = list::lappend(names, label.cast());
            sides[side].push(number);
        }
    }
    columns.insert(join.rtindex(), list::len(all));
    rte.set_joinaliasvars(all);
    rte.eref().set_colnames(names);
    let [left, right] = sides.map(list::of_ints);
    rte.set_joinleftcols(left);
    rte.set_joinrightcols(right);
    rte.set_joinmergedcols(0);
    join.set_usingClause(Tree::null());
    join.set_alias(Tree::null());
    rte.set_alias(Tree::null());
    join.set_join_using_alias(Tree::null());
    rte.set_join_using_alias(Tree::null());
}

fn index_of(node: Node) -> i32 {
    if list::is(node, pg_sys::NodeTag::T_JoinExpr) {
        return node.cast::<pg_sys::JoinExpr>().rtindex();
    }
    node.cast::<pg_sys::RangeTblRef>().rtindex()
}
