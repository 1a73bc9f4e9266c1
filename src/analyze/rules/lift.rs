//! Occurrences of a relation inside sub-queries, brought to the FROM clause for the sake of dirty keys.
//!
//! A row of a query can only differ because of a row t of a relation inside a sub-query when t passes the FROM and WHERE
//! clauses of that sub-query for it. So a sub-link becomes a LATERAL item whose query is stripped of everything behind
//! WHERE; an item of FROM that groups, removes duplicates, limits or has windows is stripped in place, and its outputs
//! other than the columns that name the affected rows become unknown: conditions on them are dropped, keys on them impossible.
//! Invariant: the lifted query has a row with the key of every output row that a change inside the sub-query can affect.
//! Called by dirty.

use crate::analyze::query::conditions::{conditions, conjunction};
use crate::analyze::query::tree::is_plain;
use crate::analyze::query::{levels, not_in, relations};
use crate::analyze::rules::forget::{drop_conditions, forget};
use crate::analyze::rules::outer_links;
use crate::analyze::rules::pieces::{self, Step};
use crate::analyze::rules::reduce::is_forgotten;
use crate::pg::tree::{List, Node, Query, RangeTblEntry, Text, Tree, list, make, server, walk};
use pgrx::pg_sys;
use std::collections::BTreeSet;
use std::ffi::CString;
use tviews_core::reason::Reason;

/// A sub-query to be lifted.
#[derive(Debug, Clone)]
pub struct Site {
    /// Range table indexes from the top query to the block that the sub-query is in.
    pub block: Vec<usize>,
    what: What,
    /// The piece of it.
    piece: Vec<Step>,
}

#[derive(Debug, Clone, Copy)]
enum What {
    /// The n-th sub-link of the block's own expressions.
    Link(usize),
    /// An item of FROM.
    Item(usize),
}

impl Site {
    /// The number of the sub-link of the top query that the site is in.
    pub fn link(&self) -> Option<usize> {
        match self.what {
            What::Link(n) if self.block.is_empty() => Some(n),
            _ => None,
        }
    }
}

/// Whether a tree reads one of these relations, at any depth.
pub fn reads(node: Node, changed: &BTreeSet<u32>) -> bool {
    walk::walk(node, &mut |n| {
        list::is(n, pg_sys::NodeTag::T_Query) && {
            let q = n.cast::<pg_sys::Query>();
            relations::in_from(q).into_iter().any(|i| {
                let rte = server::rt_fetch(i, q);
                rte.rtekind() == pg_sys::RTEKind::RTE_RELATION && changed.contains(&rte.relid().to_u32())
            })
        }
    })
}

/// Whether an item of FROM is one of these relations, or a plain sub-query that reads one.
pub fn is_place(rte: RangeTblEntry, changed: &BTreeSet<u32>) -> bool {
    match rte.rtekind() {
        pg_sys::RTEKind::RTE_RELATION => changed.contains(&rte.relid().to_u32()),
        pg_sys::RTEKind::RTE_SUBQUERY => is_plain(rte.subquery()) && reads(rte.subquery().cast(), changed),
        _ => false,
    }
}

/// Whether the FROM clause of a block, or of a plain sub-query in it, has one of these relations.
pub fn has_place(block: Query, changed: &BTreeSet<u32>) -> bool {
    relations::in_from(block).into_iter().any(|i| {
        let rte = server::rt_fetch(i, block);
        match rte.rtekind() {
            pg_sys::RTEKind::RTE_RELATION => changed.contains(&rte.relid().to_u32()),
            pg_sys::RTEKind::RTE_SUBQUERY => is_plain(rte.subquery()) && has_place(rte.subquery(), changed),
            _ => false,
        }
    })
}

/// The block at a path of plain sub-queries.
pub fn block_at(query: Query, path: &[usize]) -> Query {
    path.iter().fold(query, |q, i| server::rt_fetch(*i, q).subquery())
}

/// Sub-queries that read one of `changed`, in the blocks at and below `below`.
pub fn sites(query: Query, below: &[usize], changed: &BTreeSet<u32>) -> Vec<Site> {
    let mut out = Vec::new();
    find_sites(block_at(query, below), below, changed, &mut out);
    out
}

fn find_sites(query: Query, path: &[usize], changed: &BTreeSet<u32>, out: &mut Vec<Site>) {
    for (n, link) in walk::links(query).into_iter().enumerate() {
        for piece in pieces::of(link.subselect().cast(), changed) {
            out.push(Site { block: path.to_vec(), what: What::Link(n), piece });
        }
    }
    for index in relations::in_from(query) {
        let rte = server::rt_fetch(index, query);
        if rte.rtekind() != pg_sys::RTEKind::RTE_SUBQUERY || !reads(rte.subquery().cast(), changed) {
            continue;
        }
        if is_plain(rte.subquery()) {
            let mut below = path.to_vec();
            below.push(index);
            find_sites(rte.subquery(), &below, changed, out);
        } else {
            for piece in pieces::of(rte.subquery(), changed) {
                out.push(Site { block: path.to_vec(), what: What::Item(index), piece });
            }
        }
    }
}

/// Lifts a sub-query of `query`, in place; returns the path of the FROM item in which its relations are now.
pub fn lift(query: Query, site: &Site, key: &[usize], changed: &BTreeSet<u32>) -> Result<Vec<usize>, Reason> {
    let block = block_at(query, &site.block);
    let index = match site.what {
        What::Link(n) => lift_link(block, n, &site.piece)?,
        What::Item(index) => {
            let rte = server::rt_fetch(index, block);
            let (sub, unknown) = pieces::cut(rte.subquery(), &site.piece)?;
            let all = list::len(sub.targetList());
            if unknown.len() == all && !rte.lateral() && !levels::has_columns(sub.cast()) {
                return Err(Reason::EveryRow);
            }
            rte.set_subquery(sub);
            forget(block, index, &unknown, &|i| i == index)?;
            index
        }
    };
    let mut path = site.block.clone();
    path.push(index);
    // Outputs computed by sub-links over changed relations are unknown, and so are all outputs computed from them.
    for depth in (0..=site.block.len()).rev() {
        let here = block_at(query, &site.block[..depth]);
        let unknown = unknown_outputs(here, changed);
        if depth == 0 {
            if key.iter().any(|p| unknown.contains(&(*p as i16 + 1))) {
                return Err(Reason::KeyOfSubquery);
            }
        } else {
            let index = site.block[depth - 1];
            forget(block_at(query, &site.block[..depth - 1]), index, &unknown, &|i| i == index)?;
        }
    }
    Ok(path)
}

/// Target entries by number that contain a sub-link over changed relations.
fn unknown_outputs(query: Query, changed: &BTreeSet<u32>) -> BTreeSet<i16> {
    list::iter::<pg_sys::TargetEntry>(query.targetList())
        .filter(|t| is_forgotten(t.expr()) || (has_link(t.expr()) && reads(t.expr(), changed)))
        .map(|t| t.resno())
        .collect()
}

fn has_link(node: Node) -> bool {
    !node.is_null() && server::checkExprHasSubLink(node)
}

/// Makes the n-th sub-link of a block a LATERAL item of its FROM clause.
fn lift_link(block: Query, n: usize, piece: &[Step]) -> Result<usize, Reason> {
    use pg_sys::SubLinkType::*;
    let link = walk::links(block)[n];
    let positive = has_to_be_true(block.jointree().cast(), link.cast());
    let sub: Query = server::flatten_groups(block, link.subselect()).copy().cast();
    let (sub, unknown) = pieces::cut(sub, piece)?;
    let test = link.testexpr();
    let connected = levels::has_columns(sub.cast());
    if test.is_null() && !connected {
        return Err(Reason::EveryRow);
    }
    let index = add_item(block, sub);
    if test.is_null() {
        return Ok(index);
    }
    let test = server::flatten_groups(block, test);
    let mut lost = levels::is_computed(test);
    let test = walk::rewrite(test, &mut |node| {
        if !list::is(node, pg_sys::NodeTag::T_Param) {
            return None;
        }
        let param = node.cast::<pg_sys::Param>();
        lost |= unknown.contains(&(param.paramid() as i16));
        let var = make::var(
            index as i32,
            param.paramid() as i16,
            (param.paramtype(), param.paramtypmod(), param.paramcollid()),
            0,
        );
        Some(var.cast())
    });
    if lost {
        if !connected {
            return Err(Reason::EveryRow);
        }
        return Ok(index);
    }
    let is_any = link.subLinkType() == ANY_SUBLINK;
    // An index answers an equality.
    let sure = not_in::says_yes_or_no(block, link, outer_links::around(block, n));
    let condition = if is_any && (positive || sure) {
        test
    } else if sure && link.subLinkType() == ALL_SUBLINK {
        let not = make::make::<pg_sys::BoolExpr>();
        not.set_boolop(pg_sys::BoolExprType::NOT_EXPR);
        not.set_args(list::of([test]));
        not.set_location(-1);
        not.cast()
    } else {
        let matters = make::make::<pg_sys::BooleanTest>();
        matters.set_arg(test.cast());
        matters.set_booltesttype(if link.subLinkType() == ALL_SUBLINK {
            pg_sys::BoolTestType::IS_NOT_TRUE
        } else {
            pg_sys::BoolTestType::IS_NOT_FALSE
        });
        matters.set_location(-1);
        matters.cast()
    };
    let from = block.jointree();
    let mut all = conditions(from.quals());
    all.push(condition);
    from.set_quals(conjunction(all));
    Ok(index)
}

/// Whether a condition of a FROM clause, or of a join in it, is this expression.
fn has_to_be_true(node: Node, expr: Node) -> bool {
    let (quals, below): (Node, Vec<Node>) = match node.tag() {
        pg_sys::NodeTag::T_FromExpr => {
            let from = node.cast::<pg_sys::FromExpr>();
            (from.quals(), list::iter(from.fromlist()).collect())
        }
        pg_sys::NodeTag::T_JoinExpr => {
            let join = node.cast::<pg_sys::JoinExpr>();
            (join.quals(), vec![join.larg(), join.rarg()])
        }
        _ => return false,
    };
    conditions(quals).contains(&expr) || below.into_iter().any(|n| has_to_be_true(n, expr))
}

/// Adds a LATERAL sub-query to a FROM clause; returns its range table index.
pub fn add_item(block: Query, sub: Query) -> usize {
    let rte = make::make::<pg_sys::RangeTblEntry>();
    rte.set_rtekind(pg_sys::RTEKind::RTE_SUBQUERY);
    rte.set_subquery(sub);
    rte.set_lateral(true);
    rte.set_inFromCl(true);
    let index = list::len(block.rtable()) + 1;
    let label = CString::new(format!("tviews_link_{index}")).unwrap_or_default();
    let mut names: List = Tree::null();
    for i in 0..list::len(sub.targetList()) {
        let column = CString::new(format!("c{}", i + 1)).unwrap_or_default();
        names = list::lappend(names, make::string(Text::of(&column)));
    }
    rte.set_alias(make::alias(&label, names));
    rte.set_eref(make::alias(&label, names));
    block.set_rtable(list::lappend(block.rtable(), rte.cast()));
    let reference = make::make::<pg_sys::RangeTblRef>();
    reference.set_rtindex(index as i32);
    let from = block.jointree();
    from.set_fromlist(list::lappend(from.fromlist(), reference.cast()));
    index
}

/// Drops WHERE and inner join conditions with sub-links over changed relations: their results can differ between the old and the new
/// state. Outer joins with such conditions cannot be followed, nor outer joins with one below their nullable side: more rows
/// there would be fewer null-extended rows.
pub fn drop_changed_conditions(query: Query, changed: &BTreeSet<u32>) -> Result<(), Reason> {
    let uses = |node: Node| has_link(node) && reads(node, changed);
    if below_nullable_side(query, query.jointree().cast(), false, &uses) {
        return Err(Reason::NullableSubquery);
    }
    drop_conditions(query, query.jointree().cast(), &uses).map_err(|_| Reason::SubqueryInOuterCondition)?;
    for index in relations::in_from(query) {
        let rte = server::rt_fetch(index, query);
        if rte.rtekind() == pg_sys::RTEKind::RTE_SUBQUERY && is_plain(rte.subquery()) {
            drop_changed_conditions(rte.subquery(), changed)?;
        }
        let others = [rte.functions(), rte.values_lists()];
        if others.iter().any(|o| uses((*o).cast())) {
            return Err(Reason::FunctionOfSubquery);
        }
    }
    Ok(())
}

/// Whether a condition that `uses` finds is below the nullable side of an outer join, in a join or in a sub-query of FROM.
fn below_nullable_side(query: Query, node: Node, nullable: bool, uses: &dyn Fn(Node) -> bool) -> bool {
    use pg_sys::JoinType::*;
    if list::is(node, pg_sys::NodeTag::T_FromExpr) {
        let from = node.cast::<pg_sys::FromExpr>();
        return list::iter::<pg_sys::Node>(from.fromlist()).any(|n| below_nullable_side(query, n, nullable, uses));
    }
    if list::is(node, pg_sys::NodeTag::T_JoinExpr) {
        let join = node.cast::<pg_sys::JoinExpr>();
        let left = nullable || matches!(join.jointype(), JOIN_RIGHT | JOIN_FULL);
        let right = nullable || matches!(join.jointype(), JOIN_LEFT | JOIN_FULL);
        return nullable && uses(join.quals())
            || below_nullable_side(query, join.larg(), left, uses)
            || below_nullable_side(query, join.rarg(), right, uses);
    }
    if !nullable || !list::is(node, pg_sys::NodeTag::T_RangeTblRef) {
        return false;
    }
    let index = node.cast::<pg_sys::RangeTblRef>().rtindex() as usize;
    let rte = server::rt_fetch(index, query);
    if rte.rtekind() != pg_sys::RTEKind::RTE_SUBQUERY || !is_plain(rte.subquery()) {
        return false;
    }
    let from = rte.subquery().jointree();
    uses(from.quals()) || below_nullable_side(rte.subquery(), from.cast(), true, uses)
}
