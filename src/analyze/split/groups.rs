//! The groups of a query as a stage, when more is done to them than to show them.
//!
//! Invariant: the stage has one row for each group, with its keys and with every aggregate that is looked at.

use crate::analyze::query::grouping_sets::renumbered;
use crate::analyze::query::tree::outputs;
use crate::analyze::split::Splitter;
use crate::analyze::split::eligible::{can_be_stored, has_outer_cte};
use crate::analyze::split::relation::{column, label, over};
use crate::pg::error::Result;
use crate::pg::ext::{self, make};
use crate::pg::{deparse, list, name, walk};
use pgrx::pg_sys;
use std::collections::BTreeSet;

/// A column of a stage that groups.
pub struct Column {
    pub node: *mut pg_sys::Node,
    /// How it is grouped by; None for what is computed from the group.
    pub by: Option<pg_sys::SortGroupClause>,
}

impl Splitter<'_> {
    /// `SELECT groups, aggregates … GROUP BY` as a stage, and what is computed from it.
    pub unsafe fn above_groups(&mut self, query: *mut pg_sys::Query) -> Result<Option<*mut pg_sys::Query>> {
        // SAFETY: `query` is a live tree of the server.
        unsafe {
            if !(*query).groupingSets.is_null() && !are_told_apart(&keys(query)) {
                return Ok(None);
            }
            let mut cx = Lowering { query, columns: keys(query), possible: true };
            let groups = cx.columns.len();
            let targets: Vec<*mut pg_sys::Node> = list::iter::<pg_sys::TargetEntry>((*query).targetList)
                .map(
                    |t| if is_group_only(query, t) { std::ptr::null_mut() } else { cx.lower((*t).expr.cast(), groups) },
                )
                .collect();
            let having = cx.lower((*query).havingQual, groups);
            let windows: Vec<[*mut pg_sys::Node; 2]> = list::iter::<pg_sys::WindowClause>((*query).windowClause)
                .map(|w| [cx.lower((*w).startOffset, groups), cx.lower((*w).endOffset, groups)])
                .collect();
            if !cx.possible || cx.columns.iter().any(|c| !can_be_stored(c.node)) || cx.columns.is_empty() {
                return Ok(None);
            }
            let inner = grouped(query, &cx.columns);
            // A sub-query in a grouping expression stays in the stage: that would be split into itself, without end.
            let links = |c: &Column| pg_sys::checkExprHasSubLink(c.node);
            let sets = !(*query).groupingSets.is_null();
            if sets && cx.columns.iter().any(links) || deparse::text(inner) == deparse::text(query) {
                return Ok(None);
            }
            let oid = self.relation(inner)?;
            let outer = over(inner, oid)?;
            (*outer).targetList = with_targets((*query).targetList, &targets);
            (*(*outer).jointree).quals = having;
            (*outer).sortClause = (*query).sortClause;
            (*outer).distinctClause = (*query).distinctClause;
            (*outer).hasDistinctOn = (*query).hasDistinctOn;
            (*outer).hasWindowFuncs = (*query).hasWindowFuncs;
            (*outer).windowClause = ext::copy((*query).windowClause);
            for (w, offsets) in list::iter::<pg_sys::WindowClause>((*outer).windowClause).zip(windows) {
                [(*w).startOffset, (*w).endOffset] = offsets;
            }
            (*outer).limitCount = (*query).limitCount;
            (*outer).limitOffset = (*query).limitOffset;
            (*outer).limitOption = (*query).limitOption;
            (*outer).hasSubLinks = (*query).hasSubLinks;
            Ok(Some(outer))
        }
    }
}

/// An expression of the query, without aliases of joins and groups.
pub unsafe fn plain(query: *mut pg_sys::Query, node: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: `query` is a live tree of the server; `node` is a live node of such a tree.
    unsafe { ext::flatten_join_aliases(query, ext::flatten_groups(query, node)) }
}

/// The grouping columns of a query.
pub unsafe fn keys(query: *mut pg_sys::Query) -> Vec<Column> {
    // SAFETY: `query` is a live tree of the server.
    unsafe {
        list::iter::<pg_sys::SortGroupClause>((*query).groupClause)
            .map(|clause| {
                let tle = pg_sys::get_sortgroupref_tle((*clause).tleSortGroupRef, (*query).targetList);
                Column { node: plain(query, (*tle).expr.cast()), by: Some(*clause) }
            })
            .collect()
    }
}

/// Whether an expression over the groups of several sets says which grouping expressions it is made of: in a set that lacks
/// one, this one is NULL.
unsafe fn are_told_apart(keys: &[Column]) -> bool {
    // SAFETY: the columns hold live nodes of one query.
    unsafe {
        keys.iter().enumerate().all(|(i, key)| {
            let is_constant = pg_sys::pull_varnos(std::ptr::null_mut(), key.node).is_null();
            !is_constant && keys[..i].iter().all(|other| !pg_sys::equal(other.node.cast(), key.node.cast()))
        })
    }
}

/// Replaces what a stage computes by its columns, which it collects.
struct Lowering {
    query: *mut pg_sys::Query,
    columns: Vec<Column>,
    possible: bool,
}

impl Lowering {
    unsafe fn lower(&mut self, node: *mut pg_sys::Node, groups: usize) -> *mut pg_sys::Node {
        // SAFETY: `node` is a live node of a tree of the server.
        unsafe {
            walk::rewrite_deep(plain(self.query, node), &mut |n, depth| match depth {
                0 => self.replace(n, groups),
                _ => self.replace_below(n, depth, groups),
            })
        }
    }

    /// In a sub-query, what belongs to the groups: their columns and aggregates. Expressions that are grouped by cannot occur there
    /// (parse_agg.c, check_ungrouped_columns_walker).
    unsafe fn replace_below(&mut self, n: *mut pg_sys::Node, depth: u32, groups: usize) -> Option<*mut pg_sys::Node> {
        // SAFETY: the nodes are live ones of a tree of the server.
        unsafe {
            let level = match (*n).type_ {
                pg_sys::NodeTag::T_Var => (*n.cast::<pg_sys::Var>()).varlevelsup,
                pg_sys::NodeTag::T_GroupingFunc => (*n.cast::<pg_sys::GroupingFunc>()).agglevelsup,
                _ => (*aggregate(n)?).agglevelsup,
            };
            if level != depth {
                return None;
            }
            let own = ext::copy(n);
            pg_sys::IncrementVarSublevelsUp(own, -(depth as i32), 0);
            let found = self.replace(own, groups)?;
            pg_sys::IncrementVarSublevelsUp(found, depth as i32, 0);
            Some(found)
        }
    }

    unsafe fn replace(&mut self, n: *mut pg_sys::Node, groups: usize) -> Option<*mut pg_sys::Node> {
        // SAFETY: `n` is a live node of a tree of the server.
        unsafe {
            if let Some(at) = self.columns.iter().position(|c| pg_sys::equal(c.node.cast(), n.cast())) {
                return Some(column(at, n));
            }
            if is_aggregate(n) {
                self.possible &= !pg_sys::checkExprHasSubLink(n);
                return Some(self.push(n, None));
            }
            if list::is(n, pg_sys::NodeTag::T_Var) && groups > 0 {
                // Depends on the grouping columns.
                let var = &*n.cast::<pg_sys::Var>();
                self.possible &= var.varlevelsup == 0 && var.varattno > 0;
                // In each of several sets, they are among the grouping ones.
                let by = name::equality(var.vartype)
                    .filter(|_| (*self.query).groupingSets.is_null())
                    .map(|_| *make::<pg_sys::SortGroupClause>(pg_sys::NodeTag::T_SortGroupClause));
                return Some(self.push(n, by));
            }
            if list::is(n, pg_sys::NodeTag::T_SubLink) {
                self.possible &= !has_outer_cte((*n.cast::<pg_sys::SubLink>()).subselect);
                return None;
            }
            if list::is(n, pg_sys::NodeTag::T_GroupingFunc) {
                self.possible &= (*n.cast::<pg_sys::GroupingFunc>()).agglevelsup == 0;
                return Some(self.push(n, None));
            }
            None
        }
    }

    unsafe fn push(&mut self, node: *mut pg_sys::Node, by: Option<pg_sys::SortGroupClause>) -> *mut pg_sys::Node {
        // SAFETY: `node` is a live node of a tree of the server.
        unsafe {
            self.columns.push(Column { node, by });
            column(self.columns.len() - 1, node)
        }
    }
}

/// The FROM and WHERE clauses of a query, grouped, with these columns and nothing else.
pub unsafe fn grouped(query: *mut pg_sys::Query, columns: &[Column]) -> *mut pg_sys::Query {
    // SAFETY: `query` is a live tree of the server.
    unsafe {
        let inner = ext::copy(query);
        (*inner).havingQual = std::ptr::null_mut();
        (*inner).distinctClause = std::ptr::null_mut();
        (*inner).sortClause = std::ptr::null_mut();
        (*inner).windowClause = std::ptr::null_mut();
        (*inner).limitCount = std::ptr::null_mut();
        (*inner).limitOffset = std::ptr::null_mut();
        (*inner).hasWindowFuncs = false;
        (*inner).hasDistinctOn = false;
        #[cfg(feature = "pg18")]
        {
            (*inner).hasGroupRTE = false;
        }
        (*inner).groupClause = std::ptr::null_mut();
        (*inner).targetList = std::ptr::null_mut();
        let number = |reference: u32| {
            let is_of = |c: &Column| c.by.is_some_and(|by| by.tleSortGroupRef == reference);
            columns.iter().position(is_of).map_or(0, |i| i as u32 + 1)
        };
        (*inner).groupingSets = renumbered((*query).groupingSets, &number);
        for (i, of) in columns.iter().enumerate() {
            let tle = pg_sys::makeTargetEntry(ext::copy(of.node).cast(), i as i16 + 1, label(i), false);
            if let Some(by) = of.by {
                (*tle).ressortgroupref = i as u32 + 1;
                let clause = make::<pg_sys::SortGroupClause>(pg_sys::NodeTag::T_SortGroupClause);
                *clause = by;
                (*clause).tleSortGroupRef = i as u32 + 1;
                (*inner).groupClause = pg_sys::lappend((*inner).groupClause, clause.cast());
            }
            (*inner).targetList = pg_sys::lappend((*inner).targetList, tle.cast());
        }
        inner
    }
}

/// Target entries with other expressions; those for which there is none are left out.
pub unsafe fn with_targets(entries: *mut pg_sys::List, exprs: &[*mut pg_sys::Node]) -> *mut pg_sys::List {
    // SAFETY: `entries` is null or a live list of nodes; `exprs` holds live nodes of one tree.
    unsafe {
        let mut targets: *mut pg_sys::List = std::ptr::null_mut();
        for (tle, expr) in list::iter::<pg_sys::TargetEntry>(entries).zip(exprs) {
            if !expr.is_null() {
                let own = ext::copy(tle);
                (*own).expr = expr.cast();
                targets = pg_sys::lappend(targets, own.cast());
            }
        }
        targets
    }
}

/// Whether all grouping expressions are outputs, and outputs have no sub-query beside aggregates.
pub unsafe fn shows_groups(query: *mut pg_sys::Query) -> bool {
    // SAFETY: `query` is a live tree of the server.
    unsafe {
        let shown: BTreeSet<u32> = outputs(query).into_iter().map(|t| (*t).ressortgroupref).collect();
        references(query).is_subset(&shown) && !has_links_in_outputs(query)
    }
}

/// Whether HAVING or an output that is no grouping expression has a sub-query.
pub unsafe fn has_links_beside(query: *mut pg_sys::Query) -> bool {
    // SAFETY: `query` is a live tree of the server.
    unsafe { has_links_in_outputs(query) || pg_sys::checkExprHasSubLink((*query).havingQual) }
}

unsafe fn has_links_in_outputs(query: *mut pg_sys::Query) -> bool {
    // SAFETY: `query` is a live tree of the server.
    unsafe {
        let keys = references(query);
        // A grouping expression that is a sub-query is one of the stage, too.
        let beside = |t: *mut pg_sys::TargetEntry| !keys.contains(&(*t).ressortgroupref);
        outputs(query).into_iter().any(|t| beside(t) && pg_sys::checkExprHasSubLink((*t).expr.cast()))
    }
}

unsafe fn references(query: *mut pg_sys::Query) -> BTreeSet<u32> {
    // SAFETY: `query` is a live tree of the server.
    unsafe { list::iter::<pg_sys::SortGroupClause>((*query).groupClause).map(|c| (*c).tleSortGroupRef).collect() }
}

pub unsafe fn is_aggregate(node: *mut pg_sys::Node) -> bool {
    // SAFETY: `node` is a live node of a tree of the server.
    unsafe { aggregate(node).is_some() }
}

/// An aggregate, or that of a JSON constructor around one (16 and later).
unsafe fn aggregate(node: *mut pg_sys::Node) -> Option<*mut pg_sys::Aggref> {
    // SAFETY: the nodes are live ones of a tree of the server.
    unsafe {
        #[cfg(not(feature = "pg15"))]
        if list::is(node, pg_sys::NodeTag::T_JsonConstructorExpr) {
            let call: *mut pg_sys::Node = (*node.cast::<pg_sys::JsonConstructorExpr>()).func.cast();
            return list::is(call, pg_sys::NodeTag::T_Aggref).then(|| call.cast());
        }
        list::is(node, pg_sys::NodeTag::T_Aggref).then(|| node.cast())
    }
}

/// Whether a target entry is only there to be grouped by.
unsafe fn is_group_only(query: *mut pg_sys::Query, tle: *mut pg_sys::TargetEntry) -> bool {
    // SAFETY: `query` is a live tree of the server; `tle` is a live node of such a tree.
    unsafe {
        let sorted = |clause: *mut pg_sys::List| {
            list::iter::<pg_sys::SortGroupClause>(clause).any(|c| (*c).tleSortGroupRef == (*tle).ressortgroupref)
        };
        let windowed = list::iter::<pg_sys::WindowClause>((*query).windowClause)
            .any(|w| sorted((*w).partitionClause) || sorted((*w).orderClause));
        (*tle).resjunk && !sorted((*query).sortClause) && !sorted((*query).distinctClause) && !windowed
    }
}
