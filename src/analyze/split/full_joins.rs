//! FULL joins of joins: what is joined below is a stage, so that a FULL join has two relations.
//!
//! `a FULL JOIN b ON a.k = b.k FULL JOIN c ON c.x = b.x` is `s FULL JOIN c ON c.x = s.b_x`, s being the stage `SELECT … FROM a FULL JOIN b ON a.k = b.k`. Joins
//! that all compare one value are followed as they are. A condition of a FULL join that has sub-queries and is about a table on one side alone is a column of a stage of this table:
//! the join then compares what the stage shows.
//! Invariant: the query gives the same rows; references to the relations below become references to the stage's columns. Called by the splitter for each block, before its FROM
//! clause is split.

use crate::analyze::describe::{common_value, describe};
use crate::analyze::query::conditions::{conditions, conjunction, mentions};
use crate::analyze::query::tree::strip;
use crate::analyze::query::{joins, relations, table_rows};
use crate::analyze::split::Splitter;
use crate::analyze::split::eligible::{can_be_stage, looks_up};
use crate::analyze::split::relation::{become_relation, label};
use crate::pg::error::Result;
use crate::pg::fault::{self, Fault};
use crate::pg::tree::{JoinExpr, List, Node, Query, Tree, Var, list, make, server, walk};
use pgrx::pg_sys;
use std::collections::{BTreeMap, BTreeSet};

/// What such stages are remembered by: TVIEWs that earlier versions made have none.
const JOINED: &str = "full join";
const CONDITION: &str = "full condition";

impl Splitter<'_> {
    pub fn full_joins(&mut self, query: Query) -> Result<()> {
        let is_wanted = !sides(query).is_empty()
            && (!self.stages.makes() || common_value::common(&describe(query.copy(), self.key_of)).is_none());
        if is_wanted {
            self.joins_of_full_joins(query)?;
        }
        self.conditions_of_full_joins(query)
    }

    fn joins_of_full_joins(&mut self, query: Query) -> Result<()> {
        let mut tried = 0;
        while let Some((join, is_left)) = sides(query).into_iter().nth(tried)
            && self.stages.is_joined(JOINED)
        {
            let Some(parts) = parts(query, join, is_left) else {
                tried += 1;
                continue;
            };
            let oid = self.joined_relation(parts.below, JOINED)?;
            query.become_like(parts.above);
            put(query, parts.index, parts.columns, oid)?;
        }
        Ok(())
    }

    fn conditions_of_full_joins(&mut self, query: Query) -> Result<()> {
        let mut all = Vec::new();
        joins::collect(query.jointree().cast(), &mut all);
        let full = all.into_iter().filter(|join| join.jointype() == pg_sys::JoinType::JOIN_FULL);
        for (join, is_left) in full.flat_map(|join| [(join, true), (join, false)]) {
            let item = side(join, is_left);
            if !list::is(item, pg_sys::NodeTag::T_RangeTblRef) || !self.stages.is_joined(CONDITION) {
                continue;
            }
            let index = item.cast::<pg_sys::RangeTblRef>().rtindex();
            let Some((rows, columns)) = with_conditions(query, join, index) else { continue };
            let oid = self.joined_relation(rows, CONDITION)?;
            put(query, index as usize, columns, oid)?;
        }
        Ok(())
    }
}

/// A stage in the place of an item.
fn put(query: Query, index: usize, columns: usize, stage: pg_sys::Oid) -> Result<()> {
    let rte = server::rt_fetch(index, query);
    let mut names: List = Tree::null();
    for i in 0..columns {
        names = list::lappend(names, make::string(label(i)));
    }
    rte.set_eref(make::alias(c"stage", names));
    become_relation(rte, stage)?;
    joins::count_columns_of(query, BTreeMap::from([(index as i32, columns)]));
    Ok(())
}

/// The rows of a table with the conditions that have sub-queries and are about it alone, which become columns in the join; None when there are none.
fn with_conditions(query: Query, join: JoinExpr, index: i32) -> Option<(Query, usize)> {
    let alone = BTreeSet::from([index as usize]);
    let is_own = |c: &Node| server::checkExprHasSubLink(*c) && mentions(*c) == alone && !looks_up(*c);
    let all = conditions(join.quals());
    if !all.iter().any(is_own) {
        return None;
    }
    let rows = table_rows::of(query, index as usize)?;
    let mut stay: Vec<Node> = Vec::new();
    let mut count = list::len(rows.targetList());
    for condition in all {
        if !is_own(&condition) {
            stay.push(condition);
            continue;
        }
        let shown = condition.copy();
        server::ChangeVarNodes(shown, index, 1, 0);
        let column = make::target(shown.cast(), count + 1, label(count), false);
        rows.set_targetList(list::lappend(rows.targetList(), column.cast()));
        count += 1;
        stay.push(make::var(index, count as i16, (pg_sys::BOOLOID, -1, pg_sys::InvalidOid), 0).cast());
    }
    rows.set_hasSubLinks(true);
    if !can_be_stage(rows) {
        return None;
    }
    join.set_quals(conjunction(stay));
    Some((rows, count))
}

/// The sides of FULL joins that are joins, those above first: whether it is the left one.
fn sides(query: Query) -> Vec<(JoinExpr, bool)> {
    let mut all = Vec::new();
    joins::collect(query.jointree().cast(), &mut all);
    all.reverse();
    let full = all.into_iter().filter(|join| join.jointype() == pg_sys::JoinType::JOIN_FULL);
    full.flat_map(|join| [(join, true), (join, false)]).filter(|(join, left)| is_join(side(*join, *left))).collect()
}

fn side(join: JoinExpr, is_left: bool) -> Node {
    if is_left { join.larg() } else { join.rarg() }
}

fn is_join(node: Node) -> bool {
    list::is(node, pg_sys::NodeTag::T_JoinExpr)
}

struct Parts {
    /// The query with one item in the place of the side, which is empty yet.
    above: Query,
    /// SELECT of the columns of the side that are looked at from outside.
    below: Query,
    /// The item, by its range table index.
    index: usize,
    columns: usize,
}

/// None where rows of the side are looked at as a whole, where it looks at other items, and where it cannot be stored.
fn parts(query: Query, join: JoinExpr, is_left: bool) -> Option<Parts> {
    let mut items = Vec::new();
    relations::collect(side(join, is_left), &mut items);
    let index = *items.first()?;
    if items.iter().any(|i| relations::reads_whole_row(query, *i)) {
        return None;
    }
    let mut inside = Vec::new();
    joins::collect(side(join, is_left), &mut inside);
    let own: BTreeSet<usize> = items.iter().copied().chain(inside.iter().map(|j| j.rtindex() as usize)).collect();
    let below = query.copy();
    let arm = side(same_join(below, join)?, is_left);
    keep_only(below, &own, true);
    let above = query.copy();
    let here = same_join(above, join)?;
    let reference = make::make::<pg_sys::RangeTblRef>();
    reference.set_rtindex(index as i32);
    if is_left {
        here.set_larg(reference.cast())
    } else {
        here.set_rarg(reference.cast())
    }
    keep_only(above, &own, false);
    own.iter().for_each(|i| joins::forget_columns(above, *i));
    let mut columns: Vec<Var> = Vec::new();
    let above: Query = walk::rewrite_deep(above.cast(), &mut |n, depth| {
        let var = n.cast::<pg_sys::Var>();
        let is_own = list::is(n, pg_sys::NodeTag::T_Var)
            && var.varlevelsup() + 1 == depth
            && items.contains(&(var.varno() as usize));
        if !is_own {
            return None;
        }
        let same = |known: &Var| (known.varno(), known.varattno()) == (var.varno(), var.varattno());
        let at = columns.iter().position(same).unwrap_or_else(|| {
            columns.push(var);
            columns.len() - 1
        });
        let at = if fault::on(Fault::LoseColumns) { 0 } else { at };
        let of = (var.vartype(), var.vartypmod(), var.varcollid());
        Some(make::var(index as i32, at as i16 + 1, of, var.varlevelsup()).cast())
    })
    .cast();
    strip(below);
    below.set_limitCount(Tree::null());
    below.set_limitOffset(Tree::null());
    below.set_hasTargetSRFs(false);
    below.set_hasSubLinks(server::checkExprHasSubLink(arm));
    let from = make::make::<pg_sys::FromExpr>();
    from.set_fromlist(list::lappend(Tree::null(), arm));
    below.set_jointree(from);
    let mut shown: List = Tree::null();
    for (i, var) in columns.iter().enumerate() {
        let of = (var.vartype(), var.vartypmod(), var.varcollid());
        let column = make::var(var.varno(), var.varattno(), of, 0);
        shown = list::lappend(shown, make::target(column.cast(), i + 1, label(i), false).cast());
    }
    below.set_targetList(shown);
    let is_alone = !walk::walk(arm, &mut |n| {
        let var = n.cast::<pg_sys::Var>();
        list::is(n, pg_sys::NodeTag::T_Var) && var.varlevelsup() == 0 && !own.contains(&(var.varno() as usize))
    });
    let is_lateral = items.iter().any(|i| server::rt_fetch(*i, query).lateral());
    let fits = is_alone && !is_lateral && can_be_stage(below);
    fits.then_some(Parts { above, below, index, columns: columns.len() })
}

/// The same join in a copy.
fn same_join(copy: Query, join: JoinExpr) -> Option<JoinExpr> {
    let mut all = Vec::new();
    joins::collect(copy.jointree().cast(), &mut all);
    all.into_iter().find(|j| j.rtindex() == join.rtindex())
}

/// Empties the entries of the range table that are, or are not, among these: nothing refers to them any more.
fn keep_only(query: Query, these: &BTreeSet<usize>, keeps: bool) {
    for (i, rte) in list::iter::<pg_sys::RangeTblEntry>(query.rtable()).enumerate() {
        if these.contains(&(i + 1)) == keeps {
            continue;
        }
        rte.set_rtekind(pg_sys::RTEKind::RTE_RESULT);
        rte.set_relid(pg_sys::InvalidOid);
        rte.set_subquery(Tree::null());
        rte.set_functions(Tree::null());
        rte.set_joinaliasvars(Tree::null());
        #[cfg(not(feature = "pg15"))]
        {
            rte.set_perminfoindex(0);
        }
        #[cfg(feature = "since_18")]
        {
            rte.set_groupexprs(Tree::null());
        }
    }
}
