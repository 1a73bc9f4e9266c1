//! What the outer joins of a FROM clause null-extend, and which conditions such rows pass.
//!
//! A side of an outer join whose partner changes is null-extended, and with it what the joins above hang on it. Its rows
//! are followed up to the top of the block: a strict condition on the way removes them; one that is not is dropped, or
//! is a reason why not.
//! Invariant: a row that comes out of the query with some side null-extended is never lost. Called by `dirty` for the terms
//! of a change, and by `outer` and `anchor` for the joins on the way to an item.

use crate::analyze::describe::Block;
use crate::analyze::query::conditions::{conjunction, mentions, strict_in};
use crate::analyze::query::from::OnPath;
use crate::analyze::query::relations;
use crate::pg::{ext, list, walk};
use pgrx::pg_sys;
use std::collections::BTreeSet;
use tviews_core::reason::Reason;

/// The side of an outer join that holds the item, as range table indexes, when it can be null-extended. `convert` makes
/// the join keep only rows of that side.
pub unsafe fn nullable_side(on: &OnPath, convert: bool) -> Option<BTreeSet<usize>> {
    // SAFETY: `on` belongs to a query that is alive.
    unsafe {
        use pg_sys::JoinType::*;
        let join = &mut *on.join;
        let kept = match (join.jointype, on.in_left) {
            (JOIN_LEFT, false) | (JOIN_RIGHT, true) => JOIN_INNER,
            (JOIN_FULL, true) => JOIN_LEFT,
            (JOIN_FULL, false) => JOIN_RIGHT,
            _ => return None,
        };
        if convert {
            join.jointype = kept;
        }
        let mut side = Vec::new();
        relations::collect(if on.in_left { join.larg } else { join.rarg }, &mut side);
        Some(side.into_iter().collect())
    }
}

/// Follows a null-extended side up through the joins above it: what is null-extended with it, None when such rows never
/// come out.
pub unsafe fn survives(
    query: *mut pg_sys::Query,
    above: &[OnPath],
    mut side: BTreeSet<usize>,
) -> std::result::Result<Option<BTreeSet<usize>>, Reason> {
    // SAFETY: `query` is a live tree of the server; `above` belongs to a query that is alive.
    unsafe {
        use pg_sys::JoinType::*;
        for on in above.iter().rev() {
            let join = &*on.join;
            let quals = ext::flatten_join_aliases(query, join.quals);
            for condition in list::iter::<pg_sys::Node>(pg_sys::make_ands_implicit(quals.cast())) {
                if mentions(condition).is_disjoint(&side) {
                    continue;
                }
                if strict_in(condition).is_disjoint(&side) {
                    return Err(Reason::NullablePasses);
                }
                match (join.jointype, on.in_left) {
                    (JOIN_INNER, _) => return Ok(None),
                    (JOIN_LEFT, true) | (JOIN_RIGHT, false) => {
                        let mut other = Vec::new();
                        relations::collect(if on.in_left { join.rarg } else { join.larg }, &mut other);
                        side.extend(other);
                    }
                    // The whole side of that join is null-extended then, which is its own group.
                    (JOIN_LEFT, false) | (JOIN_RIGHT, true) => return Ok(None),
                    _ => return Err(Reason::FullAboveOuter),
                }
            }
        }
        Ok(Some(side))
    }
}

/// WHERE: no row with a side null-extended passes a condition that is strict in it; other conditions on it are dropped.
pub unsafe fn drop_conditions(query: *mut pg_sys::Query, sides: &mut Vec<BTreeSet<usize>>) {
    // SAFETY: `query` is a live tree of the server.
    unsafe {
        let from = (*query).jointree;
        let flat = ext::flatten_join_aliases(query, (*from).quals);
        let conditions: Vec<*mut pg_sys::Node> = list::iter(pg_sys::make_ands_implicit(flat.cast())).collect();
        for c in &conditions {
            let strict = strict_in(*c);
            sides.retain(|side| strict.is_disjoint(side));
        }
        let kept = conditions.into_iter().filter(|c| {
            let mentioned = mentions(*c);
            sides.iter().all(|side| mentioned.is_disjoint(side))
        });
        (*from).quals = conjunction(kept.collect());
    }
}

/// Whether a LATERAL item of the FROM clause looks at a null-extended side: its rows are others then.
pub unsafe fn lateral_depends(query: *mut pg_sys::Query, side: &BTreeSet<usize>) -> bool {
    // SAFETY: `query` is a live tree of the server.
    unsafe { lateral_looks(query, &|var| side.contains(&((*var).varno as usize))) }
}

/// Whether a LATERAL item of the FROM clause looks at one of some columns of the others.
unsafe fn lateral_looks(query: *mut pg_sys::Query, at: &dyn Fn(*mut pg_sys::Var) -> bool) -> bool {
    // SAFETY: the nodes are live ones of a tree of the server.
    unsafe {
        relations::in_from(query).into_iter().any(|i| {
            let rte = list::nth::<pg_sys::RangeTblEntry>((*query).rtable, i - 1);
            if !(*rte).lateral {
                return false;
            }
            let (node, level) = match (*rte).rtekind {
                pg_sys::RTEKind::RTE_SUBQUERY => ((*rte).subquery.cast::<pg_sys::Node>(), 1),
                pg_sys::RTEKind::RTE_FUNCTION => ((*rte).functions.cast(), 0),
                pg_sys::RTEKind::RTE_TABLEFUNC => ((*rte).tablefunc.cast(), 0),
                pg_sys::RTEKind::RTE_VALUES => ((*rte).values_lists.cast(), 0),
                _ => return true,
            };
            list::iter::<pg_sys::Var>(pg_sys::pull_vars_of_level(node, level)).any(at)
        })
    }
}

/// Drops conditions of the outer block over columns of sub-query `index` that depend on atoms null-extended inside it.
pub unsafe fn outer_conditions(
    query: *mut pg_sys::Query,
    joins: &[OnPath],
    index: usize,
    sub: &Block,
    group: &BTreeSet<usize>,
) -> std::result::Result<(), Reason> {
    // SAFETY: `query` is a live tree of the server; `joins` and `sub` belong to a query that is alive.
    unsafe {
        let is_extended = |var: *mut pg_sys::Var| {
            (*var).varno as usize == index
                && match sub.output((*var).varattno) {
                    Some(expr) => mentions(expr).iter().any(|i| !sub.atoms_of(*i).is_disjoint(group)),
                    None => true,
                }
        };
        let depends = |condition: *mut pg_sys::Node| {
            if !mentions(condition).contains(&index) {
                return false;
            }
            if pg_sys::checkExprHasSubLink(condition) {
                return true;
            }
            let mut vars: Vec<*mut pg_sys::Var> = Vec::new();
            walk::walk(condition, &mut |n| {
                if list::is(n, pg_sys::NodeTag::T_Var) && (*n.cast::<pg_sys::Var>()).varlevelsup == 0 {
                    vars.push(n.cast());
                }
                false
            });
            vars.into_iter().any(&is_extended)
        };
        if lateral_looks(query, &is_extended) {
            return Err(Reason::LateralOfNullable);
        }
        for on in joins {
            let quals = ext::flatten_join_aliases(query, (*on.join).quals);
            for condition in list::iter::<pg_sys::Node>(pg_sys::make_ands_implicit(quals.cast())) {
                if depends(condition) {
                    return Err(Reason::NullableInsideView);
                }
            }
        }
        let from = (*query).jointree;
        let flat = ext::flatten_join_aliases(query, (*from).quals);
        let kept = list::iter::<pg_sys::Node>(pg_sys::make_ands_implicit(flat.cast())).filter(|c| !depends(*c));
        (*from).quals = conjunction(kept.collect());
        Ok(())
    }
}
