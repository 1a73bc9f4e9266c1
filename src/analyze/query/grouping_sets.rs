//! Grouping sets in a form that text keeps.

use crate::pg::tree::{List, Node, Query, TargetEntry, Tree, list, make, server, walk};
use pgrx::pg_sys;

/// Makes grouping expressions of several sets that are the same differ, in the query and in all queries in it. Called by load.
pub fn tell_apart(query: Query) {
    walk::walk(query.cast(), &mut |n| {
        if list::is(n, pg_sys::NodeTag::T_Query) && !n.cast::<pg_sys::Query>().groupingSets().is_null() {
            tell_apart_here(n.cast());
        }
        false
    });
}

fn tell_apart_here(query: Query) {
    let mut seen: Vec<Node> = Vec::new();
    for (number, clause) in list::iter::<pg_sys::SortGroupClause>(query.groupClause()).enumerate() {
        let place = grouped_by(query, number, clause.tleSortGroupRef());
        while seen.iter().any(|s| server::equal(*s, place.get())) {
            let same = make::make::<pg_sys::CoalesceExpr>();
            same.set_coalescetype(server::exprType(place.get()));
            same.set_coalescecollid(server::exprCollation(place.get()));
            same.set_args(list::of([place.get()]));
            same.set_location(-1);
            place.set(same.cast());
        }
        seen.push(place.get());
    }
}

/// Where a grouping expression is kept: in its target entry, or (18) where the columns that stand for it are defined.
enum Place {
    Target(TargetEntry),
    #[cfg(feature = "since_18")]
    Group(List, usize),
}

impl Place {
    fn get(&self) -> Node {
        match self {
            Place::Target(tle) => tle.expr(),
            #[cfg(feature = "since_18")]
            Place::Group(all, number) => list::nth(*all, *number),
        }
    }

    fn set(&self, expr: Node) {
        match self {
            Place::Target(tle) => tle.set_expr(expr),
            #[cfg(feature = "since_18")]
            Place::Group(all, number) => list::set(*all, *number, expr),
        }
    }
}

/// The columns of equal expressions are all the first one (18), and only the target entry tells which is meant (parse_agg.c, buildGroupedVar).
fn grouped_by(query: Query, number: usize, reference: u32) -> Place {
    let tle = server::get_sortgroupref_tle(reference, query.targetList());
    #[cfg(feature = "since_18")]
    if query.hasGroupRTE() && list::is(tle.expr(), pg_sys::NodeTag::T_Var) {
        let var = tle.expr().cast::<pg_sys::Var>();
        let rte = server::rt_fetch(var.varno() as usize, query);
        if var.varlevelsup() == 0 && rte.rtekind() == pg_sys::RTEKind::RTE_GROUP {
            var.set_varattno(number as i16 + 1);
            var.set_varattnosyn(var.varattno());
            return Place::Group(rte.groupexprs(), number);
        }
    }
    let _ = number;
    Place::Target(tle)
}

/// Grouping sets that name grouping expressions by other numbers.
pub fn renumbered(sets: List, number: &dyn Fn(u32) -> u32) -> List {
    let mut out: List = Tree::null();
    for set in list::iter::<pg_sys::GroupingSet>(sets) {
        let own = set.copy();
        if set.kind() == pg_sys::GroupingSetKind::GROUPING_SET_SIMPLE {
            own.set_content(list::of_ints(list::ints(set.content()).into_iter().map(|r| number(r as u32) as i32)));
        } else {
            own.set_content(renumbered(set.content(), number));
        }
        out = list::lappend(out, own.cast());
    }
    out
}
