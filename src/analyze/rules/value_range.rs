//! Which rows a changed value concerns, when the query does nothing but compare them with it.
//!
//! In `SELECT id FROM t, s WHERE t.x > s.c`, s having one row, a change of c from v to w makes no difference to rows whose x is not
//! between v and w. A term for a change of s gets this as a condition, `x >= min AND x <= max` over the old and the new row,
//! for which there may be an index.
//! Invariant: exact when s has one row before and after, and c is not NULL in either; the flush asks the gate, and recomputes
//! everything otherwise. Rows that changed themselves are in the terms of their own relations. Called by `dirty` and `delta`.

use crate::analyze::describe::Described;
use crate::analyze::query::call::Call;
use crate::analyze::query::conditions::{conditions, conjunction, mentions};
use crate::analyze::query::printed;
use crate::analyze::rules::change_rows::replace_by;
use crate::pg::aggregate::facts;
use crate::pg::error::Result;
use crate::pg::fault::{self, Fault};
use crate::pg::tree::{Node, Query, RangeTblEntry, Text, Tree, list, lsyscache, make, server};
use pgrx::pg_sys;
use std::collections::BTreeSet;

/// Conditions for the terms of a changed value.
pub struct Range {
    conditions: Vec<Node>,
    /// SELECT of a boolean: whether the terms may be used.
    pub gate: String,
}

impl Range {
    /// Adds the conditions to a query with the range table of the query they were made for.
    pub fn add(&self, query: Query) {
        let from = query.jointree();
        let mut all = conditions(from.quals());
        all.extend(self.conditions.iter().map(|c| c.copy()));
        from.set_quals(conjunction(all));
        query.set_hasSubLinks(true);
    }
}

/// The range for changes of an atom of a query; None when rows that are not between the values can be concerned.
/// `targets`: expressions of interest beside the outputs.
pub fn find(query: Query, d: &Described, atom: usize, targets: &[Node]) -> Result<Option<Range>> {
    let a = &d.description.atoms[atom];
    if a.path.len() != 1 || !a.keys.iter().any(Vec::is_empty) {
        return Ok(None);
    }
    let index = a.path[0];
    let rte = server::rt_fetch(index, query);
    let count = |function: &str, of: Node| -> Result<String> {
        let call = Call { function: pg_sys::F_COUNT_ANY, result: pg_sys::INT8OID, argument: of };
        printed::text(aggregate_over(rte.copy(), function, call, pg_sys::InvalidOid)?)
    };
    let Some(compared) = only_comparison(query, index, targets) else { return Ok(None) };
    let nullable = d.description.join.nullable();
    let hangs = |i: &usize| d.block.atoms_of(*i).iter().any(|a| nullable.contains(a));
    if mentions(compared.rows).iter().any(hangs) {
        return Ok(None);
    }
    let Some(order) = order_of(&compared) else { return Ok(None) };
    server::ChangeVarNodes(compared.value, index as i32, 1, 0);
    let (lowest, highest) = if fault::on(Fault::NarrowRange) { (order.max, order.min) } else { (order.min, order.max) };
    let mut conditions = Vec::new();
    for (operator, function) in [(order.ge, lowest), (order.le, highest)] {
        let call = Call { function, result: order.typid, argument: compared.value.copy() };
        let bound = make::make::<pg_sys::SubLink>();
        bound.set_subLinkType(pg_sys::SubLinkType::EXPR_SUBLINK);
        bound.set_subselect(aggregate_over(rte.copy(), "changed", call, compared.collation)?.cast());
        bound.set_location(-1);
        conditions.push(make::comparison(operator, compared.rows.copy(), bound.cast(), compared.collation));
    }
    let one = |function| -> Result<String> {
        Ok(format!("({}) OPERATOR(pg_catalog.=) 1", count(function, compared.value.copy())?))
    };
    let gate = format!("SELECT {} AND {}", one("inserted")?, one("deleted")?);
    Ok(Some(Range { conditions, gate }))
}

/// `rows op value`, or the other way round; copies.
struct Comparison {
    operator: pg_sys::Oid,
    collation: pg_sys::Oid,
    rows: Node,
    value: Node,
}

/// The condition of WHERE that reads a relation, when nothing else in the query reads it.
fn only_comparison(query: Query, index: usize, targets: &[Node]) -> Option<Comparison> {
    let reads = |node: Node, level: i32| server::rangeTableEntry_used(node, index as i32, level);
    for rte in list::iter::<pg_sys::RangeTblEntry>(query.rtable()) {
        let others = [rte.functions(), rte.values_lists()];
        if reads(rte.subquery().cast(), 1)
            || reads(rte.tablefunc().cast(), 0)
            || others.iter().any(|o| reads((*o).cast(), 0))
        {
            return None;
        }
    }
    let from = query.jointree();
    let is_it = |item: Node| {
        list::is(item, pg_sys::NodeTag::T_RangeTblRef) && item.cast::<pg_sys::RangeTblRef>().rtindex() as usize == index
    };
    let items: Vec<Node> = list::iter(from.fromlist()).collect();
    if !items.iter().any(|i| is_it(*i)) || items.iter().any(|i| !is_it(*i) && reads(*i, 0)) {
        return None;
    }
    let outputs = server::flatten_groups(query, query.targetList().cast());
    if reads(outputs, 0) || reads(query.havingQual(), 0) || targets.iter().any(|t| reads(*t, 0)) {
        return None;
    }
    let mut reading = conditions(from.quals()).into_iter().filter(|c| reads(*c, 0));
    let condition = reading.next()?;
    if reading.next().is_some() {
        return None;
    }
    comparison(condition, index)
}

fn comparison(condition: Node, index: usize) -> Option<Comparison> {
    if !list::is(condition, pg_sys::NodeTag::T_OpExpr) || server::checkExprHasSubLink(condition) {
        return None;
    }
    let op = condition.cast::<pg_sys::OpExpr>();
    if list::len(op.args()) != 2 {
        return None;
    }
    let (left, right) = (list::nth::<pg_sys::Node>(op.args(), 0), list::nth::<pg_sys::Node>(op.args(), 1));
    let alone = BTreeSet::from([index]);
    let (operator, rows, value) = match (mentions(left), mentions(right)) {
        (l, r) if !l.contains(&index) && r == alone => (op.opno(), left, right),
        (l, r) if !r.contains(&index) && l == alone => (lsyscache::get_commutator(op.opno()), right, left),
        _ => return None,
    };
    // With a collation that is written out on one side, the bounds would be compared otherwise.
    if server::exprCollation(rows) != op.inputcollid() || server::exprCollation(value) != op.inputcollid() {
        return None;
    }
    Some(Comparison { operator, collation: op.inputcollid(), rows: rows.copy(), value: value.copy() })
}

/// How values of a type are ordered.
struct Order {
    typid: pg_sys::Oid,
    ge: pg_sys::Oid,
    le: pg_sys::Oid,
    min: u32,
    max: u32,
}

/// The order that a comparison goes by; None when the comparison is no inequality, or not in the default order of its type.
fn order_of(of: &Comparison) -> Option<Order> {
    let typid = server::exprType(of.value);
    if of.operator == pg_sys::InvalidOid {
        return None;
    }
    if lsyscache::op_input_types(of.operator) != (typid, typid) || server::exprType(of.rows) != typid {
        return None;
    }
    let class = lsyscache::GetDefaultOpClass(typid, pg_sys::BTREE_AM_OID);
    if class == pg_sys::InvalidOid {
        return None;
    }
    let family = lsyscache::get_opclass_family(class);
    let strategy = lsyscache::get_op_opfamily_strategy(of.operator, family) as u32;
    let (less, greater) = (pg_sys::BTLessStrategyNumber, pg_sys::BTGreaterStrategyNumber);
    let (le, ge) = (pg_sys::BTLessEqualStrategyNumber, pg_sys::BTGreaterEqualStrategyNumber);
    if ![less, le, ge, greater].contains(&strategy) {
        return None;
    }
    let member = |strategy: u32| lsyscache::get_opfamily_member(family, typid, typid, strategy as i16);
    let extremum = |label: &std::ffi::CStr, strategy: u32| {
        let name = |text: &std::ffi::CStr| make::string(Text::of(text));
        let names = list::lappend(Tree::null(), name(c"pg_catalog").cast());
        let names = list::lappend(names, name(label).cast());
        let oid = lsyscache::LookupFuncName(names, &[typid], true);
        let fits = oid != pg_sys::InvalidOid && facts(oid).is_some_and(|f| f.sortop == member(strategy));
        fits.then(|| oid.to_u32())
    };
    let order =
        Order { typid, ge: member(ge), le: member(le), min: extremum(c"min", less)?, max: extremum(c"max", greater)? };
    (order.ge != pg_sys::InvalidOid && order.le != pg_sys::InvalidOid).then_some(order)
}

/// `SELECT aggregate(value) FROM function(relation)`.
fn aggregate_over(rte: RangeTblEntry, function: &str, call: Call, collation: pg_sys::Oid) -> Result<Query> {
    replace_by(rte, function)?;
    let aggregate = call.node();
    let agg = aggregate.cast::<pg_sys::Aggref>();
    agg.set_inputcollid(collation);
    let has_collation = lsyscache::get_typcollation(agg.aggtype()) != pg_sys::InvalidOid;
    agg.set_aggcollid(if has_collation { collation } else { pg_sys::InvalidOid });
    let query = make::make::<pg_sys::Query>();
    query.set_commandType(pg_sys::CmdType::CMD_SELECT);
    query.set_canSetTag(true);
    query.set_hasAggs(true);
    query.set_rtable(list::lappend(Tree::null(), rte.cast()));
    let reference = make::make::<pg_sys::RangeTblRef>();
    reference.set_rtindex(1);
    let from = make::make::<pg_sys::FromExpr>();
    from.set_fromlist(list::lappend(Tree::null(), reference.cast()));
    query.set_jointree(from);
    let tle = make::target(aggregate.cast(), 1, Text::of(c"bound"), false);
    query.set_targetList(list::lappend(Tree::null(), tle.cast()));
    Ok(query)
}
