//! The pieces of a sub-query that are lifted one at a time.
//!
//! A branch of a set operation is a query of its own: a row of it can change the result for the rows around that it looks at, whatever the other
//! branches have. Outputs beside aggregates without GROUP BY are computed for every row around, whatever the FROM clause has.
//! Invariant: each place where the sub-query reads a relation is in one piece, or in none. Called by lift.

use crate::analyze::query::tree::{outputs, type_of};
use crate::analyze::rules::lift::reads;
use crate::analyze::rules::reduce::{forgotten, links_beside, reduce};
use crate::pg::fault::{self, Fault};
use crate::pg::tree::{List, Node, Query, Text, Tree, list, make, server, walk};
use pgrx::pg_sys;
use std::collections::BTreeSet;
use std::ffi::CString;
use tviews_core::reason::Reason;

/// A step into a sub-query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// To the branch with this range table index.
    Branch(usize),
    /// To the outputs beside aggregates.
    Outputs,
}

/// The pieces that read one of `changed`, each by the steps to it.
pub fn of(sub: Query, changed: &BTreeSet<u32>) -> Vec<Vec<Step>> {
    if !reads(sub.cast(), changed) {
        return Vec::new();
    }
    if !sub.setOperations().is_null() {
        let mut found = Vec::new();
        for branch in branches(sub.setOperations()) {
            let below = of(server::rt_fetch(branch, sub).subquery(), changed);
            found.extend(below.into_iter().map(|steps| [vec![Step::Branch(branch)], steps].concat()));
        }
        return found;
    }
    if !has_one_row(sub) {
        return vec![Vec::new()];
    }
    let beside = links_beside(sub);
    let mut found = Vec::new();
    if beside.iter().any(|link| reads(link.subselect(), changed)) {
        found.push(vec![Step::Outputs]);
    }
    let rest = sub.copy();
    rest.set_havingQual(Tree::null());
    rest.set_targetList(arguments(sub));
    if reads(rest.cast(), changed) {
        found.push(Vec::new());
    }
    found
}

/// Aggregates without GROUP BY: one row comes out, whatever goes in.
pub fn has_one_row(sub: Query) -> bool {
    (sub.hasAggs() || !sub.havingQual().is_null()) && sub.groupClause().is_null() && sub.groupingSets().is_null()
}

/// Range table indexes of the branches of a set operation.
fn branches(node: Node) -> Vec<usize> {
    if list::is(node, pg_sys::NodeTag::T_RangeTblRef) {
        return vec![node.cast::<pg_sys::RangeTblRef>().rtindex() as usize];
    }
    let operation = node.cast::<pg_sys::SetOperationStmt>();
    [branches(operation.larg()), branches(operation.rarg())].concat()
}

/// Whether a set operation puts rows one after the other.
fn is_sum(node: Node) -> bool {
    if list::is(node, pg_sys::NodeTag::T_RangeTblRef) {
        return true;
    }
    let operation = node.cast::<pg_sys::SetOperationStmt>();
    operation.op() == pg_sys::SetOperation::SETOP_UNION
        && operation.all()
        && is_sum(operation.larg())
        && is_sum(operation.rarg())
}

/// The aggregates of a block, as a select list.
fn arguments(sub: Query) -> List {
    let mut found: List = Tree::null();
    for tle in list::iter::<pg_sys::TargetEntry>(sub.targetList()) {
        walk::rewrite(tle.expr(), &mut |n| {
            let is_own = list::is(n, pg_sys::NodeTag::T_Aggref) && n.cast::<pg_sys::Aggref>().agglevelsup() == 0;
            is_own.then(|| {
                let entry = make::target(n.cast(), list::len(found) + 1, Text::null(), false);
                found = list::lappend(found, entry.cast());
                n
            })
        });
    }
    found
}

/// A piece of a sub-query, stripped of everything behind WHERE, and the numbers of its outputs that are unknown.
pub fn cut(sub: Query, steps: &[Step]) -> Result<(Query, BTreeSet<i16>), Reason> {
    let (piece, unknown) = piece(sub, steps)?;
    if !steps.is_empty() && fault::on(Fault::SkipPieces) {
        piece.jointree().set_quals(make::boolean(false));
    }
    Ok((piece, unknown))
}

fn piece(sub: Query, steps: &[Step]) -> Result<(Query, BTreeSet<i16>), Reason> {
    match steps.split_first() {
        None => reduce(sub).map(|unknown| (sub, unknown)),
        Some((Step::Outputs, _)) => Ok(outputs_alone(sub)),
        Some((Step::Branch(index), rest)) => {
            if !sub.cteList().is_null() {
                return Err(Reason::InsideWith);
            }
            let branch = server::rt_fetch(*index, sub).subquery().copy();
            server::IncrementVarSublevelsUp(branch.cast(), -1, 1);
            let (branch, mut unknown) = cut(branch, rest)?;
            let limited = !sub.limitCount().is_null() || !sub.limitOffset().is_null();
            let shows = is_sum(sub.setOperations()) && !limited;
            for (own, of) in outputs(sub).into_iter().zip(outputs(branch)) {
                of.set_resname(own.resname()); // by which an item of FROM knows it
                // Values are made to be of one type by the planner.
                if !shows || type_of(own.expr()) != type_of(of.expr()) {
                    unknown.insert(own.resno());
                }
            }
            Ok((branch, unknown))
        }
    }
}

/// The sub-links beside aggregates, as the outputs of a row that is always there.
fn outputs_alone(sub: Query) -> (Query, BTreeSet<i16>) {
    let alone = make::make::<pg_sys::Query>();
    alone.set_commandType(pg_sys::CmdType::CMD_SELECT);
    alone.set_canSetTag(true);
    alone.set_hasSubLinks(true);
    alone.set_jointree(make::make::<pg_sys::FromExpr>());
    let mut targets: List = Tree::null();
    let shown = outputs(sub).into_iter().map(|t| forgotten(t.expr()));
    let all: Vec<Node> = shown.chain(links_beside(sub).into_iter().map(|l| l.cast())).collect();
    for (i, expr) in all.iter().enumerate() {
        let label = CString::new(format!("c{}", i + 1)).unwrap_or_default();
        targets = list::lappend(targets, make::target((*expr).cast(), i + 1, Text::of(&label), false).cast());
    }
    alone.set_targetList(targets);
    (alone, (1..=all.len() as i16).collect())
}
