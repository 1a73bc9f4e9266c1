//! Clauses above the rows of a query: LIMIT, DISTINCT over windows, and everything above groups.
//!
//! Invariant: the query over the stage gives the same rows.

use crate::analyze::describe::{first_rows, interval, partition_columns};
use crate::analyze::query::{relations, select_list};
use crate::analyze::split::Splitter;
use crate::analyze::split::eligible::can_be_stored;
use crate::analyze::split::groups::{Column, has_links_beside, keys, shows_groups};
use crate::analyze::split::relation::{column, label, over};
use crate::analyze::split::windows::partitionings;
use crate::pg::error::Result;
use crate::pg::fault::{self, Fault};
use crate::pg::tree::{List, Node, Query, Tree, list, lsyscache, make, server, walk};
use pgrx::pg_sys;
use std::collections::BTreeSet;

impl Splitter<'_> {
    /// Makes the grouped or unlimited core of a query a stage, when more is done to it.
    pub fn core(&mut self, query: Query) -> Result<Query> {
        if !query.setOperations().is_null() && (!query.limitCount().is_null() || !query.limitOffset().is_null()) {
            return self.exposed(query);
        }
        if query.setOperations().is_null() && query.hasTargetSRFs() {
            let grouped = !query.groupClause().is_null() || query.hasAggs() || !query.groupingSets().is_null();
            let windows = query.hasWindowFuncs() && !grouped;
            return if windows { self.sets_of_windows(query) } else { self.sets_of_groups(query) };
        }
        if !query.setOperations().is_null() {
            return Ok(query);
        }
        let limited = !query.limitCount().is_null() || !query.limitOffset().is_null();
        if !query.groupingSets().is_null() {
            let more =
                limited || !query.distinctClause().is_null() || query.hasWindowFuncs() || has_links_beside(query);
            let outer = if more { self.above_groups(query)? } else { None };
            return match outer {
                Some(outer) => self.core(outer),
                None => Ok(query),
            };
        }
        let grouped = !query.groupClause().is_null() || query.hasAggs();
        let distinct = !query.distinctClause().is_null();
        if grouped
            && (limited || distinct || query.hasWindowFuncs() || !query.havingQual().is_null() || !shows_groups(query))
        {
            if let Some(outer) = self.above_groups(query)? {
                return self.core(outer);
            }
            return Ok(query);
        }
        if grouped {
            if let Some(outer) = self.distinct_aggregates(query)? {
                return Ok(outer);
            }
            return Ok(self.totals(query)?.unwrap_or(query));
        }
        let windows = query.hasWindowFuncs();
        if distinct && !windows && !limited && hides_group(query) {
            return self.all_shown(query);
        }
        if windows && !limited && !distinct && !has_partitions(query) {
            return match self.windows_apart(query)? {
                Some(outer) => Ok(outer),
                None => self.windows_over_rows(query),
            };
        }
        if limited || (windows && (distinct || partition_columns(query).is_empty())) {
            return self.exposed(query);
        }
        Ok(query)
    }

    /// The query without LIMIT, and without DISTINCT over windows, as a stage that shows all columns it sorts and
    /// partitions by.
    fn exposed(&mut self, query: Query) -> Result<Query> {
        let limited = !query.limitCount().is_null() || !query.limitOffset().is_null();
        if limited && first_rows::limit(query).is_some() {
            return self.ordered_shown(query);
        }
        if first_rows::skipped(query).is_some() {
            return self.behind_offset(query);
        }
        if limited && (query.sortClause().is_null() || looks_simple(query)) || !limited && !is_partitioned(query) {
            return Ok(query);
        }
        let outer = self.all_shown(query)?;
        if limited && first_rows::limit(outer).is_some() {
            self.ordered_shown(outer)
        } else if first_rows::skipped(outer).is_some() {
            self.behind_offset(outer)
        } else {
            Ok(outer)
        }
    }

    /// All rows of one relation but the first ones as a stage, unless they show all columns that they are sorted by, and each has a place of its own.
    fn behind_offset(&mut self, query: Query) -> Result<Query> {
        // What is known of keys when it is made may be otherwise later: that the stage is there says that it was known.
        if !self.stages.makes() {
            return if self.stages.has_next() { self.shown(query, true) } else { Ok(query) };
        }
        if interval::of(query, self.key_of).is_some() {
            return Ok(query);
        }
        let Some(total) = self.with_total_order(query) else { return Ok(query) };
        self.shown(total, true)
    }

    /// The query with the columns of a key of its rows behind the others in ORDER BY: one of the right results, where there are ties.
    fn with_total_order(&self, query: Query) -> Option<Query> {
        let total = query.copy();
        for node in self.row_key(interval::rows_of(query))? {
            let known = list::iter::<pg_sys::TargetEntry>(total.targetList())
                .find(|t| server::equal(t.expr().cast(), node.cast()));
            let tle = known.unwrap_or_else(|| {
                let number = list::len(total.targetList());
                let tle = make::target(node.copy().cast(), number + 1, label(number), true);
                total.set_targetList(list::lappend(total.targetList(), tle.cast()));
                tle
            });
            let entries = list::iter::<pg_sys::TargetEntry>(total.targetList());
            let last = entries.map(|t| t.ressortgroupref()).max().unwrap_or(0);
            if tle.ressortgroupref() == 0 {
                tle.set_ressortgroupref(last + 1);
            }
            let mut sorted = list::iter::<pg_sys::SortGroupClause>(total.sortClause());
            if sorted.any(|c| c.tleSortGroupRef() == tle.ressortgroupref()) {
                continue;
            }
            let own = lsyscache::operators(server::exprType(node));
            let clause = make::make::<pg_sys::SortGroupClause>();
            clause.set_tleSortGroupRef(tle.ressortgroupref());
            clause.set_eqop(own.equal);
            clause.set_sortop(own.less);
            total.set_sortClause(list::lappend(total.sortClause(), clause.cast()));
        }
        // The stage shows all of it.
        let shown = total.copy();
        list::iter::<pg_sys::TargetEntry>(shown.targetList()).for_each(|t| t.set_resjunk(false));
        interval::of(shown, self.key_of).map(|_| total)
    }

    /// The first rows of one relation as a stage, unless they show all columns that they are sorted by.
    fn ordered_shown(&mut self, query: Query) -> Result<Query> {
        // A TVIEW that was made by an earlier version has no such stage.
        if first_rows::of(query).is_some() || !self.stages.has_next() {
            return Ok(query);
        }
        self.shown(query, true)
    }

    /// Set-returning functions of the select list, over groups: the groups are a stage, and the functions run over its rows.
    fn sets_of_groups(&mut self, query: Query) -> Result<Query> {
        let sets = |key: &Column| server::expression_returns_set(key.node);
        let grouped = !query.groupClause().is_null() || query.hasAggs();
        let fits = grouped
            && !query.hasWindowFuncs()
            && query.groupingSets().is_null()
            && !keys(query).iter().any(sets)
            && self.stages.has_next();
        let outer = if fits { self.above_groups(query)? } else { None };
        let Some(outer) = outer else { return Ok(query) };
        outer.set_hasTargetSRFs(true);
        select_list::rewrite(outer);
        if outer.hasTargetSRFs() { Ok(outer) } else { self.core(outer) }
    }

    /// Windows over all rows of a join: the rows are a stage.
    fn windows_over_rows(&mut self, query: Query) -> Result<Query> {
        // A TVIEW that was made by an earlier version has no such stage.
        if !interval::is_over_rows(query, self.key_of) || !self.stages.has_next() {
            return self.window_order_shown(query);
        }
        let mut columns: Vec<Node> = Vec::new();
        let mut possible = true;
        walk::walk(query.targetList().cast(), &mut |n| {
            if list::is(n, pg_sys::NodeTag::T_Var) {
                let var = n.cast::<pg_sys::Var>();
                possible &= var.varlevelsup() == 0 && var.varattno() > 0 && can_be_stored(n);
                if !columns.iter().any(|known| server::equal((*known).cast(), n.cast())) {
                    columns.push(n);
                }
            }
            possible &= !list::is(n, pg_sys::NodeTag::T_SubLink);
            false
        });
        if !possible || columns.is_empty() {
            return Ok(query);
        }
        let inner = interval::rows_of(query);
        if fault::on(Fault::ForgetConditions) {
            inner.jointree().set_quals(Tree::null());
        }
        let mut shown: List = Tree::null();
        for (i, node) in columns.iter().enumerate() {
            shown = list::lappend(shown, make::target(node.copy().cast(), i + 1, label(i), false).cast());
        }
        inner.set_targetList(shown);
        let oid = self.relation(inner)?;
        let outer = over(inner, oid)?;
        let lowered = walk::rewrite(query.targetList().cast(), &mut |n| {
            let at = columns.iter().position(|known| server::equal((*known).cast(), n.cast()))?;
            Some(column(at, n))
        });
        outer.set_targetList(lowered.cast());
        outer.set_hasWindowFuncs(true);
        outer.set_windowClause(query.windowClause().copy());
        self.window_order_shown(outer)
    }

    /// A query with windows over all rows as a stage, when that lets it show what they are ordered by.
    fn window_order_shown(&mut self, query: Query) -> Result<Query> {
        if !interval::hides_order(query, self.key_of) || !self.stages.has_next() {
            return Ok(query);
        }
        self.shown(query, true)
    }

    fn all_shown(&mut self, query: Query) -> Result<Query> {
        self.shown(query, false)
    }

    /// The query as a stage that shows all its columns. `limited`: with all that is done to its rows; otherwise LIMIT and DISTINCT come above the stage.
    fn shown(&mut self, query: Query, limited: bool) -> Result<Query> {
        let inner = query.copy();
        if !limited {
            inner.set_limitCount(Tree::null());
            inner.set_limitOffset(Tree::null());
        }
        let distinct_above = query.hasWindowFuncs() && !query.distinctClause().is_null();
        if distinct_above {
            inner.set_distinctClause(Tree::null());
            inner.set_hasDistinctOn(false);
        }
        if !inner.hasDistinctOn() && !limited {
            inner.set_sortClause(Tree::null());
        }
        let mut exprs = Vec::new();
        for (i, tle) in list::iter::<pg_sys::TargetEntry>(inner.targetList()).enumerate() {
            tle.set_resjunk(false);
            tle.set_resno(i as i16 + 1);
            let expr = server::flatten_groups(query, tle.expr());
            if !can_be_stored(expr) {
                return Ok(query);
            }
            exprs.push(expr);
            tle.set_resname(label(i));
        }
        let oid = self.relation(inner)?;
        let outer = over(inner, oid)?;
        let mut targetlist: List = Tree::null();
        for (i, (tle, expr)) in list::iter::<pg_sys::TargetEntry>(query.targetList()).zip(exprs).enumerate() {
            let own = tle.copy();
            own.set_expr(column(i, expr).cast());
            if limited {
                own.set_ressortgroupref(0);
            }
            if !(limited && own.resjunk()) {
                targetlist = list::lappend(targetlist, own.cast());
            }
        }
        outer.set_targetList(targetlist);
        if limited {
            return Ok(outer);
        }
        outer.set_sortClause(query.sortClause());
        if distinct_above {
            outer.set_distinctClause(query.distinctClause());
            outer.set_hasDistinctOn(query.hasDistinctOn());
        }
        outer.set_limitCount(query.limitCount());
        outer.set_limitOffset(query.limitOffset());
        outer.set_limitOption(query.limitOption());
        Ok(outer)
    }
}

/// Whether DISTINCT ON is about an expression that is not an output.
fn hides_group(query: Query) -> bool {
    let hidden = |reference| server::get_sortgroupref_tle(reference, query.targetList()).resjunk();
    query.hasDistinctOn()
        && list::iter::<pg_sys::SortGroupClause>(query.distinctClause()).any(|c| hidden(c.tleSortGroupRef()))
}

/// Whether all windows of a query are partitioned by something in common.
fn has_partitions(query: Query) -> bool {
    let mut common: Option<BTreeSet<u32>> = None;
    for window in list::iter::<pg_sys::WindowClause>(query.windowClause()) {
        let these: BTreeSet<u32> =
            list::iter::<pg_sys::SortGroupClause>(window.partitionClause()).map(|c| c.tleSortGroupRef()).collect();
        common = Some(match common {
            None => these,
            Some(before) => before.intersection(&these).copied().collect(),
        });
    }
    common.is_some_and(|c| !c.is_empty())
}

/// Whether no window of a query needs all rows, so that a stage with its windows is not full.
fn is_partitioned(query: Query) -> bool {
    has_partitions(query) || partitionings(query).is_some_and(|apart| apart.len() > 1)
}

/// One relation, with nothing but a projection: storing it once more would not help.
fn looks_simple(query: Query) -> bool {
    let from = relations::in_from(query);
    from.len() == 1
        && is_relation(query, from[0])
        && !query.hasSubLinks()
        && !query.hasWindowFuncs()
        && query.distinctClause().is_null()
}

fn is_relation(query: Query, index: usize) -> bool {
    server::rt_fetch(index, query).rtekind() == pg_sys::RTEKind::RTE_RELATION
}
