//! GROUPING SETS, CUBE and ROLLUP as a sum of groupings.
//!
//! Each grouping set is a grouped query of its own, in which the grouping expressions of the others are NULL and GROUPING()
//! is a constant. They become stages, and UNION ALL is the sum of their rows.
//! Invariant: the same rows, each as often. Source: parser/parse_agg.c, expand_grouping_sets.
//!
//! In `SELECT g AS a, g AS b … GROUP BY a, ROLLUP (b)`, a and b are two grouping columns, of which only b can be NULL. In the text of a
//! query they would be one, as they would be for everything here that compares expressions: `tell_apart` makes the second one
//! COALESCE(g), which is the same to the planner.

use crate::analyze::query::analysed::analysed;
use crate::analyze::query::printed;
use crate::pg::error::Result;
use crate::pg::ext::{self, make};
use crate::pg::{list, walk};
use pgrx::pg_sys;
use std::collections::BTreeSet;

/// More of them are not worth a stage each.
const MOST: usize = 32;

type Set = BTreeSet<u32>;

/// The query as UNION ALL of its grouping sets; None when it has none, or does more to them than HAVING.
///
/// # Safety
/// `query` is valid; the settings that its text needs are in force.
pub unsafe fn rewrite(query: *mut pg_sys::Query) -> Result<Option<*mut pg_sys::Query>> {
    // SAFETY: the caller promises: `query` is valid; the settings that its text needs are in force.
    unsafe {
        let q = &*query;
        let more = q.hasWindowFuncs
            || q.hasTargetSRFs
            || !q.distinctClause.is_null()
            || !q.limitCount.is_null()
            || !q.limitOffset.is_null()
            || !q.cteList.is_null();
        if q.groupingSets.is_null() || more || has_sub_links(query) {
            return Ok(None);
        }
        let sets: Vec<Set> = list::iter::<pg_sys::List>(ext::expand_grouping_sets(q.groupingSets, q.groupDistinct))
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
}

/// A grand total without an aggregate is one row, whatever the rows are; without GROUP BY it would be one for each of them.
unsafe fn one_row(branch: *mut pg_sys::Query) {
    // SAFETY: `branch` is a live tree of the server.
    unsafe {
        let out = &mut *branch;
        let from = make::<pg_sys::FromExpr>(pg_sys::NodeTag::T_FromExpr);
        (*from).quals = out.havingQual;
        out.jointree = from;
        out.rtable = std::ptr::null_mut();
        out.havingQual = std::ptr::null_mut();
        out.hasAggs = false;
    }
}

unsafe fn has_sub_links(query: *mut pg_sys::Query) -> bool {
    // SAFETY: `query` is a live tree of the server.
    unsafe {
        pg_sys::checkExprHasSubLink((*query).targetList.cast()) || pg_sys::checkExprHasSubLink((*query).havingQual)
    }
}

/// GROUPING() makes the parser say so, too (check_agglevels_and_constraints in parse_agg.c), but it is a constant here.
unsafe fn has_aggregates(query: *mut pg_sys::Query) -> bool {
    // SAFETY: `query` is a live tree of the server.
    unsafe {
        [(*query).targetList.cast(), (*query).havingQual]
            .into_iter()
            .any(|root| walk::walk(root, &mut |n| list::is(n, pg_sys::NodeTag::T_Aggref)))
    }
}

/// The query for one grouping set.
unsafe fn branch(query: *mut pg_sys::Query, set: &Set) -> *mut pg_sys::Query {
    // SAFETY: `query` is a live tree of the server; `set` belongs to a query that is alive.
    unsafe {
        let (present, absent): (Vec<_>, Vec<_>) = list::iter::<pg_sys::SortGroupClause>((*query).groupClause)
            .map(|c| (*c).tleSortGroupRef)
            .map(|r| {
                (r, ext::flatten_groups(query, (*pg_sys::get_sortgroupref_tle(r, (*query).targetList)).expr.cast()))
            })
            .partition(|(r, _)| set.contains(r));
        let cx = Branch { query, set, present, absent };
        let of_set = |node: *mut pg_sys::Node| cx.of_set(node);
        let copy = ext::copy(query);
        let out = &mut *copy;
        let mut targets: *mut pg_sys::List = std::ptr::null_mut();
        for tle in list::iter::<pg_sys::TargetEntry>(out.targetList) {
            let grouped = set.contains(&(*tle).ressortgroupref);
            if (*tle).resjunk && !grouped {
                continue;
            }
            (*tle).expr = of_set((*tle).expr.cast()).cast();
            if !grouped {
                (*tle).ressortgroupref = 0;
            }
            targets = pg_sys::lappend(targets, tle.cast());
        }
        out.targetList = targets;
        out.havingQual = of_set(out.havingQual);
        let mut clauses: *mut pg_sys::List = std::ptr::null_mut();
        for clause in list::iter::<pg_sys::SortGroupClause>(out.groupClause) {
            if set.contains(&(*clause).tleSortGroupRef) {
                clauses = pg_sys::lappend(clauses, clause.cast());
            }
        }
        out.groupClause = clauses;
        out.groupingSets = std::ptr::null_mut();
        out.groupDistinct = false;
        out.sortClause = std::ptr::null_mut();
        #[cfg(feature = "pg18")]
        {
            out.hasGroupRTE = false;
        }
        copy
    }
}

/// What is grouped by in one grouping set, and what in the others only.
struct Branch<'a> {
    query: *mut pg_sys::Query,
    set: &'a Set,
    present: Vec<(u32, *mut pg_sys::Node)>,
    absent: Vec<(u32, *mut pg_sys::Node)>,
}

impl Branch<'_> {
    /// An expression over the groups of the set.
    unsafe fn of_set(&self, node: *mut pg_sys::Node) -> *mut pg_sys::Node {
        // SAFETY: the nodes are live ones of a tree of the server.
        unsafe {
            let is_one = |of: &[(u32, *mut pg_sys::Node)], n| of.iter().any(|(_, e)| pg_sys::equal((*e).cast(), n));
            walk::rewrite(ext::flatten_groups(self.query, node), &mut |n| {
                if list::is(n, pg_sys::NodeTag::T_GroupingFunc) {
                    return Some(grouping(n.cast(), self.set));
                }
                // An expression may be grouped by, and a part of it not.
                if is_one(&self.present, n.cast()) {
                    return Some(n);
                }
                if is_one(&self.absent, n.cast()) {
                    let (of, typmod, collation) =
                        (pg_sys::exprType(n), pg_sys::exprTypmod(n), pg_sys::exprCollation(n));
                    return Some(pg_sys::makeNullConst(of, typmod, collation).cast());
                }
                // Direct arguments are the groups', all others the rows'.
                list::is(n, pg_sys::NodeTag::T_Aggref).then(|| {
                    let own = ext::copy(n.cast::<pg_sys::Aggref>());
                    (*own).aggdirectargs = self.of_set((*own).aggdirectargs.cast()).cast();
                    own.cast()
                })
            })
        }
    }
}

/// GROUPING(): a bit for each argument that the set lacks, the last one lowest.
unsafe fn grouping(call: *mut pg_sys::GroupingFunc, set: &Set) -> *mut pg_sys::Node {
    // SAFETY: `call` is a live node of a tree of the server; `set` belongs to a query that is alive.
    unsafe {
        let bits = list::ints((*call).refs).into_iter().map(|r| !set.contains(&(r as u32)));
        let value = bits.fold(0_i32, |all, bit| all << 1 | i32::from(bit));
        ext::int4(value).cast()
    }
}
