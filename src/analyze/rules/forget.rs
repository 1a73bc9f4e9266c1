//! Columns whose values are not known, and what a query says without them.
//!
//! Where only the keys of output rows are wanted, a condition on an unknown column is dropped, and an output computed from it is unknown in its turn. An
//! item whose rows are unknown becomes one row of unknown columns, or, where its columns are needed, all rows that it can have (`Rows::All`).
//! Invariant: the query has a row with the key of each row that it had with the values known, in the state before and in the state after the changes,
//! as long as the key itself is known; otherwise there is an error. Called by lift and dirty.

use crate::analyze::query::conditions::{conditions, conjunction};
use crate::analyze::query::tree::{self, is_plain, strip};
use crate::analyze::query::{levels, relations};
use crate::analyze::rules::lift::{drop_changed_conditions, is_place, reads};
use crate::analyze::rules::pieces::has_one_row;
use crate::analyze::rules::reduce::{forgotten, is_forgotten};
use crate::pg::tree::{JoinExpr, List, Node, Query, RangeTblEntry, Tree, list, make, server};
use pgrx::pg_sys;
use std::collections::BTreeSet;
use tviews_core::reason::Reason;

/// What stands for items of FROM that compute something from changed relations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// One row, of which nothing is known.
    Any,
    /// All rows that can have been there, before or after the changes.
    All,
}

/// Columns of an item; None: all of them.
type Columns = Option<BTreeSet<i16>>;

/// Says which items have to keep their rows, because changes of relations inside of them are looked for.
pub type Keeps<'k> = &'k dyn Fn(usize) -> bool;

/// Forgets some columns of an item of a block.
pub fn forget(block: Query, index: usize, unknown: &BTreeSet<i16>, keeps: Keeps) -> Result<(), Reason> {
    forget_all(block, vec![(index, Some(unknown.clone()))], keeps)
}

/// Forgets all columns of some items of a block.
pub fn forget_rows(block: Query, indexes: &BTreeSet<usize>, keeps: Keeps) -> Result<(), Reason> {
    forget_all(block, indexes.iter().map(|index| (*index, None)).collect(), keeps)
}

fn forget_all(block: Query, mut left: Vec<(usize, Columns)>, keeps: Keeps) -> Result<(), Reason> {
    let mut gone = BTreeSet::new();
    while let Some((index, columns)) = left.pop() {
        if columns.as_ref().is_some_and(|c| c.is_empty()) {
            continue;
        }
        let mut more = BTreeSet::new();
        let of = Of { block, index, columns, keeps };
        of.conditions(block.jointree().cast(), &mut more)?;
        of.laterals(&mut more)?;
        for tle in list::iter::<pg_sys::TargetEntry>(block.targetList()) {
            let expr = server::flatten_groups(block, tle.expr());
            let expr = server::flatten_join_aliases(block, expr);
            if of.is_in(expr, 0) {
                tle.set_expr(forgotten(expr).cast());
            }
        }
        left.extend(more.into_iter().filter(|i| gone.insert(*i)).map(|i| (i, None)));
    }
    Ok(())
}

/// Columns of an item, in a block that forgets them.
struct Of<'f> {
    block: Query,
    index: usize,
    columns: Columns,
    keeps: Keeps<'f>,
}

impl Of<'_> {
    /// Whether a tree has a Var of one of the columns; `level` is how many blocks above the tree the item is.
    fn is_in(&self, node: Node, level: i32) -> bool {
        list::iter::<pg_sys::Var>(server::pull_vars_of_level(node, level)).any(|var| {
            let of = var.varno() as usize;
            if server::rt_fetch(of, self.block).rtekind() == pg_sys::RTEKind::RTE_JOIN {
                let own = var.copy();
                own.set_varlevelsup(0);
                let column = server::flatten_join_aliases(self.block, own.cast());
                return column != own.cast() && self.is_in(column, 0);
            }
            of == self.index
                && (var.varattno() <= 0 || self.columns.as_ref().is_none_or(|c| c.contains(&var.varattno())))
        })
    }

    /// Drops the conditions on the columns. `more` gets the items whose columns are unknown then.
    fn conditions(&self, node: Node, more: &mut BTreeSet<usize>) -> Result<(), Reason> {
        if list::is(node, pg_sys::NodeTag::T_FromExpr) {
            let from = node.cast::<pg_sys::FromExpr>();
            for item in list::iter::<pg_sys::Node>(from.fromlist()) {
                self.conditions(item, more)?;
            }
            let flat = server::flatten_join_aliases(self.block, from.quals());
            from.set_quals(conjunction(conditions(flat).into_iter().filter(|c| !self.is_in(*c, 0)).collect()));
        } else if list::is(node, pg_sys::NodeTag::T_JoinExpr) {
            let join = node.cast::<pg_sys::JoinExpr>();
            self.conditions(join.larg(), more)?;
            self.conditions(join.rarg(), more)?;
            let all = conditions(server::flatten_join_aliases(self.block, join.quals()));
            if all.iter().any(|c| self.is_in(*c, 0))
                && (join.jointype() == pg_sys::JoinType::JOIN_INNER || !self.leave_out(join, more)?)
            {
                let rest: Vec<_> = all.into_iter().filter(|c| !self.is_in(*c, 0)).collect();
                join.set_quals(if rest.is_empty() { make::boolean(true) } else { conjunction(rest) });
            }
        }
        Ok(())
    }

    /// An outer join with a condition on the columns. The rows of the preserved side are there in any case: when the item is on that side, those of
    /// the other one are left out; otherwise false, and the condition is to be dropped. What the nullable side has is unknown then.
    fn leave_out(&self, join: JoinExpr, more: &mut BTreeSet<usize>) -> Result<bool, Reason> {
        let side = |node: Node| {
            let mut found = Vec::new();
            relations::collect(node, &mut found);
            found.into_iter().collect::<BTreeSet<usize>>()
        };
        let (preserved, nullable) = match join.jointype() {
            pg_sys::JoinType::JOIN_LEFT => (side(join.larg()), side(join.rarg())),
            pg_sys::JoinType::JOIN_RIGHT => (side(join.rarg()), side(join.larg())),
            _ => return Err(Reason::OuterOfSubquery),
        };
        if nullable.contains(&self.index) {
            // Of the item itself too, unless it is where the changes are: their null-extended rows are looked for.
            more.extend(nullable.into_iter().filter(|i| *i != self.index || !(self.keeps)(*i)));
            return Ok(false);
        }
        if !preserved.contains(&self.index) || nullable.iter().any(|i| (self.keeps)(*i)) {
            return Err(Reason::OuterOfSubquery);
        }
        join.set_quals(make::boolean(false));
        more.extend(nullable);
        Ok(true)
    }

    /// LATERAL items that look at the columns have unknown rows.
    fn laterals(&self, more: &mut BTreeSet<usize>) -> Result<(), Reason> {
        for i in relations::in_from(self.block) {
            let rte = server::rt_fetch(i, self.block);
            let looks = rte.lateral()
                && ((!rte.subquery().is_null() && self.is_in(rte.subquery().cast(), 1))
                    || self.is_in(rte.functions().cast(), 0)
                    || self.is_in(rte.values_lists().cast(), 0));
            if looks {
                if (self.keeps)(i) || rte.subquery().is_null() {
                    return Err(Reason::LateralOfSubquery);
                }
                any_row(rte);
                more.insert(i);
            }
        }
        Ok(())
    }
}

/// Drops conditions for which `uses` is true; an error when an outer join has one.
pub fn drop_conditions(block: Query, node: Node, uses: &dyn Fn(Node) -> bool) -> Result<(), Reason> {
    if list::is(node, pg_sys::NodeTag::T_FromExpr) {
        let from = node.cast::<pg_sys::FromExpr>();
        for item in list::iter::<pg_sys::Node>(from.fromlist()) {
            drop_conditions(block, item, uses)?;
        }
        let flat = server::flatten_join_aliases(block, from.quals());
        from.set_quals(conjunction(conditions(flat).into_iter().filter(|c| !uses(*c)).collect()));
    } else if list::is(node, pg_sys::NodeTag::T_JoinExpr) {
        let join = node.cast::<pg_sys::JoinExpr>();
        drop_conditions(block, join.larg(), uses)?;
        drop_conditions(block, join.rarg(), uses)?;
        let all = conditions(server::flatten_join_aliases(block, join.quals()));
        if all.iter().any(|c| uses(*c)) {
            if join.jointype() != pg_sys::JoinType::JOIN_INNER {
                return Err(Reason::OuterOfSubquery);
            }
            let rest: Vec<_> = all.into_iter().filter(|c| !uses(*c)).collect();
            join.set_quals(if rest.is_empty() { make::boolean(true) } else { conjunction(rest) });
        }
    }
    Ok(())
}

/// Forgets FROM items that are not plain and read changed relations: their rows differ between the old and the new state, so any
/// row may be theirs. (Changes inside of such items have terms of their own, in which the items are lifted and plain.) Changes are looked for in
/// what is at and below the path `focus`. Returns the paths of items that stand for all rows they can have had.
pub fn forget_items(
    query: Query,
    focus: &[usize],
    key: &[usize],
    changed: &BTreeSet<u32>,
    rows: Rows,
) -> Result<Vec<Vec<usize>>, Reason> {
    let mut widened = Vec::new();
    Items { focus, changed, rows, widened: &mut widened }.forget(query, &mut Vec::new())?;
    let gone = list::iter::<pg_sys::TargetEntry>(query.targetList())
        .any(|t| is_forgotten(t.expr()) && key.contains(&(t.resno() as usize - 1)));
    if gone {
        return Err(Reason::KeyOfSubquery);
    }
    Ok(widened)
}

struct Items<'i> {
    focus: &'i [usize],
    changed: &'i BTreeSet<u32>,
    rows: Rows,
    widened: &'i mut Vec<Vec<usize>>,
}

impl Items<'_> {
    fn forget(&mut self, query: Query, path: &mut Vec<usize>) -> Result<(), Reason> {
        for index in relations::in_from(query) {
            let rte = server::rt_fetch(index, query);
            if rte.rtekind() != pg_sys::RTEKind::RTE_SUBQUERY || !reads(rte.subquery().cast(), self.changed) {
                continue;
            }
            path.push(index);
            let unknown = self.of_item(rte, path)?;
            path.pop();
            let (focus, changed) = (self.focus, self.changed);
            let keeps = |i: usize| match focus.get(path.len()) {
                Some(next) if focus.starts_with(path) => i == *next,
                _ => focus.len() <= path.len() && is_place(server::rt_fetch(i, query), changed),
            };
            forget(query, index, &unknown, &keeps)?;
        }
        Ok(())
    }

    /// The unknown columns of an item.
    fn of_item(&mut self, rte: RangeTblEntry, path: &mut Vec<usize>) -> Result<BTreeSet<i16>, Reason> {
        let sub = rte.subquery();
        if !is_plain(sub) {
            if self.rows == Rows::Any || !widen(sub, self.changed) {
                any_row(rte);
                return Ok(tree::outputs(rte.subquery()).into_iter().map(|t| t.resno()).collect());
            }
            self.widened.push(path.clone());
        }
        self.forget(sub, path)?;
        let outputs = list::iter::<pg_sys::TargetEntry>(sub.targetList());
        Ok(outputs.filter(|t| is_forgotten(t.expr())).map(|t| t.resno()).collect())
    }
}

/// Makes an item one row of unknown columns.
fn any_row(rte: RangeTblEntry) {
    let any = make::make::<pg_sys::Query>();
    any.set_commandType(pg_sys::CmdType::CMD_SELECT);
    any.set_canSetTag(true);
    any.set_jointree(make::make::<pg_sys::FromExpr>());
    for tle in tree::outputs(rte.subquery()) {
        let entry = make::target(forgotten(tle.expr()).cast(), tle.resno() as usize, tle.resname(), false);
        any.set_targetList(list::lappend(any.targetList(), entry.cast()));
    }
    rte.set_subquery(any);
    rte.set_lateral(false);
}

/// Strips a sub-query of everything behind WHERE, so that it has all rows that can be among its rows, before or after the changes, with the columns that
/// are values of such a row; false when it has others, and nothing is done.
pub fn widen(sub: Query, changed: &BTreeSet<u32>) -> bool {
    let is_simple = sub.setOperations().is_null()
        && sub.cteList().is_null()
        && !sub.hasTargetSRFs()
        && sub.groupingSets().is_null()
        && !has_one_row(sub);
    if !is_simple || drop_changed_conditions(sub.copy(), changed).is_err() {
        return false;
    }
    let outs = tree::outputs(sub);
    let mut targets: List = Tree::null();
    for tle in outs {
        let expr = server::flatten_groups(sub, tle.expr());
        let is_other = levels::is_computed(expr)
            || levels::has_aggregates(expr)
            || server::checkExprHasSubLink(expr) && reads(expr, changed);
        tle.set_expr(if is_other { forgotten(expr).cast() } else { expr.cast() });
        tle.set_ressortgroupref(0);
        targets = list::lappend(targets, tle.cast());
    }
    strip(sub);
    sub.set_limitCount(Tree::null());
    sub.set_limitOffset(Tree::null());
    sub.set_targetList(targets);
    drop_changed_conditions(sub, changed).is_ok() && is_plain(sub)
}
