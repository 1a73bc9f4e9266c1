//! `x NOT IN (SELECT y …)` among columns that are never NULL: it becomes NOT EXISTS.
//!
//! For NOT IN the server reads the whole sub-query into a hash table, also for one row; NOT EXISTS is a join, which looks one row up by index. They
//! differ by NULLs only: one among the y leaves no x, and x that is NULL is left out unless there is no y. Invariant: the same rows. Only as a condition of WHERE, where
//! no row is null-extended any more behind it. Called by load. Elsewhere, comparisons of such columns are true or false, which the rows that a row inside concerns are found by: by lift.
//! Source: optimizer/plan/subselect.c of 19 (convert_ANY_sublink_to_join), which does the same for its plans.

use crate::analyze::query::conditions::{conditions, conjunction};
use crate::analyze::query::from::{find, is_nullable};
use crate::analyze::query::tree::is_plain;
use crate::pg::fault::{self, Fault};
use crate::pg::relation::Relation;
use crate::pg::tree::{Node, Query, Text, Tree, list, lsyscache, make, server, walk};
use pgrx::pg_sys;

type Link = Tree<pg_sys::SubLink>;

/// Changes the conditions in all blocks of a query, in place.
pub fn spell_out(query: Query) {
    let mut blocks: Vec<Query> = Vec::new();
    walk::walk(query.cast(), &mut |n| {
        if list::is(n, pg_sys::NodeTag::T_Query) {
            blocks.push(n.cast());
        }
        false
    });
    blocks.into_iter().rev().for_each(block);
}

fn block(query: Query) {
    if query.jointree().is_null() || !query.hasSubLinks() {
        return;
    }
    let all = conditions(query.jointree().quals());
    let changed: Vec<Node> = all.iter().map(|c| without(query, *c).unwrap_or(*c)).collect();
    if changed.iter().zip(&all).any(|(new, old)| !std::ptr::eq(new.raw(), old.raw())) {
        query.jointree().set_quals(conjunction(changed));
    }
}

/// The condition in the other form.
fn without(query: Query, condition: Node) -> Option<Node> {
    let (link, equality) = comparison(condition)?;
    let sub = link.subselect().cast::<pg_sys::Query>();
    if !is_plain(sub) {
        return None;
    }
    let op = link.testexpr().cast::<pg_sys::OpExpr>();
    let (left, right) = (list::nth::<pg_sys::Node>(op.args(), 0), list::nth::<pg_sys::Node>(op.args(), 1));
    let of = list::nth::<pg_sys::TargetEntry>(sub.targetList(), 0).expr();
    let have_nulls = || !is_never_null(query, left, None) || !is_never_null(sub, of, None);
    if !list::is(right, pg_sys::NodeTag::T_Param) || !fault::on(Fault::IgnoreNullsOfNotIn) && have_nulls() {
        return None;
    }
    let outside = left.copy();
    server::IncrementVarSublevelsUp(outside, 1, 0);
    let mut inner = conditions(sub.jointree().quals());
    inner.push(make::comparison(equality, outside, of.copy(), op.inputcollid()));
    sub.jointree().set_quals(conjunction(inner));
    sub.set_targetList(list::of([make::target(make::int4(1), 1, Text::of(c"?column?"), false)]));
    sub.set_sortClause(Tree::null());
    link.set_subLinkType(pg_sys::SubLinkType::EXISTS_SUBLINK);
    link.set_testexpr(Tree::null());
    link.set_operName(Tree::null());
    let not = make::make::<pg_sys::BoolExpr>();
    not.set_boolop(pg_sys::BoolExprType::NOT_EXPR);
    not.set_args(list::of([link]));
    not.set_location(-1);
    Some(not.cast())
}

/// Whether the comparisons of IN, NOT IN, ANY and ALL are never NULL: of columns that are never NULL, by operators that say whether these are equal. `on`: the outer join, by its range
/// table index, in whose condition the sub-link is: pairs of its rows are compared, none of which is null-extended by it.
pub fn says_yes_or_no(query: Query, link: Link, on: Option<i32>) -> bool {
    let sub = link.subselect().cast::<pg_sys::Query>();
    let test = link.testexpr();
    let is_and = list::is(test, pg_sys::NodeTag::T_BoolExpr);
    let all: Vec<Node> = if is_and { list::iter(test.cast::<pg_sys::BoolExpr>().args()).collect() } else { vec![test] };
    let shown: Vec<Node> = list::iter::<pg_sys::TargetEntry>(sub.targetList()).map(|t| t.expr()).collect();
    let is_sure = |comparison: &Node| {
        if !list::is(*comparison, pg_sys::NodeTag::T_OpExpr) {
            return false;
        }
        let op = comparison.cast::<pg_sys::OpExpr>();
        let (left, right) = (list::nth::<pg_sys::Node>(op.args(), 0), list::nth::<pg_sys::Node>(op.args(), 1));
        let is_param = list::is(right, pg_sys::NodeTag::T_Param);
        let number = || right.cast::<pg_sys::Param>().paramid() as usize;
        let of = is_param.then(number).and_then(|n| shown.get(n.wrapping_sub(1))).copied();
        let equality = match link.subLinkType() {
            pg_sys::SubLinkType::ALL_SUBLINK => lsyscache::get_negator(op.opno()),
            _ => op.opno(),
        };
        let knows_nulls = || is_never_null(query, left, on) && of.is_some_and(|of| is_never_null(sub, of, None));
        tells_equal(equality, left) && (fault::on(Fault::IgnoreNullsOfNotIn) || knows_nulls())
    };
    is_plain(sub) && all.iter().all(is_sure)
}

/// The sub-link of `x NOT IN (…)` or `x <> ALL (…)`, for one x, and the operator by which x and y are equal: one of a hash family, which has a value for all values.
fn comparison(condition: Node) -> Option<(Link, pg_sys::Oid)> {
    let is_link =
        |n: Node, of| list::is(n, pg_sys::NodeTag::T_SubLink) && n.cast::<pg_sys::SubLink>().subLinkType() == of;
    let operator = |link: Link| {
        let test = link.testexpr();
        list::is(test, pg_sys::NodeTag::T_OpExpr).then(|| test.cast::<pg_sys::OpExpr>().opno())
    };
    let (link, equality) = if is_link(condition, pg_sys::SubLinkType::ALL_SUBLINK) {
        let link = condition.cast();
        (link, lsyscache::get_negator(operator(link)?))
    } else {
        let not = list::is(condition, pg_sys::NodeTag::T_BoolExpr).then(|| condition.cast::<pg_sys::BoolExpr>())?;
        let link = list::first::<pg_sys::Node>(not.args());
        if not.boolop() != pg_sys::BoolExprType::NOT_EXPR || !is_link(link, pg_sys::SubLinkType::ANY_SUBLINK) {
            return None;
        }
        (link.cast(), operator(link.cast())?)
    };
    let left = list::nth(link.testexpr().cast::<pg_sys::OpExpr>().args(), 0);
    tells_equal(equality, left).then_some((link, equality))
}

/// Whether an operator is the equality of values of a type, by their hash family: it has a value for all values.
fn tells_equal(equality: pg_sys::Oid, left: Node) -> bool {
    let family = lsyscache::operators(server::exprType(left)).hash_family;
    family != pg_sys::InvalidOid && lsyscache::op_in_opfamily(equality, family)
}

/// Whether an expression of a block is a column of a table that has no NULL there, and that no join can null-extend, but for one that is not looked at.
fn is_never_null(query: Query, expr: Node, but: Option<i32>) -> bool {
    let expr = server::flatten_join_aliases(query, expr);
    if !list::is(expr, pg_sys::NodeTag::T_Var) {
        return false;
    }
    let var = expr.cast::<pg_sys::Var>();
    if var.varlevelsup() != 0 || var.varattno() <= 0 {
        return false;
    }
    let rte = server::rt_fetch(var.varno() as usize, query);
    let mut path = Vec::new();
    rte.rtekind() == pg_sys::RTEKind::RTE_RELATION
        && rte.relkind() as u8 != pg_sys::RELKIND_MATVIEW
        && find(query.jointree().cast(), var.varno() as usize, &mut path)
        && !path.iter().any(|on| is_nullable(on) && Some(on.join.rtindex()) != but)
        && Relation::open(rte.relid(), pg_sys::AccessShareLock)
            .is_some_and(|rel| rel.is_never_null(var.varattno() as usize - 1, rte.inh()))
}
