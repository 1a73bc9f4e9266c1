//! GROUPING SETS, CUBE and ROLLUP as a sum of groupings.
//!
//! Each grouping set is a grouped query of its own, in which the grouping expressions of the others are NULL and GROUPING()
//! is a constant. They become stages, and UNION ALL is the sum of their rows.
//! Invariant: the same rows, each as often. Source: parser/parse_agg.c, expand_grouping_sets.
//!
//! In `SELECT g AS a, g AS b … GROUP BY a, ROLLUP (b)`, a and b are two grouping columns, of which only b can be NULL. In the text of a
//! query they would be one, as they would be for all code here that compares expressions: `tell_apart` makes the second one
//! COALESCE(g), which is the same to the planner.

use crate::analyze::query::analysed::analysed;
use crate::analyze::query::printed;
use crate::pg::error::Result;
use crate::pg::tree::{List, Node, Query, Tree, list, make, server, walk};
use pgrx::pg_sys;
use std::collections::BTreeSet;

/// More grouping sets than this would be too many relations for every writer to lock: 64 are about 500 locks of a transaction.
const MOST: usize = 64;

type Set = BTreeSet<u32>;

/// The query as UNION ALL of its grouping sets; None when it has no grouping sets, or more above them than HAVING.
pub fn rewrite(query: Query) -> Result<Option<Query>> {
    let more = query.hasWindowFuncs()
        || query.hasTargetSRFs()
        || !query.distinctClause().is_null()
        || !query.limitCount().is_null()
        || !query.limitOffset().is_null()
        || !query.cteList().is_null();
    if query.groupingSets().is_null() || more || has_sub_links(query) {
        return Ok(None);
    }
    let sets: Vec<Set> =
        list::iter::<pg_sys::List>(server::expand_grouping_sets(query.groupingSets(), query.groupDistinct()))
            .map(|l| list::ints(l).into_iter().map(|i| i as u32).collect())
            .collect();
    let bare = !has_aggregates(query);
    if sets.is_empty() || sets.len() > MOST || bare && sets.iter().all(Set::is_empty) {
        return Ok(None);
    }
    let branches: Vec<String> = sets
        .iter()
        .map(|set| {
            let branch = branch(query, set);
            if bare && set.is_empty() {
                one_row(branch);
            }
            Ok(format!("({})", printed::text(branch)?))
        })
        .collect::<Result<_>>()?;
    analysed(query, branches.join(" UNION ALL ")).map(Some)
}

/// A grand total without an aggregate is one row, whatever the rows are; without GROUP BY it would be one row for each of them.
fn one_row(branch: Query) {
    let out = branch;
    let from = make::make::<pg_sys::FromExpr>();
    from.set_quals(out.havingQual());
    out.set_jointree(from);
    out.set_rtable(Tree::null());
    out.set_havingQual(Tree::null());
    out.set_hasAggs(false);
}

fn has_sub_links(query: Query) -> bool {
    server::checkExprHasSubLink(query.targetList().cast()) || server::checkExprHasSubLink(query.havingQual())
}

/// Not `hasAggs`, which the parser sets for GROUPING(), too (check_agglevels_and_constraints in parse_agg.c): that is a constant here.
fn has_aggregates(query: Query) -> bool {
    [query.targetList().cast(), query.havingQual()]
        .into_iter()
        .any(|root| walk::walk(root, &mut |n| list::is(n, pg_sys::NodeTag::T_Aggref)))
}

/// The query for one grouping set.
fn branch(query: Query, set: &Set) -> Query {
    let (present, absent): (Vec<_>, Vec<_>) = list::iter::<pg_sys::SortGroupClause>(query.groupClause())
        .map(|c| c.tleSortGroupRef())
        .map(|r| (r, server::flatten_groups(query, server::get_sortgroupref_tle(r, query.targetList()).expr())))
        .partition(|(r, _)| set.contains(r));
    let cx = Branch { query, set, present, absent };
    let of_set = |node: Node| cx.of_set(node);
    let copy = query.copy();
    let out = copy;
    let mut targets: List = Tree::null();
    for tle in list::iter::<pg_sys::TargetEntry>(out.targetList()) {
        let grouped = set.contains(&tle.ressortgroupref());
        if tle.resjunk() && !grouped {
            continue;
        }
        tle.set_expr(of_set(tle.expr()).cast());
        if !grouped {
            tle.set_ressortgroupref(0);
        }
        targets = list::lappend(targets, tle.cast());
    }
    out.set_targetList(targets);
    out.set_havingQual(of_set(out.havingQual()));
    let mut clauses: List = Tree::null();
    for clause in list::iter::<pg_sys::SortGroupClause>(out.groupClause()) {
        if set.contains(&clause.tleSortGroupRef()) {
            clauses = list::lappend(clauses, clause.cast());
        }
    }
    out.set_groupClause(clauses);
    out.set_groupingSets(Tree::null());
    out.set_groupDistinct(false);
    out.set_sortClause(Tree::null());
    #[cfg(feature = "since_18")]
    {
        out.set_hasGroupRTE(false);
    }
    copy
}

/// The expressions grouped by in one grouping set, and those of the other sets only.
struct Branch<'a> {
    query: Query,
    set: &'a Set,
    present: Vec<(u32, Node)>,
    absent: Vec<(u32, Node)>,
}

impl Branch<'_> {
    /// An expression over the groups of the set.
    fn of_set(&self, node: Node) -> Node {
        let is_one = |of: &[(u32, Node)], n| of.iter().any(|(_, e)| server::equal((*e).cast(), n));
        walk::rewrite(server::flatten_groups(self.query, node), &mut |n| {
            if list::is(n, pg_sys::NodeTag::T_GroupingFunc) {
                return Some(grouping(n.cast(), self.set));
            }
            // An expression may be grouped by, and a part of it not.
            if is_one(&self.present, n.cast()) {
                return Some(n);
            }
            if is_one(&self.absent, n.cast()) {
                let (of, typmod, collation) = (server::exprType(n), server::exprTypmod(n), server::exprCollation(n));
                return Some(make::null((of, typmod, collation)));
            }
            // Direct arguments are computed from groups, all other arguments from rows.
            list::is(n, pg_sys::NodeTag::T_Aggref).then(|| {
                let own = n.cast::<pg_sys::Aggref>().copy();
                own.set_aggdirectargs(self.of_set(own.aggdirectargs().cast()).cast());
                own.cast()
            })
        })
    }
}

/// GROUPING(): a bit for each argument that the set lacks, the last one lowest.
fn grouping(call: Tree<pg_sys::GroupingFunc>, set: &Set) -> Node {
    let bits = list::ints(call.refs()).into_iter().map(|r| !set.contains(&(r as u32)));
    let value = bits.fold(0_i32, |all, bit| all << 1 | i32::from(bit));
    make::int4(value)
}
