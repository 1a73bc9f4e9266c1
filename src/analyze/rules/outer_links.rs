//! Sub-queries over changed relations in the condition of an outer join, as in `p LEFT JOIN c ON c.id = (SELECT max(id) FROM c WHERE parent = p.id)`.
//!
//! L ⟕ R by a condition with such a sub-query: a pair of rows of L and R can come or go because of a row of R, or because of a row inside of the sub-query. The row
//! with NULLs in the place of R comes or goes only together with a pair. So both are looked for among the pairs: the join keeps only rows in which R is there, as for a
//! change of R itself, and the key is also projected with R null-extended. What the sub-query gives differs between the states before and after. Where the condition can
//! be true only with one of its values, `r = (SELECT e …)`, these are among the values e of all rows that it can have had, which are joined
//! (a *witness*); min and max are such values, too, and so are the rows of IN, ANY and EXISTS. Of `a OR b`, a pair has one or the other: there is a term for each
//! (an *alternative*). Other conditions with such sub-queries are dropped. When none is left, a row of R is a part of as many pairs as L has rows: so it is with NOT IN, NOT EXISTS and
//! `<> ALL`, which are true for almost all pairs, and a row inside of their sub-queries concerns the pairs that it is compared with. Where almost no pair passes, nothing would say which.
//! For changes that are neither in R nor in the condition, R is left out: rows of L are there in any case. Where the key has columns of R, all pairs that the rest of the
//! condition lets pass are taken instead, and the rows of L with NULLs in the place of R.
//!
//! Invariant: for each row that differs, the query has a row with its key, in the state before or after; otherwise there is an error. Called by dirty.

use crate::analyze::query::conditions::{conditions, conjunction, strict_in};
use crate::analyze::query::from::{OnPath, find, is_nullable};
use crate::analyze::query::tree::{constant, outputs};
use crate::analyze::query::{levels, relations};
use crate::analyze::rules::dirty::Beside;
use crate::analyze::rules::lift::{add_item, reads};
use crate::analyze::rules::{change_rows, forget, reduce};
use crate::pg::aggregate::facts;
use crate::pg::error::Result;
use crate::pg::fault::{self, Fault};
use crate::pg::tree::{JoinExpr, Node, Query, Text, Tree, list, lsyscache, make, server, walk};
use pgrx::pg_sys;
use std::collections::BTreeSet;
use std::ffi::CStr;
use tviews_core::reason::Reason;

/// The outer joins of a block whose conditions have sub-queries over changed relations.
pub fn joins(block: Query, changed: &BTreeSet<u32>) -> Vec<JoinExpr> {
    outer_joins(block).into_iter().filter(|join| reads(join.quals(), changed)).collect()
}

fn outer_joins(block: Query) -> Vec<JoinExpr> {
    let mut found = Vec::new();
    for item in list::iter::<pg_sys::Node>(block.jointree().fromlist()) {
        collect(item, &mut found);
    }
    found
}

fn collect(node: Node, found: &mut Vec<JoinExpr>) {
    if list::is(node, pg_sys::NodeTag::T_JoinExpr) {
        let join = node.cast::<pg_sys::JoinExpr>();
        collect(join.larg(), found);
        collect(join.rarg(), found);
        if join.jointype() != pg_sys::JoinType::JOIN_INNER {
            found.push(join);
        }
    }
}

/// The outer join whose condition the n-th sub-link of a block is in, by its range table index.
pub fn around(block: Query, n: usize) -> Option<i32> {
    let link = walk::links(block)[n];
    let of = |join: &JoinExpr| walk::links_in(join.quals()).contains(&link);
    outer_joins(block).into_iter().find(of).map(|join| join.rtindex())
}

/// Values that a condition can be true with.
pub struct Witness {
    condition: Node,
    values: Query,
}

/// What stands for the nullable side of an outer join when changes are looked for elsewhere.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// Nothing: no column of it is needed.
    LeftOut,
    /// All rows that can be partners, and NULLs.
    Paired,
}

/// Where changes are looked for.
#[derive(Clone, Copy)]
pub struct Sought {
    /// The item of FROM.
    pub own: usize,
    /// The outer join in whose condition that item stood, by its range table index.
    pub origin: Option<i32>,
}

/// What has become of conditions of outer joins.
#[derive(Default)]
pub struct Relaxed {
    pub witnesses: Vec<Witness>,
    /// How many terms there are, of which this is one.
    pub alternatives: usize,
    /// Outer joins, by their range table index, whose nullable side can be NULL in the place of the rows that are there.
    pub paired: Vec<i32>,
}

/// Makes the conditions of outer joins of a block say what is certain before and after. `alternative`: the number of the term.
pub fn relax(
    block: Query,
    sought: Sought,
    changed: &BTreeSet<u32>,
    others: Others,
    alternative: usize,
) -> std::result::Result<Relaxed, Reason> {
    let own = sought.own;
    let mut relaxed = Relaxed { alternatives: 1, ..Relaxed::default() };
    for join in joins(block, changed) {
        let Some((nullable, above)) = sides(block, join) else { return Err(Reason::SubqueryInOuterCondition) };
        // More rows there would be fewer null-extended rows.
        if above.iter().any(is_nullable) {
            return Err(Reason::NullableSubquery);
        }
        let is_here = nullable.contains(&own) || sought.origin == Some(join.rtindex());
        if !is_here && others == Others::LeftOut {
            join.set_quals(make::boolean(false));
            forget::forget_rows(block, &nullable, &|i| i == own)?;
            continue;
        }
        let all = conditions(server::flatten_join_aliases(block, join.quals()));
        let (hidden, mut kept): (Vec<_>, Vec<_>) = all.into_iter().partition(|c| reads(*c, changed));
        if fault::on(Fault::LoseLinks) && !hidden.is_empty() {
            kept.push(make::boolean(false));
        }
        let mut is_bound = !kept.is_empty() || hidden.iter().any(|c| is_for_most(*c));
        if is_here {
            let witnesses: Vec<_> = hidden.iter().filter_map(|c| witness(block, *c, changed)).collect();
            is_bound |= !witnesses.is_empty();
            relaxed.witnesses.extend(witnesses);
            let several = if is_bound { None } else { hidden.iter().find_map(|c| alternatives(block, *c, changed)) };
            if let Some(mut all) = several.filter(|_| relaxed.alternatives == 1) {
                is_bound = true;
                relaxed.alternatives = if fault::on(Fault::FirstAlternative) { 1 } else { all.len() };
                match all.swap_remove(alternative) {
                    Alternative::Witness(witness) => relaxed.witnesses.push(witness),
                    Alternative::Condition(condition) => kept.push(condition),
                }
            }
        } else {
            relaxed.paired.push(join.rtindex());
        }
        if !is_bound {
            return Err(Reason::SubqueryInOuterCondition); // all pairs
        }
        join.set_quals(if kept.is_empty() { make::boolean(true) } else { conjunction(kept) });
    }
    Ok(relaxed)
}

/// The items on the nullable side of a left or right join, and the joins above it.
fn sides(block: Query, join: JoinExpr) -> Option<(BTreeSet<usize>, Vec<OnPath>)> {
    let side = match join.jointype() {
        pg_sys::JoinType::JOIN_LEFT => join.rarg(),
        pg_sys::JoinType::JOIN_RIGHT => join.larg(),
        _ => return None,
    };
    let mut items = Vec::new();
    relations::collect(side, &mut items);
    let mut path = Vec::new();
    find(block.jointree().cast(), *items.first()?, &mut path);
    let at = path.iter().position(|on| on.join == join)?;
    path.truncate(at);
    Some((items.into_iter().collect(), path))
}

/// The joins from the top of a block down to an outer join, with its nullable side.
pub fn path_of(block: Query, rtindex: i32) -> Option<Vec<OnPath>> {
    let join = outer_joins(block).into_iter().find(|join| join.rtindex() == rtindex)?;
    let (items, mut path) = sides(block, join)?;
    let left = join.jointype() == pg_sys::JoinType::JOIN_RIGHT;
    debug_assert!(!items.is_empty());
    path.push(OnPath { join, in_left: left });
    Some(path)
}

/// What a pair has, when it passes `a OR b …`.
enum Alternative {
    Witness(Witness),
    /// The same before and after.
    Condition(Node),
}

/// None when one of them could be had by any pair.
fn alternatives(block: Query, condition: Node, changed: &BTreeSet<u32>) -> Option<Vec<Alternative>> {
    let one = |c: Node| match reads(c, changed) {
        true => conditions(c).into_iter().find_map(|part| witness(block, part, changed)).map(Alternative::Witness),
        false => Some(Alternative::Condition(c)),
    };
    arguments(condition, pg_sys::BoolExprType::OR_EXPR)?.into_iter().map(one).collect()
}

/// Whether a condition is, as a rule, true for almost all pairs.
fn is_for_most(condition: Node) -> bool {
    if let Some(several) = arguments(condition, pg_sys::BoolExprType::OR_EXPR) {
        return several.into_iter().any(is_for_most);
    }
    let negated = arguments(condition, pg_sys::BoolExprType::NOT_EXPR);
    let is_negated = negated.is_some();
    let inside = negated.map_or(condition, |of| of[0]);
    if !list::is(inside, pg_sys::NodeTag::T_SubLink) {
        return false;
    }
    let link = inside.cast::<pg_sys::SubLink>();
    // A comparison of rows is an AND of equalities, or an OR of the others.
    let compares = |by: &CStr, row| {
        let test = link.testexpr();
        let is_named = |n: Node| {
            list::is(n, pg_sys::NodeTag::T_OpExpr) && lsyscache::get_opname(n.cast::<pg_sys::OpExpr>().opno()).is(by)
        };
        arguments(test, row).map_or(is_named(test), |all| all.into_iter().all(is_named))
    };
    use pg_sys::SubLinkType::*;
    match link.subLinkType() {
        EXISTS_SUBLINK => is_negated,
        ANY_SUBLINK => is_negated && compares(c"=", pg_sys::BoolExprType::AND_EXPR),
        ALL_SUBLINK => !is_negated && compares(c"<>", pg_sys::BoolExprType::OR_EXPR),
        _ => false,
    }
}

fn arguments(node: Node, of: pg_sys::BoolExprType::Type) -> Option<Vec<Node>> {
    let is = list::is(node, pg_sys::NodeTag::T_BoolExpr) && node.cast::<pg_sys::BoolExpr>().boolop() == of;
    is.then(|| list::iter(node.cast::<pg_sys::BoolExpr>().args()).collect())
}

/// The values of a condition's only sub-query, when it cannot be true without one of them; the rows of EXISTS.
fn witness(block: Query, condition: Node, changed: &BTreeSet<u32>) -> Option<Witness> {
    let [link] = walk::links_in(condition)[..] else { return None };
    let next = list::len(block.rtable()) + 1;
    let values: Query = link.subselect().copy().cast();
    let is_sure = match link.subLinkType() {
        pg_sys::SubLinkType::EXPR_SUBLINK => {
            let [output] = outputs(values)[..] else { return None };
            if let Some(argument) = extremum(values, output.expr()) {
                output.set_expr(argument.cast());
                values.set_hasAggs(false);
            }
            strict_in(with_value(condition, next)).contains(&next)
        }
        pg_sys::SubLinkType::ANY_SUBLINK => condition == link.cast(),
        pg_sys::SubLinkType::EXISTS_SUBLINK => {
            let one = make::target(constant(1).cast(), 1, Text::of(c"one"), false);
            values.set_targetList(list::lappend(Tree::null(), one.cast()));
            condition == link.cast() && levels::has_columns(values.cast())
        }
        _ => false,
    };
    let is_sure = is_sure && forget::widen(values, changed) && only_inner(values.jointree().cast(), values);
    let is_known = outputs(values).into_iter().all(|shown| !reduce::is_forgotten(shown.expr()));
    (is_sure && is_known).then_some(Witness { condition, values })
}

/// The argument of min, max and the like: their result is one of its values, or NULL (pg_aggregate.h, aggsortop).
fn extremum(sub: Query, output: Node) -> Option<Node> {
    let is_total = sub.groupClause().is_null() && sub.groupingSets().is_null() && sub.havingQual().is_null();
    if !is_total || !list::is(output, pg_sys::NodeTag::T_Aggref) {
        return None;
    }
    let agg = output.cast::<pg_sys::Aggref>();
    let facts = facts(agg.aggfnoid()).filter(|f| f.sortop != pg_sys::InvalidOid)?;
    let is_plain = facts.kind == b'n' && agg.agglevelsup() == 0 && agg.aggfilter().is_null();
    if !is_plain || list::len(agg.args()) != 1 {
        return None;
    }
    let argument = list::first::<pg_sys::TargetEntry>(agg.args()).expr();
    (server::exprType(argument) == agg.aggtype()).then_some(argument)
}

/// A condition with the columns of an item in the place of its sub-query.
fn with_value(condition: Node, index: usize) -> Node {
    let column = |number: i32, of| make::var(index as i32, number as i16, of, 0).cast::<pg_sys::Node>();
    walk::rewrite(condition, &mut |n| {
        if list::is(n, pg_sys::NodeTag::T_Param) {
            let param = n.cast::<pg_sys::Param>();
            let of = (param.paramtype(), param.paramtypmod(), param.paramcollid());
            let is_of_link = param.paramkind() == pg_sys::ParamKind::PARAM_SUBLINK;
            return is_of_link.then(|| column(param.paramid(), of));
        }
        if !list::is(n, pg_sys::NodeTag::T_SubLink) {
            return None;
        }
        let link = n.cast::<pg_sys::SubLink>();
        Some(match link.subLinkType() {
            pg_sys::SubLinkType::ANY_SUBLINK => with_value(link.testexpr(), index),
            pg_sys::SubLinkType::EXISTS_SUBLINK => make::boolean(true),
            _ => column(1, (server::exprType(n), server::exprTypmod(n), server::exprCollation(n))),
        })
    })
}

/// Whether more rows of what a FROM clause reads are never fewer rows of it.
fn only_inner(node: Node, block: Query) -> bool {
    match node.tag() {
        pg_sys::NodeTag::T_FromExpr => {
            let items = node.cast::<pg_sys::FromExpr>().fromlist();
            list::iter::<pg_sys::Node>(items).all(|item| only_inner(item, block))
        }
        pg_sys::NodeTag::T_JoinExpr => {
            let join = node.cast::<pg_sys::JoinExpr>();
            join.jointype() == pg_sys::JoinType::JOIN_INNER
                && only_inner(join.larg(), block)
                && only_inner(join.rarg(), block)
        }
        _ => {
            let rte = server::rt_fetch(node.cast::<pg_sys::RangeTblRef>().rtindex() as usize, block);
            rte.rtekind() == pg_sys::RTEKind::RTE_RELATION
        }
    }
}

impl Witness {
    /// Joins the values to a query.
    pub fn add(&self, query: Query, changed: &BTreeSet<u32>, beside: Beside) -> Result<()> {
        let values = self.values.copy();
        for index in relations::in_from(values) {
            let rte = server::rt_fetch(index, values);
            if changed.contains(&rte.relid().to_u32()) && !fault::on(Fault::SkipDeletedOfOthers) {
                change_rows::drop_whole_rows(values, index);
                change_rows::add_beside(rte, beside)?;
            }
        }
        let index = add_item(query, values);
        let from = query.jointree();
        let mut all = conditions(from.quals());
        all.push(with_value(self.condition.copy(), index));
        from.set_quals(conjunction(all));
        Ok(())
    }
}
