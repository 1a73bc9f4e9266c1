//! Queries that show the first rows of one relation in an order: ORDER BY … LIMIT.
//!
//! Invariant: what is said here is so for every content of the relation. LIMIT and OFFSET are constants, which nothing has to be run for, and
//! each row of the output shows all that the rows are ordered by. Called by decisions, by the SQL of strategy range, and by stages.

use crate::analyze::query::relations;
use crate::analyze::query::tree::{is_plain, outputs};
use crate::pg::relation::Relation;
use crate::pg::sort::Key;
use crate::pg::tree::{Node, Query, Tree, list, lsyscache, server};
use pgrx::pg_sys;

/// What the first rows are.
pub struct FirstRows {
    /// How many rows the output has at most, or, WITH TIES, before the ties of the last one.
    pub limit: u64,
    /// The columns that the rows are ordered by.
    pub order: Vec<Ordered>,
}

/// An output column that rows are ordered by, and how.
pub struct Ordered {
    /// Position among the outputs, from 0.
    pub at: usize,
    pub key: Key,
}

impl Ordered {
    /// Whether the order of the TVIEW's column descends.
    pub fn descends(&self, rel: &Relation) -> bool {
        lsyscache::operators(rel.attribute(self.at).atttypid).greater == self.key.operator
    }
}

/// The first rows of one relation, when the query shows what they are ordered by.
pub fn of(query: Query) -> Option<FirstRows> {
    let limit = limit(query)?;
    let shown = outputs(query);
    let order = list::iter::<pg_sys::SortGroupClause>(query.sortClause())
        .map(|clause| {
            let at = shown.iter().position(|t| t.ressortgroupref() == clause.tleSortGroupRef())?;
            Some(Ordered { at, key: key(clause, shown[at].expr()) })
        })
        .collect::<Option<Vec<_>>>()?;
    Some(FirstRows { limit, order })
}

/// The LIMIT of a query that would show the first rows of one relation, if it showed what they are ordered by.
pub fn limit(query: Query) -> Option<u64> {
    let limit = constant(query.limitCount()).filter(|limit| *limit > 0)?;
    let offset = query.limitOffset();
    let counts = offset.is_null() || is_null(offset) || constant(offset).is_some_and(|rows| rows >= 0);
    let orders = !query.sortClause().is_null();
    (counts && orders && only_relation(query).is_some()).then_some(limit as u64)
}

/// The OFFSET of a query that shows all rows of one relation but the first ones.
pub fn skipped(query: Query) -> Option<u64> {
    let skipped = constant(query.limitOffset()).filter(|rows| *rows > 0)?;
    let limit = query.limitCount();
    let shows_all = limit.is_null() || is_null(limit);
    (shows_all && !query.sortClause().is_null() && only_relation(query).is_some()).then_some(skipped as u64)
}

/// Whether a query has LIMIT or OFFSET.
pub fn is_limited(query: Query) -> bool {
    !query.limitCount().is_null() || !query.limitOffset().is_null()
}

/// The block of the only relation of a query, below views that only filter, and its number there; None when rows are more than
/// filtered and ordered.
pub fn only_relation(query: Query) -> Option<(Query, usize)> {
    let block = query.copy();
    block.set_limitCount(Tree::null());
    block.set_limitOffset(Tree::null());
    if !is_plain(block) || query.hasSubLinks() || query.hasRowSecurity() {
        return None;
    }
    let [index] = relations::in_from(query)[..] else { return None };
    let rte = server::rt_fetch(index, query);
    match rte.rtekind() {
        pg_sys::RTEKind::RTE_RELATION => Some((query, index)),
        pg_sys::RTEKind::RTE_SUBQUERY if is_plain(rte.subquery()) => only_relation(rte.subquery()),
        _ => None,
    }
}

pub fn key(clause: Tree<pg_sys::SortGroupClause>, expr: Node) -> Key {
    Key { operator: clause.sortop(), collation: server::exprCollation(expr), nulls_first: clause.nulls_first() }
}

/// A number that is written as such: the parser casts an integer to bigint.
pub fn constant(node: Node) -> Option<i64> {
    if list::is(node, pg_sys::NodeTag::T_FuncExpr) {
        let cast = node.cast::<pg_sys::FuncExpr>();
        let is_cast = cast.funcid() == pg_sys::Oid::from(pg_sys::F_INT8_INT4);
        return if is_cast { constant(list::nth(cast.args(), 0)) } else { None };
    }
    let constant = list::is(node, pg_sys::NodeTag::T_Const).then(|| node.cast::<pg_sys::Const>())?;
    let value = constant.constvalue().value();
    match constant.consttype() {
        _ if constant.constisnull() => None,
        pg_sys::INT8OID => Some(value as i64),
        pg_sys::INT4OID => Some(i64::from(value as i32)),
        _ => None,
    }
}

fn is_null(node: Node) -> bool {
    list::is(node, pg_sys::NodeTag::T_Const) && node.cast::<pg_sys::Const>().constisnull()
}
