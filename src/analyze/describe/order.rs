//! How a query reads a part of a stage: its first rows in an order, or a partition.
//!
//! Invariant: an index with these columns gives the rows in the order that the query wants, or in the order of its first
//! columns; an index with the columns of a partition finds its rows. Called by population, which makes the indexes.

use crate::analyze::describe::interval::Intervals;
use crate::analyze::describe::{first_rows, partition_columns};
use crate::analyze::query::conditions::{conditions, mentions};
use crate::analyze::query::relations;
use crate::analyze::query::tree::outputs;
use crate::pg::name;
use crate::pg::relation::{Relation, attname};
use crate::pg::tree::{Node, Query, Tree, list, lsyscache, server};
use pgrx::pg_sys;

/// A column of a stage to sort by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordered {
    pub attribute: i16,
    pub descending: bool,
    pub nulls_first: bool,
}

impl Ordered {
    /// The column in the other direction.
    pub fn reversed(&self) -> Ordered {
        Ordered { descending: !self.descending, nulls_first: !self.nulls_first, ..*self }
    }

    /// The column as CREATE INDEX wants it.
    pub fn in_index(&self, rel: &Relation) -> String {
        let label = name::ident(&attname(rel.attribute(self.attribute as usize - 1)));
        match (self.descending, self.nulls_first) {
            (false, false) => label,
            (true, true) => format!("{label} DESC"),
            (false, true) => format!("{label} NULLS FIRST"),
            (true, false) => format!("{label} DESC NULLS LAST"),
        }
    }
}

/// The relation that a query with LIMIT reads, when it reads no other, and the columns of its ORDER BY up to the first
/// that is no plain column in the default order of its type.
pub fn of(query: Query) -> Option<(pg_sys::Oid, Vec<Ordered>)> {
    let rows = !query.hasAggs()
        && !query.hasWindowFuncs()
        && query.groupClause().is_null()
        && query.distinctClause().is_null();
    if query.limitCount().is_null() || !rows || !query.setOperations().is_null() {
        return None;
    }
    let [index] = relations::in_from(query)[..] else { return None };
    let rte = server::rt_fetch(index, query);
    if rte.rtekind() != pg_sys::RTEKind::RTE_RELATION {
        return None;
    }
    let columns: Vec<Ordered> = list::iter::<pg_sys::SortGroupClause>(query.sortClause())
        .map_while(|clause| {
            let tle = server::get_sortgroupref_tle(clause.tleSortGroupRef(), query.targetList());
            ordered(clause, tle.expr(), index)
        })
        .collect();
    (!columns.is_empty()).then_some((rte.relid(), columns))
}

/// The relation that a query with windows reads, when it reads no other, and its columns by which all windows are
/// partitioned.
pub fn partitions(query: Query) -> Option<(pg_sys::Oid, Vec<i16>)> {
    if !query.hasWindowFuncs() || !query.setOperations().is_null() {
        return None;
    }
    let [index] = relations::in_from(query)[..] else { return None };
    let rte = server::rt_fetch(index, query);
    if rte.rtekind() != pg_sys::RTEKind::RTE_RELATION {
        return None;
    }
    let outputs = outputs(query);
    let columns: Vec<i16> = partition_columns(query)
        .into_iter()
        .filter_map(|i| {
            let expr = outputs[i].expr().cast::<pg_sys::Node>();
            let var = list::is(expr, pg_sys::NodeTag::T_Var).then(|| expr.cast::<pg_sys::Var>())?;
            (var.varlevelsup() == 0 && var.varattno() > 0).then_some(var.varattno())
        })
        .collect();
    (!columns.is_empty()).then_some((rte.relid(), columns))
}

/// Columns of relations that WHERE compares by `<`, `<=`, `>` or `>=` with a value of one other relation: when that value changes, the rows between the old and the new
/// one are looked for (rules/value_range.rs). With each, the other relation.
pub fn compared(query: Query) -> Vec<(pg_sys::Oid, i16, pg_sys::Oid)> {
    let relation = |index: usize| {
        let rte = server::rt_fetch(index, query);
        (rte.rtekind() == pg_sys::RTEKind::RTE_RELATION).then(|| rte.relid())
    };
    let from = query.jointree();
    let all = if from.is_null() { Vec::new() } else { conditions(from.quals()) };
    let inequalities =
        all.into_iter().filter(|c| list::is(*c, pg_sys::NodeTag::T_OpExpr)).map(|c| c.cast::<pg_sys::OpExpr>());
    let found = inequalities.filter(|op| list::len(op.args()) == 2).flat_map(|op| {
        let sides: [Node; 2] = [list::nth(op.args(), 0), list::nth(op.args(), 1)];
        [(op, sides[0], sides[1]), (op, sides[1], sides[0])]
    });
    let column = |(op, rows, value): (Tree<pg_sys::OpExpr>, Node, Node)| {
        let var = list::is(rows, pg_sys::NodeTag::T_Var).then(|| rows.cast::<pg_sys::Var>())?;
        let others: Vec<usize> = mentions(value).into_iter().collect();
        let [other] = others[..] else { return None };
        let is_own = var.varlevelsup() == 0 && var.varattno() > 0 && var.varno() as usize != other;
        let fits = is_own && !server::checkExprHasSubLink(value) && is_inequality(op.opno(), var.vartype());
        fits.then_some(())?;
        Some((relation(var.varno() as usize)?, var.varattno(), relation(other)?))
    };
    found.filter_map(column).collect()
}

fn is_inequality(operator: pg_sys::Oid, typid: pg_sys::Oid) -> bool {
    let class = lsyscache::GetDefaultOpClass(typid, pg_sys::BTREE_AM_OID);
    let strategy = match class {
        pg_sys::InvalidOid => 0,
        class => lsyscache::get_op_opfamily_strategy(operator, lsyscache::get_opclass_family(class)) as u32,
    };
    strategy != 0 && strategy != pg_sys::BTEqualStrategyNumber
}

/// The relation that a query with windows reads, when it reads no other, and the columns by which it finds the rows around a changed one:
/// those of PARTITION BY, as many as are said, then those of ORDER BY. None when one is no plain column.
pub fn around(query: Query, of: &Intervals) -> Option<(pg_sys::Oid, usize, Vec<Ordered>)> {
    let [index] = relations::in_from(query)[..] else { return None };
    let rte = server::rt_fetch(index, query);
    let shown = outputs(query);
    let column = |at: usize, descending: bool, nulls_first: bool| {
        let expr = shown[at].expr().cast::<pg_sys::Node>();
        let var = list::is(expr, pg_sys::NodeTag::T_Var).then(|| expr.cast::<pg_sys::Var>())?;
        let is_own = var.varlevelsup() == 0 && var.varno() as usize == index && var.varattno() > 0;
        is_own.then(|| Ordered { attribute: var.varattno(), descending, nulls_first })
    };
    let descends =
        |o: &first_rows::Ordered| lsyscache::operators(server::exprType(shown[o.at].expr())).greater == o.key.operator;
    let by = of.by.iter().map(|at| column(*at, false, false));
    let order = of.order.iter().map(|o| column(o.at, descends(o), o.key.nulls_first));
    let columns = by.chain(order).collect::<Option<Vec<_>>>()?;
    let is_relation = rte.rtekind() == pg_sys::RTEKind::RTE_RELATION;
    is_relation.then(|| (rte.relid(), of.by.len(), columns))
}

fn ordered(clause: Tree<pg_sys::SortGroupClause>, expr: Node, index: usize) -> Option<Ordered> {
    if !list::is(expr, pg_sys::NodeTag::T_Var) {
        return None;
    }
    let var = expr.cast::<pg_sys::Var>();
    if var.varlevelsup() > 0 || var.varno() as usize != index || var.varattno() <= 0 {
        return None;
    }
    let own = lsyscache::operators(var.vartype());
    let descending = match clause.sortop() {
        op if op == own.less => false,
        op if op == own.greater => true,
        _ => return None,
    };
    Some(Ordered { attribute: var.varattno(), descending, nulls_first: clause.nulls_first() })
}
