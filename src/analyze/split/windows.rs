//! Windows with nothing in common: a stage for the windows of each partitioning, joined by the key of the rows. Without a key
//! the stages are chained (`chain`).
//!
//! A change then recomputes the partitions it touches in each stage, where together the windows would have to be computed over all
//! rows. The first stage also has the columns that the outputs need beside windows.
//! Windows over all rows in several orders are such stages, too, when a change of each concerns an interval of its order only.
//! Invariant: each stage has one row for each row of the query, with its key, which is never NULL. Called by `core`.

use crate::analyze::describe::{Item, describe, interval};
use crate::analyze::query::{select_list, tree};
use crate::analyze::split::Splitter;
use crate::analyze::split::eligible::can_be_stored;
use crate::analyze::split::groups::plain;
use crate::analyze::split::relation::{beside, label, over, stage_column};
use crate::pg::error::Result;
use crate::pg::tree::{List, Node, Query, TargetEntry, Text, Tree, Var, list, lsyscache, make, server, walk};
use pgrx::pg_sys;
use std::collections::BTreeSet;
use tviews_core::key;

/// Windows that are partitioned by the same expressions, by their sort references.
#[derive(Clone)]
pub struct Apart {
    pub by: BTreeSet<u32>,
    pub windows: BTreeSet<u32>,
    /// They are over all rows, in one order: `by` are the expressions of ORDER BY.
    pub is_over_all: bool,
}

impl Splitter<'_> {
    /// None when there is a window that needs all rows, or a column that cannot be stored.
    pub fn windows_apart(&mut self, query: Query) -> Result<Option<Query>> {
        if !query.cteList().is_null() || server::checkExprHasSubLink(query.targetList().cast()) {
            return Ok(None);
        }
        let partitioned = partitionings(query);
        // Of windows in one order, results that go on from the row before and are part of an expression are columns of a stage.
        let is_one = partitioned.is_none()
            && !(self.stages.makes() && (self.is_in_order(query) || interval::hides_order(query, self.key_of)));
        let several = |a: &Vec<Apart>| a.len() > 1 || is_one && a.len() == 1;
        let Some(apart) = partitioned.clone().or_else(|| orders(query)).filter(several) else { return Ok(None) };
        if let Some(key) = self.row_key(query)
            && let Some(outer) = self.joined(query, &apart, &key)?
        {
            return Ok(Some(outer));
        }
        if partitioned.is_some() { self.chained(query, &apart) } else { Ok(None) }
    }

    /// Set-returning functions of the select list, over windows: the windows are a stage, and the functions run over its rows.
    pub fn sets_of_windows(&mut self, query: Query) -> Result<Query> {
        let entries: Vec<TargetEntry> = list::iter(query.targetList()).collect();
        let sorts_by_sets =
            entries.iter().any(|t| t.ressortgroupref() != 0 && server::expression_returns_set(t.expr()));
        let is_simple = query.cteList().is_null()
            && query.distinctClause().is_null()
            && query.limitCount().is_null()
            && query.limitOffset().is_null()
            && !server::checkExprHasSubLink(query.targetList().cast());
        // A TVIEW that was made by an earlier version has no such stage.
        if sorts_by_sets || !is_simple || !self.stages.has_next() {
            return Ok(query);
        }
        let mut columns: Vec<Node> = Vec::new();
        for tle in entries.iter().filter(|t| !t.resjunk()) {
            walk::rewrite(plain(query, tle.expr()), &mut |n| {
                let is_column = window_of(n).is_some() || is_carried(n) && !server::expression_returns_set(n);
                if is_column && !columns.iter().any(|known| server::equal((*known).cast(), n.cast())) {
                    columns.push(n);
                }
                is_column.then_some(n)
            });
        }
        if columns.is_empty() || columns.iter().any(|c| !can_be_stored(*c) || is_row(*c)) {
            return Ok(query);
        }
        let mut all = Apart { by: BTreeSet::new(), windows: BTreeSet::new(), is_over_all: false };
        for window in list::iter::<pg_sys::WindowClause>(query.windowClause()) {
            all.windows.insert(window.winref());
            let by = list::iter::<pg_sys::SortGroupClause>(window.partitionClause());
            all.by.extend(by.map(|c| c.tleSortGroupRef()));
        }
        let Some(stage) = stage(query, &all, &columns) else { return Ok(query) };
        stage.set_hasTargetSRFs(false);
        let outer = over(stage, self.relation(stage)?)?;
        outer.set_targetList(targets(query, std::slice::from_ref(&columns)));
        outer.set_hasTargetSRFs(true);
        select_list::rewrite(outer);
        if outer.hasTargetSRFs() { Ok(outer) } else { self.core(outer) }
    }

    /// A stage for each partitioning, joined by this key.
    fn joined(&mut self, query: Query, apart: &[Apart], key: &[Node]) -> Result<Option<Query>> {
        let mut beside: Vec<Node> = Vec::new();
        let mut windows: Vec<Vec<Node>> = apart.iter().map(|_| Vec::new()).collect();
        for tle in list::iter::<pg_sys::TargetEntry>(query.targetList()).filter(|t| !t.resjunk()) {
            walk::rewrite(plain(query, tle.expr()), &mut |n| {
                let (to, is_window) = match window_of(n) {
                    Some(w) => (&mut windows[apart.iter().position(|a| a.windows.contains(&w)).unwrap_or(0)], true),
                    None => (&mut beside, false),
                };
                if !is_window && !is_carried(n) {
                    return None;
                }
                if !to.iter().any(|known| server::equal((*known).cast(), n.cast())) {
                    to.push(n);
                }
                Some(n)
            });
        }
        let mut columns: Vec<Vec<Node>> = Vec::new();
        for (i, own) in windows.into_iter().enumerate() {
            let first: &[Node] = if i == 0 { &beside } else { &[] };
            columns.push(key.iter().chain(first).copied().chain(own).collect());
        }
        if columns.iter().flatten().any(|c| !can_be_stored(*c) || is_row(*c)) {
            return Ok(None);
        }
        let mut stages = Vec::new();
        for (group, columns) in apart.iter().zip(&columns) {
            let Some(stage) = stage(query, group, columns) else { return Ok(None) };
            // What is known of NULLs and keys when it is made may be otherwise later: that the stages are there says that it was known.
            if group.is_over_all && self.stages.makes() && !self.is_in_order(stage) {
                return Ok(None);
            }
            stages.push(stage);
        }
        let in_order = if apart.iter().any(|a| a.is_over_all) { "order " } else { "" };
        let joined = format!("{in_order}{}", describe_key(key));
        if !self.stages.is_joined(&joined) {
            return Ok(None);
        }
        let mut outer: Query = Tree::null();
        for stage in stages {
            let next = over(stage, self.joined_relation(stage, &joined)?)?;
            outer = if outer.is_null() { next } else { join(outer, next, key) };
        }
        outer.set_targetList(targets(query, &columns));
        Ok(Some(outer))
    }

    /// Whether changes concern an interval of the order only.
    fn is_in_order(&self, stage: Query) -> bool {
        interval::of(stage, self.key_of).is_some() || interval::is_over_rows(stage, self.key_of)
    }

    /// Columns that tell the rows of a query apart.
    pub fn row_key(&self, query: Query) -> Option<Vec<Node>> {
        let copy = query.copy();
        copy.set_hasWindowFuncs(false);
        copy.set_windowClause(Tree::null());
        copy.set_sortClause(Tree::null());
        copy.set_targetList(Tree::null());
        let d = describe(copy, self.key_of);
        let mut candidates: Vec<Node> = Vec::new();
        for (index, item) in &d.block.items {
            let rte = server::rt_fetch(*index, query);
            let attributes: Vec<i16> = match item {
                Item::Atom(a) => d.description.atoms[*a].keys.iter().flatten().copied().collect(),
                Item::Sub(_) => tree::outputs(rte.subquery()).iter().map(|t| t.resno()).collect(),
            };
            for att in attributes {
                let var = match rte.rtekind() {
                    pg_sys::RTEKind::RTE_RELATION => of_relation(*index, rte.relid(), att),
                    pg_sys::RTEKind::RTE_SUBQUERY => of_sub_query(*index, rte.subquery(), att),
                    _ => continue,
                };
                candidates.push(var.cast());
            }
        }
        candidates.sort_by_key(|v| (v.cast::<pg_sys::Var>().varno(), v.cast::<pg_sys::Var>().varattno()));
        candidates.dedup_by(|a, b| server::equal((*a).cast(), (*b).cast()));
        copy.set_targetList(entries(&candidates));
        let d = describe(copy, self.key_of);
        key::of_rows(&d.description).map(|key| key.into_iter().map(|p| candidates[p]).collect())
    }
}

/// A key as it is remembered: tables may get other keys later.
fn describe_key(key: &[Node]) -> String {
    let column = |v: &Node| {
        let var = v.cast::<pg_sys::Var>();
        format!("{}.{}", var.varno(), var.varattno())
    };
    key.iter().map(column).collect::<Vec<_>>().join(" ")
}

/// The windows in use by their partitioning; None when a window has none.
pub fn partitionings(query: Query) -> Option<Vec<Apart>> {
    let mut used = BTreeSet::new();
    walk::walk(query.targetList().cast(), &mut |n| {
        used.extend(window_of(n));
        false
    });
    let mut out: Vec<Apart> = Vec::new();
    for window in list::iter::<pg_sys::WindowClause>(query.windowClause()) {
        if !used.contains(&window.winref()) {
            continue;
        }
        let by: BTreeSet<u32> =
            list::iter::<pg_sys::SortGroupClause>(window.partitionClause()).map(|c| c.tleSortGroupRef()).collect();
        if by.is_empty() {
            return None;
        }
        match out.iter_mut().find(|a| a.by == by) {
            Some(known) => _ = known.windows.insert(window.winref()),
            None => out.push(Apart { by, windows: BTreeSet::from([window.winref()]), is_over_all: false }),
        }
    }
    Some(out)
}

/// The windows in use, of which some are over all rows: by their partitioning, and these by their order; None when a window has neither.
fn orders(query: Query) -> Option<Vec<Apart>> {
    let mut used = BTreeSet::new();
    walk::walk(query.targetList().cast(), &mut |n| {
        used.extend(window_of(n));
        false
    });
    let mut out: Vec<(Apart, List)> = Vec::new();
    let windows = list::iter::<pg_sys::WindowClause>(query.windowClause()).filter(|w| used.contains(&w.winref()));
    for window in windows {
        let is_over_all = window.partitionClause().is_null();
        let clause = if is_over_all { window.orderClause() } else { window.partitionClause() };
        if clause.is_null() {
            return None;
        }
        let by: BTreeSet<u32> = list::iter::<pg_sys::SortGroupClause>(clause).map(|c| c.tleSortGroupRef()).collect();
        let same = |(known, order): &&mut (Apart, List)| {
            known.is_over_all == is_over_all
                && if is_over_all { server::equal(order.cast(), clause.cast()) } else { known.by == by }
        };
        match out.iter_mut().find(same) {
            Some((known, _)) => _ = known.windows.insert(window.winref()),
            None => out.push((Apart { by, windows: BTreeSet::from([window.winref()]), is_over_all }, clause)),
        }
    }
    Some(out.into_iter().map(|(apart, _)| apart).collect())
}

pub fn window_of(node: Node) -> Option<u32> {
    list::is(node, pg_sys::NodeTag::T_WindowFunc).then(|| node.cast::<pg_sys::WindowFunc>().winref())
}

/// Whether an expression is carried as a column of a stage that others read: a column of a relation, or an expression over a
/// whole row, which would be another row when its table gets another column.
pub fn is_carried(node: Node) -> bool {
    use pg_sys::NodeTag::*;
    let has = |is: &dyn Fn(Node) -> bool| walk::walk(node, &mut |n| is(n));
    match node.tag() {
        T_Var => true,
        T_FuncExpr | T_OpExpr | T_NullTest | T_CoerceViaIO => has(&|n| is_row(n)) && !has(&|n| window_of(n).is_some()),
        _ => false,
    }
}

/// Whether an expression is the row of a relation.
pub fn is_row(node: Node) -> bool {
    list::is(node, pg_sys::NodeTag::T_Var) && node.cast::<pg_sys::Var>().varattno() == 0
}

fn of_relation(index: usize, relid: pg_sys::Oid, att: i16) -> Var {
    make::var(index as i32, att, lsyscache::get_atttypetypmodcoll(relid, att), 0)
}

fn of_sub_query(index: usize, query: Query, att: i16) -> Var {
    let tle = list::iter::<pg_sys::TargetEntry>(query.targetList()).find(|t| t.resno() == att);
    let node: Node = tle.map_or(Tree::null(), |t| t.expr());
    let (typid, typmod, collation) = (server::exprType(node), server::exprTypmod(node), server::exprCollation(node));
    make::var(index as i32, att, (typid, typmod, collation), 0)
}

fn entries(nodes: &[Node]) -> List {
    let mut out: List = Tree::null();
    for (i, node) in nodes.iter().enumerate() {
        let tle = make::target(node.copy().cast(), i + 1, label(i), false);
        out = list::lappend(out, tle.cast());
    }
    out
}

/// A window that does not need the window it was defined by: the parser has copied its clauses (parse_clause.c,
/// transformWindowDefinitions).
pub fn standalone(window: Tree<pg_sys::WindowClause>) -> Tree<pg_sys::WindowClause> {
    let own = window.copy();
    own.set_refname(Text::null());
    own.set_copiedOrder(false);
    own
}

/// The query with these columns and the windows of one partitioning, or of several that have an expression in common; None when
/// an expression that they are partitioned by cannot be stored.
pub fn stage(query: Query, group: &Apart, columns: &[Node]) -> Option<Query> {
    let copy = query.copy();
    let mut targets = entries(columns);
    let mut windows: List = Tree::null();
    let mut sorted = BTreeSet::new();
    for window in list::iter::<pg_sys::WindowClause>(copy.windowClause()) {
        if !group.windows.contains(&window.winref()) {
            continue;
        }
        let window = standalone(window);
        for clause in [window.partitionClause(), window.orderClause()] {
            sorted.extend(list::iter::<pg_sys::SortGroupClause>(clause).map(|c| c.tleSortGroupRef()));
        }
        windows = list::lappend(windows, window.cast());
    }
    for reference in sorted {
        let tle = server::get_sortgroupref_tle(reference, query.targetList());
        let node = (plain(query, tle.expr())).copy();
        // The expressions of PARTITION BY have to be shown; those of ORDER BY need not.
        let number = list::len(targets);
        let junk = !group.by.contains(&reference);
        if !junk && !can_be_stored(node) {
            return None;
        }
        let own = make::target(node.cast(), number + 1, label(number), junk);
        own.set_ressortgroupref(reference);
        targets = list::lappend(targets, own.cast());
    }
    copy.set_targetList(in_order(targets));
    copy.set_windowClause(windows);
    copy.set_sortClause(Tree::null());
    Some(copy)
}

/// Junk entries last: the columns of a stage are numbered without them.
fn in_order(targets: List) -> List {
    let all: Vec<TargetEntry> = list::iter(targets).collect();
    let (junk, shown): (Vec<_>, Vec<_>) = all.into_iter().partition(|t| t.resjunk());
    let mut out: List = Tree::null();
    for (i, tle) in shown.into_iter().chain(junk).enumerate() {
        tle.set_resno(i as i16 + 1);
        tle.set_resname(label(i));
        out = list::lappend(out, tle.cast());
    }
    out
}

/// One stage more in the FROM clause, its first columns equal to the first columns of the first stage.
fn join(outer: Query, next: Query, key: &[Node]) -> Query {
    let outer = beside(outer, next);
    let index = list::len(outer.rtable()) as i32;
    let from = outer.jointree();
    let mut all = server::make_ands_implicit(from.quals());
    for (i, node) in key.iter().enumerate() {
        let (of, collation) = (server::exprType(*node), server::exprCollation(*node));
        let [left, right] = [stage_column(1, i, *node), stage_column(index, i, *node)];
        let equal = make::comparison(lsyscache::operators(of).equal, left, right, collation);
        server::set_opfuncid(equal.cast());
        all = list::lappend(all, equal.cast());
    }
    from.set_quals(server::make_ands_explicit(all));
    outer
}

/// The outputs of the query, computed from the columns of the stages.
fn targets(query: Query, columns: &[Vec<Node>]) -> List {
    let mut out: List = Tree::null();
    for tle in list::iter::<pg_sys::TargetEntry>(query.targetList()).filter(|t| !t.resjunk()) {
        let own = tle.copy();
        let lowered = walk::rewrite(plain(query, tle.expr()), &mut |n| {
            columns.iter().enumerate().find_map(|(s, of)| {
                let at = of.iter().position(|c| server::equal((*c).cast(), n.cast()))?;
                Some(stage_column(s as i32 + 1, at, n))
            })
        });
        own.set_expr(lowered.cast());
        own.set_ressortgroupref(0);
        out = list::lappend(out, own.cast());
    }
    out
}
