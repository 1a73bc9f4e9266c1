//! Aggregates with DISTINCT as aggregates over a stage that has each of their values once.
//!
//! `SELECT g, count(DISTINCT x), sum(n) FROM t GROUP BY g` is `SELECT g, count(x), sum(s) FROM (SELECT g, x, sum(n) AS s
//! FROM t GROUP BY g, x) stage GROUP BY g`: what was a group to be read again is then a sum, for rows and for changes.
//! Conditions of FILTER become columns of the stage: whether they are true for any of the rows behind a value.
//! Invariant: the result is the same to the byte, with the same type, and nothing is computed that the query does not
//! compute. So values that are equal must be the same, and every other aggregate must be a sum of its parts; otherwise the
//! query stays as it is.

use crate::analyze::describe::fold;
use crate::analyze::query::call::Call;
use crate::analyze::query::tree::type_of;
use crate::analyze::split::eligible::is_table_column;
use crate::analyze::split::groups::{Column, grouped, keys, plain, with_targets};
use crate::analyze::split::relation::{column, over};
use crate::analyze::split::{Splitter, parts};
use crate::pg::error::Result;
use crate::pg::ext::{self, make};
use crate::pg::{list, name, walk};
use pgrx::pg_sys;

impl Splitter<'_> {
    /// A grouped query that shows its groups, over a stage with the distinct arguments of its aggregates; None when it
    /// has none, or when that would not be exact.
    pub unsafe fn distinct_aggregates(&mut self, query: *mut pg_sys::Query) -> Result<Option<*mut pg_sys::Query>> {
        // SAFETY: `query` is a live tree of the server.
        unsafe {
            let exprs: Vec<*mut pg_sys::Node> = list::iter::<pg_sys::TargetEntry>((*query).targetList)
                .map(|t| plain(query, (*t).expr.cast()))
                .collect();
            let Some(arguments) = arguments(query, &exprs) else { return Ok(None) };
            let columns = keys(query);
            let mut cx = Pieces { keys: columns.len(), columns, depends: false };
            if cx.columns.iter().any(|c| c.by.is_none_or(|by| !is_exact(c.node, &by))) {
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
            (*inner).hasAggs = cx.columns.iter().any(|c| c.by.is_none());
            let oid = self.relation(inner)?;
            let outer = over(inner, oid)?;
            (*outer).hasAggs = true;
            (*outer).targetList = with_targets((*query).targetList, &targets);
            (*outer).sortClause = (*query).sortClause;
            (*outer).groupClause = ext::copy((*query).groupClause);
            group_by_dependent(outer, &cx);
            Ok(Some(outer))
        }
    }
}

/// Adds the columns that depend on the grouping ones to GROUP BY.
unsafe fn group_by_dependent(outer: *mut pg_sys::Query, cx: &Pieces) {
    // SAFETY: `outer` is a live tree of the server; `cx` belongs to a query that is alive.
    unsafe {
        let entries = || list::iter::<pg_sys::TargetEntry>((*outer).targetList);
        let mut last = entries().map(|t| (*t).ressortgroupref).max().unwrap_or(0);
        for tle in entries() {
            if !list::is((*tle).expr, pg_sys::NodeTag::T_Var) {
                continue;
            }
            let at = (*(*tle).expr.cast::<pg_sys::Var>()).varattno as usize - 1;
            let Some(by) = cx.columns[at].by.filter(|_| at >= cx.keys) else { continue };
            if (*tle).ressortgroupref == 0 {
                last += 1;
                (*tle).ressortgroupref = last;
            }
            let clause = make::<pg_sys::SortGroupClause>(pg_sys::NodeTag::T_SortGroupClause);
            *clause = by;
            (*clause).tleSortGroupRef = (*tle).ressortgroupref;
            (*outer).groupClause = pg_sys::lappend((*outer).groupClause, clause.cast());
        }
    }
}

/// What all DISTINCT aggregates of a query are over: columns of the stage. Constants among the arguments do not count.
pub unsafe fn arguments(query: *mut pg_sys::Query, exprs: &[*mut pg_sys::Node]) -> Option<Vec<Column>> {
    // SAFETY: `query` is a live tree of the server; `exprs` holds live nodes of that tree.
    unsafe {
        let mut found: Option<Vec<Column>> = None;
        let mut everywhere = false;
        for agg in aggregates(exprs) {
            if (*agg).aggdistinct.is_null() || parts::is_idempotent(agg) {
                continue;
            }
            let these = distinct_arguments(agg)?;
            everywhere |= (*agg).aggfilter.is_null();
            if let Some(known) = &found {
                let among = |c: &Column| known.iter().any(|k| same(k.node, c.node));
                if known.len() != these.len() || !these.iter().all(among) {
                    return None;
                }
            }
            found.get_or_insert(these);
        }
        // Where FILTER is false the query does not compute the argument, which could fail.
        found.filter(|f| everywhere || f.iter().all(|c| is_table_column(query, c.node)))
    }
}

/// Aggregates that are not inside of others.
unsafe fn aggregates(exprs: &[*mut pg_sys::Node]) -> Vec<*mut pg_sys::Aggref> {
    // SAFETY: `exprs` holds live nodes of one tree.
    unsafe {
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
}

unsafe fn distinct_arguments(agg: *mut pg_sys::Aggref) -> Option<Vec<Column>> {
    // SAFETY: `agg` is a live node of a tree of the server.
    unsafe {
        let a = &*agg;
        if a.aggkind as u8 != b'n' || a.aggvariadic || a.agglevelsup > 0 || pg_sys::checkExprHasSubLink(agg.cast()) {
            return None;
        }
        let mut out: Vec<Column> = Vec::new();
        for tle in list::iter::<pg_sys::TargetEntry>(a.args) {
            let node: *mut pg_sys::Node = (*tle).expr.cast();
            if list::is(node, pg_sys::NodeTag::T_Const) {
                continue;
            }
            let by = list::iter::<pg_sys::SortGroupClause>(a.aggdistinct)
                .find(|c| (**c).tleSortGroupRef == (*tle).ressortgroupref)?;
            if !is_exact(node, &*by) {
                return None;
            }
            if !out.iter().any(|c| same(c.node, node)) {
                out.push(Column { node, by: Some(*by) });
            }
        }
        (!out.is_empty()).then_some(out)
    }
}

/// Whether values that are equal by this clause are the same bytes.
unsafe fn is_exact(node: *mut pg_sys::Node, by: &pg_sys::SortGroupClause) -> bool {
    // SAFETY: `node` and `by` are live nodes of a tree of the server.
    unsafe {
        let of = type_of(node);
        let entry = pg_sys::lookup_type_cache(of.0, pg_sys::TYPECACHE_EQ_OPR as i32);
        by.eqop == (*entry).eq_opr && (name::equal_is_same(&of) || fold::is_extract(node))
    }
}

unsafe fn same(a: *mut pg_sys::Node, b: *mut pg_sys::Node) -> bool {
    // SAFETY: `a` and `b` are live nodes of a tree of the server.
    unsafe { pg_sys::equal(a.cast(), b.cast()) }
}

/// What the stage computes, and the outputs over it.
pub struct Pieces {
    columns: Vec<Column>,
    /// How many columns the query is grouped by; they come first.
    keys: usize,
    /// An output is computed from a column that depends on these: better from one of the groups, which show it.
    depends: bool,
}

impl Pieces {
    fn push(&mut self, of: Column) -> usize {
        // SAFETY: nodes of a query that is alive.
        let known = self.columns.iter().position(|c| unsafe { same(c.node, of.node) });
        known.unwrap_or_else(|| {
            self.columns.push(of);
            self.columns.len() - 1
        })
    }

    /// A column of the stage, as the query over it sees it.
    pub unsafe fn part(&mut self, node: *mut pg_sys::Node) -> *mut pg_sys::Node {
        // SAFETY: `node` is a live node of a tree of the server.
        unsafe { column(self.push(Column { node, by: None }), node) }
    }

    /// An output over the stage; None when it cannot be.
    unsafe fn target(&mut self, expr: *mut pg_sys::Node) -> Option<*mut pg_sys::Node> {
        // SAFETY: `expr` is a live node of a tree of the server.
        unsafe {
            if list::is(expr, pg_sys::NodeTag::T_Var) && self.key(expr).is_none() {
                return self.dependent(expr);
            }
            let mut possible = true;
            let made = walk::rewrite(expr, &mut |n| {
                use pg_sys::NodeTag::*;
                if let Some(key) = self.key(n) {
                    return Some(column(key, n));
                }
                let other = match (*n).type_ {
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
    }

    unsafe fn key(&self, node: *mut pg_sys::Node) -> Option<usize> {
        // SAFETY: `node` is a live node of a tree of the server.
        unsafe { self.columns[..self.keys].iter().position(|c| same(c.node, node)) }
    }

    /// A column of a table by whose primary key the query is grouped: it is grouped by, too.
    unsafe fn dependent(&mut self, var: *mut pg_sys::Node) -> Option<*mut pg_sys::Node> {
        // SAFETY: `var` is a live node of a tree of the server.
        unsafe {
            let at = (*var.cast::<pg_sys::Var>()).varattno;
            let of = type_of(var);
            if (*var.cast::<pg_sys::Var>()).varlevelsup > 0 || at <= 0 || !name::equal_is_same(&of) {
                return None;
            }
            let clause = make::<pg_sys::SortGroupClause>(pg_sys::NodeTag::T_SortGroupClause);
            let entry = pg_sys::lookup_type_cache(of.0, pg_sys::TYPECACHE_EQ_OPR as i32);
            (*clause).eqop = (*entry).eq_opr;
            Some(column(self.push(Column { node: var, by: Some(*clause) }), var))
        }
    }

    /// An aggregate over the stage.
    unsafe fn over(&mut self, agg: *mut pg_sys::Aggref) -> Option<*mut pg_sys::Node> {
        // SAFETY: `agg` is a live node of a tree of the server.
        unsafe {
            if (*agg).aggdistinct.is_null() || parts::is_idempotent(agg) {
                return parts::sum(agg, self);
            }
            let own = ext::copy(agg);
            // DISTINCT sorts, by these.
            (*own).aggorder = if parts::is_unordered(agg) { std::ptr::null_mut() } else { (*own).aggdistinct };
            (*own).aggdistinct = std::ptr::null_mut();
            for tle in list::iter::<pg_sys::TargetEntry>((*own).args) {
                let node: *mut pg_sys::Node = (*tle).expr.cast();
                if !list::is(node, pg_sys::NodeTag::T_Const) {
                    let at = self.columns.iter().position(|c| c.by.is_some() && same(c.node, node))?;
                    (*tle).expr = column(at, node).cast();
                }
                if (*own).aggorder.is_null() {
                    (*tle).ressortgroupref = 0;
                }
            }
            if !(*own).aggfilter.is_null() {
                let any =
                    Call { function: pg_sys::F_BOOL_OR, result: pg_sys::BOOLOID, argument: (*own).aggfilter.cast() };
                (*own).aggfilter = self.part(any.node()).cast();
            }
            Some(own.cast())
        }
    }
}
