//! Which sides the outer joins of a FROM clause null-extend, and which conditions null-extended rows pass.
//!
//! The rule is in tviews_core::null_extension; here are the joins and the conditions that the rule asks about, and constructs that it does not know:
//! sub-queries in FROM, and LATERAL.
//! Invariant: a row that comes out of the query with some side null-extended is never lost. Called by `dirty` for the terms
//! of a change.

use crate::analyze::describe::Block;
use crate::analyze::query::conditions::{conditions, conjunction, mentions, strict_in};
use crate::analyze::query::from::{OnPath, is_nullable, keep, kind};
use crate::analyze::query::relations;
use crate::analyze::query::tree::is_plain;
use crate::pg::tree::{Node, Query, RangeTblEntry, Var, list, server, walk};
use pgrx::pg_sys;
use std::collections::BTreeSet;
use tviews_core::null_extension::{self, Above, Condition};
use tviews_core::reason::Reason;

/// The side of an outer join that holds the item, as range table indexes, when it can be null-extended. `convert` makes
/// the join keep only rows of that side.
pub fn nullable_side(on: &OnPath, convert: bool) -> Option<BTreeSet<usize>> {
    if !is_nullable(on) {
        return None;
    }
    if convert {
        keep(on.join, on.in_left);
    }
    Some(relations_of(if on.in_left { on.join.larg() } else { on.join.rarg() }))
}

fn relations_of(side: Node) -> BTreeSet<usize> {
    let mut found = Vec::new();
    relations::collect(side, &mut found);
    found.into_iter().collect()
}

/// Follows a null-extended side up through the joins above it: the relations that are null-extended with it, None when such rows
/// never come out.
pub fn survives(
    query: Query,
    above: &[OnPath],
    side: BTreeSet<usize>,
) -> std::result::Result<Option<BTreeSet<usize>>, Reason> {
    let joins = above.iter().rev().map(|on| {
        let quals = server::flatten_join_aliases(query, on.join.quals());
        Above {
            kind: kind(on.join),
            in_left: on.in_left,
            other: relations_of(if on.in_left { on.join.rarg() } else { on.join.larg() }),
            conditions: conditions(quals).into_iter().map(facts).collect(),
        }
    });
    null_extension::survives(joins, side)
}

fn facts(condition: Node) -> Condition {
    Condition { mentions: mentions(condition), strict: strict_in(condition) }
}

/// WHERE: no row with a side null-extended passes a condition that is strict in it; other conditions on it are dropped.
pub fn drop_conditions(query: Query, sides: &mut Vec<BTreeSet<usize>>) {
    let from = query.jointree();
    let all = conditions(server::flatten_join_aliases(query, from.quals()));
    let known: Vec<Condition> = all.iter().map(|c| facts(*c)).collect();
    let kept = all.into_iter().zip(null_extension::pass(&known, sides)).filter(|(_, stays)| *stays);
    from.set_quals(conjunction(kept.map(|(c, _)| c).collect()));
}

/// Whether a LATERAL item of the FROM clause looks at a null-extended side: the item has other rows then. `only`: the item of which rows are
/// wanted; it does not matter where it has no rows.
pub fn lateral_depends(query: Query, side: &BTreeSet<usize>, only: Option<usize>) -> bool {
    lateral_looks(query, &|i, var| {
        let looks = side.contains(&(var.varno() as usize));
        looks && !(only == Some(i) && is_empty_without(server::rt_fetch(i, query), var.varno() as usize))
    })
}

/// The same of all items but one.
pub fn others_depend(query: Query, side: &BTreeSet<usize>, but: Option<usize>) -> bool {
    lateral_looks(query, &|i, var| Some(i) != but && side.contains(&(var.varno() as usize)))
}

/// Whether a LATERAL sub-query has no rows for a null-extended row of an item around it: its WHERE clause is strict in that item.
fn is_empty_without(rte: RangeTblEntry, around: usize) -> bool {
    if rte.subquery().is_null() || !is_plain(rte.subquery()) {
        return false;
    }
    let sub = rte.subquery();
    // Columns of the item as if it were one of the sub-query's own.
    let number = list::len(sub.rtable()) + 1;
    conditions(server::flatten_join_aliases(sub, sub.jointree().quals())).into_iter().any(|condition| {
        let as_own = walk::rewrite(condition, &mut |n| {
            let is_of = list::is(n, pg_sys::NodeTag::T_Var) && {
                let var = n.cast::<pg_sys::Var>();
                var.varlevelsup() == 1 && var.varno() as usize == around
            };
            is_of.then(|| {
                let own = n.cast::<pg_sys::Var>().copy();
                own.set_varlevelsup(0);
                own.set_varno(number as i32);
                own.cast()
            })
        });
        strict_in(as_own).contains(&number)
    })
}

/// Whether a LATERAL item of the FROM clause looks at a column of other items for which `at` is true; it is told the item.
fn lateral_looks(query: Query, at: &dyn Fn(usize, Var) -> bool) -> bool {
    relations::in_from(query).into_iter().any(|i| {
        let rte = server::rt_fetch(i, query);
        if !rte.lateral() {
            return false;
        }
        let (node, level) = match rte.rtekind() {
            pg_sys::RTEKind::RTE_SUBQUERY => (rte.subquery().cast::<pg_sys::Node>(), 1),
            pg_sys::RTEKind::RTE_FUNCTION => (rte.functions().cast(), 0),
            pg_sys::RTEKind::RTE_TABLEFUNC => (rte.tablefunc().cast(), 0),
            pg_sys::RTEKind::RTE_VALUES => (rte.values_lists().cast(), 0),
            _ => return true,
        };
        list::iter::<pg_sys::Var>(server::pull_vars_of_level(node, level)).any(|var| at(i, var))
    })
}

/// Drops conditions of the outer block over columns of sub-query `index` that depend on atoms null-extended inside it.
pub fn outer_conditions(
    query: Query,
    joins: &[OnPath],
    index: usize,
    sub: &Block,
    group: &BTreeSet<usize>,
) -> std::result::Result<(), Reason> {
    let is_extended = |var: Var| {
        var.varno() as usize == index
            && match sub.output(var.varattno()) {
                Some(expr) => mentions(expr).iter().any(|i| !sub.atoms_of(*i).is_disjoint(group)),
                None => true,
            }
    };
    let depends = |condition: Node| {
        if !mentions(condition).contains(&index) {
            return false;
        }
        if server::checkExprHasSubLink(condition) {
            return true;
        }
        let mut vars: Vec<Var> = Vec::new();
        walk::walk(condition, &mut |n| {
            if list::is(n, pg_sys::NodeTag::T_Var) && n.cast::<pg_sys::Var>().varlevelsup() == 0 {
                vars.push(n.cast());
            }
            false
        });
        vars.into_iter().any(&is_extended)
    };
    if lateral_looks(query, &|_, var| is_extended(var)) {
        return Err(Reason::LateralOfNullable);
    }
    for on in joins {
        let quals = server::flatten_join_aliases(query, on.join.quals());
        for condition in list::iter::<pg_sys::Node>(server::make_ands_implicit(quals.cast())) {
            if depends(condition) {
                return Err(Reason::NullableInsideView);
            }
        }
    }
    let from = query.jointree();
    let flat = server::flatten_join_aliases(query, from.quals());
    let kept = list::iter::<pg_sys::Node>(server::make_ands_implicit(flat.cast())).filter(|c| !depends(*c));
    from.set_quals(conjunction(kept.collect()));
    Ok(())
}
