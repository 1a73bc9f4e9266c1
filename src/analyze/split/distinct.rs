//! Aggregates with DISTINCT as aggregates over a stage that has each of their values once.
//!
//! `SELECT g, count(DISTINCT x), sum(n) FROM t GROUP BY g` is `SELECT g, count(x), sum(s) FROM (SELECT g, x, sum(n) AS s
//! FROM t GROUP BY g, x) stage GROUP BY g`: instead of a group to be read again there is a sum, for rows and for changes.
//! Conditions of FILTER become columns of the stage: whether they are true for any of the rows behind a value.
//! Invariant: the result is the same to the byte, with the same type, and nothing is computed that the query does not
//! compute. So values that are equal must be the same, and every other aggregate must be a sum of its parts; otherwise the
//! query stays as it is.

use crate::analyze::describe::recognise::is_extract;
use crate::analyze::query::call::Call;
use crate::analyze::query::tree::type_of;
use crate::analyze::split::eligible::is_table_column;
use crate::analyze::split::groups::{Column, grouped, keys, plain, with_targets};
use crate::analyze::split::relation::{column, over};
use crate::analyze::split::{Splitter, parts};
use crate::pg::error::Result;
use crate::pg::name;
use crate::pg::tree::{Aggref, Node, Query, Tree, list, lsyscache, make, server, walk};
use pgrx::pg_sys;

impl Splitter<'_> {
    /// A grouped query that shows its groups, over a stage with the distinct arguments of its aggregates; None when no aggregate
    /// is DISTINCT, or when the result would not be exact.
    pub fn distinct_aggregates(&mut self, query: Query) -> Result<Option<Query>> {
        let exprs: Vec<Node> =
            list::iter::<pg_sys::TargetEntry>(query.targetList()).map(|t| plain(query, t.expr())).collect();
        let Some(arguments) = arguments(query, &exprs) else { return Ok(None) };
        let columns = keys(query);
        let mut cx = Pieces { keys: columns.len(), columns, depends: false };
        if cx.columns.iter().any(|c| c.by.is_none_or(|by| !is_exact(c.node, by))) {
            return Ok(None);
        }
        for argument in arguments {
            cx.push(argument);
        }
        let Some(targets) = exprs.into_iter().map(|e| cx.target(e)).collect::<Option<Vec<_>>>() else {
            return Ok(None);
        };
        if cx.depends {
            return self.above_groups(query);
        }
        let inner = grouped(query, &cx.columns);
        inner.set_hasAggs(cx.columns.iter().any(|c| c.by.is_none()));
        let oid = self.relation(inner)?;
        let outer = over(inner, oid)?;
        outer.set_hasAggs(true);
        outer.set_targetList(with_targets(query.targetList(), &targets));
        outer.set_sortClause(query.sortClause());
        outer.set_groupClause(query.groupClause().copy());
        group_by_dependent(outer, &cx);
        Ok(Some(outer))
    }
}

/// Adds the columns that depend on the grouping ones to GROUP BY.
fn group_by_dependent(outer: Query, cx: &Pieces) {
    let entries = || list::iter::<pg_sys::TargetEntry>(outer.targetList());
    let mut last = entries().map(|t| t.ressortgroupref()).max().unwrap_or(0);
    for tle in entries() {
        if !list::is(tle.expr(), pg_sys::NodeTag::T_Var) {
            continue;
        }
        let at = tle.expr().cast::<pg_sys::Var>().varattno() as usize - 1;
        let Some(by) = cx.columns[at].by.filter(|_| at >= cx.keys) else { continue };
        if tle.ressortgroupref() == 0 {
            last += 1;
            tle.set_ressortgroupref(last);
        }
        let clause = make::make::<pg_sys::SortGroupClause>();
        clause.become_like(by);
        clause.set_tleSortGroupRef(tle.ressortgroupref());
        outer.set_groupClause(list::lappend(outer.groupClause(), clause.cast()));
    }
}

/// The arguments of all DISTINCT aggregates of a query: columns of the stage. Constants among the arguments do not count.
pub fn arguments(query: Query, exprs: &[Node]) -> Option<Vec<Column>> {
    let mut found: Option<Vec<Column>> = None;
    let mut everywhere = false;
    for agg in aggregates(exprs) {
        if agg.aggdistinct().is_null() || parts::is_idempotent(agg) {
            continue;
        }
        let these = distinct_arguments(agg)?;
        everywhere |= agg.aggfilter().is_null();
        if let Some(known) = &found {
            let among = |c: &Column| known.iter().any(|k| server::equal(k.node, c.node));
            if known.len() != these.len() || !these.iter().all(among) {
                return None;
            }
        }
        found.get_or_insert(these);
    }
    // Where FILTER is false the query does not compute the argument, which could fail.
    found.filter(|f| everywhere || f.iter().all(|c| is_table_column(query, c.node)))
}

/// Aggregates that are not inside of others.
fn aggregates(exprs: &[Node]) -> Vec<Aggref> {
    let mut found = Vec::new();
    for expr in exprs {
        walk::rewrite(*expr, &mut |n| {
            list::is(n, pg_sys::NodeTag::T_Aggref).then(|| {
                found.push(n.cast());
                n
            })
        });
    }
    found
}

fn distinct_arguments(agg: Aggref) -> Option<Vec<Column>> {
    let a = agg;
    if a.aggkind() != b'n' || a.aggvariadic() || a.agglevelsup() > 0 || server::checkExprHasSubLink(agg.cast()) {
        return None;
    }
    let mut out: Vec<Column> = Vec::new();
    for tle in list::iter::<pg_sys::TargetEntry>(a.args()) {
        let node: Node = tle.expr();
        if list::is(node, pg_sys::NodeTag::T_Const) {
            continue;
        }
        let by = list::iter::<pg_sys::SortGroupClause>(a.aggdistinct())
            .find(|c| c.tleSortGroupRef() == tle.ressortgroupref())?;
        if !is_exact(node, by) {
            return None;
        }
        if !out.iter().any(|c| server::equal(c.node, node)) {
            out.push(Column { node, by: Some(by.copy()) });
        }
    }
    (!out.is_empty()).then_some(out)
}

/// Whether values that are equal by this clause are the same bytes.
fn is_exact(node: Node, by: Tree<pg_sys::SortGroupClause>) -> bool {
    let of = type_of(node);
    by.eqop() == lsyscache::operators(of.0).equal && (name::equal_is_same(&of) || is_extract(node))
}

/// The columns that the stage computes, for the outputs over it.
pub struct Pieces {
    columns: Vec<Column>,
    /// How many columns the query is grouped by; they come first.
    keys: usize,
    /// An output is computed from a column that depends on the keys: better from a stage of the groups, which shows the column.
    depends: bool,
}

impl Pieces {
    fn push(&mut self, of: Column) -> usize {
        let known = self.columns.iter().position(|c| server::equal(c.node, of.node));
        known.unwrap_or_else(|| {
            self.columns.push(of);
            self.columns.len() - 1
        })
    }

    /// A column of the stage, as the query over it sees it.
    pub fn part(&mut self, node: Node) -> Node {
        column(self.push(Column { node, by: None }), node)
    }

    /// An output over the stage; None when the stage does not suffice.
    fn target(&mut self, expr: Node) -> Option<Node> {
        if list::is(expr, pg_sys::NodeTag::T_Var) && self.key(expr).is_none() {
            return self.dependent(expr);
        }
        let mut possible = true;
        let made = walk::rewrite(expr, &mut |n| {
            use pg_sys::NodeTag::*;
            if let Some(key) = self.key(n) {
                return Some(column(key, n));
            }
            let other = match n.tag() {
                T_Aggref => self.over(n.cast()),
                T_Var => {
                    self.depends = true;
                    self.dependent(n)
                }
                T_SubLink | T_GroupingFunc => None,
                _ => return None,
            };
            possible &= other.is_some();
            Some(other.unwrap_or(n))
        });
        possible.then_some(made)
    }

    fn key(&self, node: Node) -> Option<usize> {
        self.columns[..self.keys].iter().position(|c| server::equal(c.node, node))
    }

    /// A column of a table by whose primary key the query is grouped: the stage is grouped by it, too.
    fn dependent(&mut self, var: Node) -> Option<Node> {
        let at = var.cast::<pg_sys::Var>().varattno();
        let of = type_of(var);
        if var.cast::<pg_sys::Var>().varlevelsup() > 0 || at <= 0 || !name::equal_is_same(&of) {
            return None;
        }
        let clause = make::make::<pg_sys::SortGroupClause>();
        clause.set_eqop(lsyscache::operators(of.0).equal);
        Some(column(self.push(Column { node: var, by: Some(clause) }), var))
    }

    /// An aggregate over the stage.
    fn over(&mut self, agg: Aggref) -> Option<Node> {
        if agg.aggdistinct().is_null() || parts::is_idempotent(agg) {
            return parts::sum(agg, self);
        }
        let own = agg.copy();
        // DISTINCT sorts, by its arguments.
        own.set_aggorder(if parts::is_unordered(agg) { Tree::null() } else { own.aggdistinct() });
        own.set_aggdistinct(Tree::null());
        for tle in list::iter::<pg_sys::TargetEntry>(own.args()) {
            let node: Node = tle.expr();
            if !list::is(node, pg_sys::NodeTag::T_Const) {
                let at = self.columns.iter().position(|c| c.by.is_some() && server::equal(c.node, node))?;
                tle.set_expr(column(at, node).cast());
            }
            if own.aggorder().is_null() {
                tle.set_ressortgroupref(0);
            }
        }
        if !own.aggfilter().is_null() {
            let any = Call { function: pg_sys::F_BOOL_OR, result: pg_sys::BOOLOID, argument: own.aggfilter() };
            own.set_aggfilter(self.part(any.node()).cast());
        }
        Some(own.cast())
    }
}
