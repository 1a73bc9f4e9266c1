//! The groups of a query as a stage, when more is done to them than to show them.
//!
//! Invariant: the stage has one row for each group, with its keys and with every aggregate that is looked at.

use crate::analyze::query::grouping_sets::renumbered;
use crate::analyze::query::tree::outputs;
use crate::analyze::split::Splitter;
use crate::analyze::split::eligible::{can_be_stored, has_outer_cte};
use crate::analyze::split::relation::{column, label, over};
use crate::pg::error::Result;
use crate::pg::name;
use crate::pg::tree::{Aggref, List, Node, Query, TargetEntry, Tree, list, make, parser, server, walk};
use pgrx::pg_sys;
use std::collections::BTreeSet;

/// A column of a stage that groups.
pub struct Column {
    pub node: Node,
    /// The clause that groups by the column; None for a column that is computed from the group.
    pub by: Option<Tree<pg_sys::SortGroupClause>>,
}

impl Splitter<'_> {
    /// `SELECT groups, aggregates … GROUP BY` as a stage, and the query over it.
    pub fn above_groups(&mut self, query: Query) -> Result<Option<Query>> {
        if !query.groupingSets().is_null() && !are_told_apart(&keys(query)) {
            return Ok(None);
        }
        let mut cx = Lowering { query, columns: keys(query), possible: true };
        let groups = cx.columns.len();
        let targets: Vec<Node> = list::iter::<pg_sys::TargetEntry>(query.targetList())
            .map(|t| if is_group_only(query, t) { Tree::null() } else { cx.lower(t.expr(), groups) })
            .collect();
        let having = cx.lower(query.havingQual(), groups);
        let windows: Vec<[Node; 2]> = list::iter::<pg_sys::WindowClause>(query.windowClause())
            .map(|w| [cx.lower(w.startOffset(), groups), cx.lower(w.endOffset(), groups)])
            .collect();
        if !cx.possible || cx.columns.iter().any(|c| !can_be_stored(c.node)) || cx.columns.is_empty() {
            return Ok(None);
        }
        let inner = grouped(query, &cx.columns);
        // A sub-query in a grouping expression stays in the stage: the stage would be split into itself, without end.
        let links = |c: &Column| server::checkExprHasSubLink(c.node);
        let sets = !query.groupingSets().is_null();
        if sets && cx.columns.iter().any(links) || parser::text(inner) == parser::text(query) {
            return Ok(None);
        }
        let oid = self.relation(inner)?;
        let outer = over(inner, oid)?;
        outer.set_targetList(with_targets(query.targetList(), &targets));
        outer.jointree().set_quals(having);
        outer.set_sortClause(query.sortClause());
        outer.set_distinctClause(query.distinctClause());
        outer.set_hasDistinctOn(query.hasDistinctOn());
        outer.set_hasWindowFuncs(query.hasWindowFuncs());
        outer.set_windowClause(query.windowClause().copy());
        for (w, offsets) in list::iter::<pg_sys::WindowClause>(outer.windowClause()).zip(windows) {
            let [start, end] = offsets;
            w.set_startOffset(start);
            w.set_endOffset(end);
        }
        outer.set_limitCount(query.limitCount());
        outer.set_limitOffset(query.limitOffset());
        outer.set_limitOption(query.limitOption());
        outer.set_hasSubLinks(query.hasSubLinks());
        Ok(Some(outer))
    }
}

/// An expression of the query, without aliases of joins and groups.
pub fn plain(query: Query, node: Node) -> Node {
    server::flatten_join_aliases(query, server::flatten_groups(query, node))
}

/// The grouping columns of a query.
pub fn keys(query: Query) -> Vec<Column> {
    list::iter::<pg_sys::SortGroupClause>(query.groupClause())
        .map(|clause| {
            let tle = server::get_sortgroupref_tle(clause.tleSortGroupRef(), query.targetList());
            Column { node: plain(query, tle.expr()), by: Some(clause.copy()) }
        })
        .collect()
}

/// Whether an expression over the groups of several sets says which grouping expressions it is made of: in a set that lacks
/// a grouping expression, that expression is NULL.
fn are_told_apart(keys: &[Column]) -> bool {
    keys.iter().enumerate().all(|(i, key)| {
        let is_constant = server::pull_varnos(key.node).is_empty();
        !is_constant && keys[..i].iter().all(|other| !server::equal(other.node.cast(), key.node.cast()))
    })
}

/// Replaces expressions that a stage computes by columns of the stage, and collects these.
struct Lowering {
    query: Query,
    columns: Vec<Column>,
    possible: bool,
}

impl Lowering {
    fn lower(&mut self, node: Node, groups: usize) -> Node {
        walk::rewrite_deep(plain(self.query, node), &mut |n, depth| match depth {
            0 => self.replace(n, groups),
            _ => self.replace_below(n, depth, groups),
        })
    }

    /// Replaces, in a sub-query, columns and aggregates of the groups. Expressions that are grouped by cannot occur there
    /// (parse_agg.c, check_ungrouped_columns_walker).
    fn replace_below(&mut self, n: Node, depth: u32, groups: usize) -> Option<Node> {
        let level = match n.tag() {
            pg_sys::NodeTag::T_Var => n.cast::<pg_sys::Var>().varlevelsup(),
            pg_sys::NodeTag::T_GroupingFunc => n.cast::<pg_sys::GroupingFunc>().agglevelsup(),
            _ => aggregate(n)?.agglevelsup(),
        };
        if level != depth {
            return None;
        }
        let own = n.copy();
        server::IncrementVarSublevelsUp(own, -(depth as i32), 0);
        let found = self.replace(own, groups)?;
        server::IncrementVarSublevelsUp(found, depth as i32, 0);
        Some(found)
    }

    fn replace(&mut self, n: Node, groups: usize) -> Option<Node> {
        if let Some(at) = self.columns.iter().position(|c| server::equal(c.node.cast(), n.cast())) {
            return Some(column(at, n));
        }
        if is_aggregate(n) {
            self.possible &= !server::checkExprHasSubLink(n);
            return Some(self.push(n, None));
        }
        if list::is(n, pg_sys::NodeTag::T_Var) && groups > 0 {
            // The column depends on the grouping columns.
            let var = n.cast::<pg_sys::Var>();
            self.possible &= var.varlevelsup() == 0 && var.varattno() > 0;
            // With several sets, the columns that it depends on are grouped by in each: it needs no clause itself.
            let by = name::equality(var.vartype())
                .filter(|_| self.query.groupingSets().is_null())
                .map(|_| make::make::<pg_sys::SortGroupClause>());
            return Some(self.push(n, by));
        }
        if list::is(n, pg_sys::NodeTag::T_SubLink) {
            self.possible &= !has_outer_cte(n.cast::<pg_sys::SubLink>().subselect());
            return None;
        }
        if list::is(n, pg_sys::NodeTag::T_GroupingFunc) {
            self.possible &= n.cast::<pg_sys::GroupingFunc>().agglevelsup() == 0;
            return Some(self.push(n, None));
        }
        None
    }

    fn push(&mut self, node: Node, by: Option<Tree<pg_sys::SortGroupClause>>) -> Node {
        self.columns.push(Column { node, by });
        column(self.columns.len() - 1, node)
    }
}

/// The FROM and WHERE clauses of a query, grouped, with these columns and nothing else.
pub fn grouped(query: Query, columns: &[Column]) -> Query {
    let inner = query.copy();
    inner.set_havingQual(Tree::null());
    inner.set_distinctClause(Tree::null());
    inner.set_sortClause(Tree::null());
    inner.set_windowClause(Tree::null());
    inner.set_limitCount(Tree::null());
    inner.set_limitOffset(Tree::null());
    inner.set_hasWindowFuncs(false);
    inner.set_hasDistinctOn(false);
    inner.set_hasTargetSRFs(false);
    #[cfg(feature = "since_18")]
    {
        inner.set_hasGroupRTE(false);
    }
    inner.set_groupClause(Tree::null());
    inner.set_targetList(Tree::null());
    let number = |reference: u32| {
        let is_of = |c: &Column| c.by.is_some_and(|by| by.tleSortGroupRef() == reference);
        columns.iter().position(is_of).map_or(0, |i| i as u32 + 1)
    };
    inner.set_groupingSets(renumbered(query.groupingSets(), &number));
    for (i, of) in columns.iter().enumerate() {
        let tle = make::target(of.node.copy().cast(), i + 1, label(i), false);
        if let Some(by) = of.by {
            tle.set_ressortgroupref(i as u32 + 1);
            let clause = make::make::<pg_sys::SortGroupClause>();
            clause.become_like(by);
            clause.set_tleSortGroupRef(i as u32 + 1);
            inner.set_groupClause(list::lappend(inner.groupClause(), clause.cast()));
        }
        inner.set_targetList(list::lappend(inner.targetList(), tle.cast()));
    }
    inner
}

/// Target entries with other expressions; entries without an expression are left out.
pub fn with_targets(entries: List, exprs: &[Node]) -> List {
    let mut targets: List = Tree::null();
    for (tle, expr) in list::iter::<pg_sys::TargetEntry>(entries).zip(exprs) {
        if !expr.is_null() {
            let own = tle.copy();
            own.set_expr(expr.cast());
            targets = list::lappend(targets, own.cast());
        }
    }
    targets
}

/// Whether all grouping expressions are outputs, and outputs have no sub-query beside aggregates.
pub fn shows_groups(query: Query) -> bool {
    let shown: BTreeSet<u32> = outputs(query).into_iter().map(|t| t.ressortgroupref()).collect();
    references(query).is_subset(&shown) && !has_links_in_outputs(query)
}

/// Whether HAVING or an output that is no grouping expression has a sub-query.
pub fn has_links_beside(query: Query) -> bool {
    has_links_in_outputs(query) || server::checkExprHasSubLink(query.havingQual())
}

fn has_links_in_outputs(query: Query) -> bool {
    let keys = references(query);
    // A grouping expression that is a sub-query is a sub-query of the stage, too.
    let beside = |t: TargetEntry| !keys.contains(&t.ressortgroupref());
    outputs(query).into_iter().any(|t| beside(t) && server::checkExprHasSubLink(t.expr()))
}

fn references(query: Query) -> BTreeSet<u32> {
    list::iter::<pg_sys::SortGroupClause>(query.groupClause()).map(|c| c.tleSortGroupRef()).collect()
}

pub fn is_aggregate(node: Node) -> bool {
    aggregate(node).is_some()
}

/// The aggregate that a node is, or the one inside a JSON constructor (16 and later).
fn aggregate(node: Node) -> Option<Aggref> {
    #[cfg(not(feature = "pg15"))]
    if list::is(node, pg_sys::NodeTag::T_JsonConstructorExpr) {
        let call: Node = node.cast::<pg_sys::JsonConstructorExpr>().func();
        return list::is(call, pg_sys::NodeTag::T_Aggref).then(|| call.cast());
    }
    list::is(node, pg_sys::NodeTag::T_Aggref).then(|| node.cast())
}

/// Whether a target entry is only there to be grouped by.
fn is_group_only(query: Query, tle: TargetEntry) -> bool {
    let sorted = |clause: List| {
        list::iter::<pg_sys::SortGroupClause>(clause).any(|c| c.tleSortGroupRef() == tle.ressortgroupref())
    };
    let windowed = list::iter::<pg_sys::WindowClause>(query.windowClause())
        .any(|w| sorted(w.partitionClause()) || sorted(w.orderClause()));
    tle.resjunk() && !sorted(query.sortClause()) && !sorted(query.distinctClause()) && !windowed
}
