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
use crate::pg::ext::{self, make};
use crate::pg::fault::{self, Fault};
use crate::pg::list;
use pgrx::pg_sys;
use std::collections::BTreeSet;

/// Conditions for the terms of a changed value.
pub struct Range {
    conditions: Vec<*mut pg_sys::Node>,
    /// SELECT of a boolean: whether the terms may be used.
    pub gate: String,
}

impl Range {
    /// Adds the conditions to a query with the range table of the one they were made for.
    pub unsafe fn add(&self, query: *mut pg_sys::Query) {
        // SAFETY: `query` is a live tree of the server.
        unsafe {
            let from = &mut *(*query).jointree;
            let mut all = conditions(from.quals);
            all.extend(self.conditions.iter().map(|c| ext::copy(*c)));
            from.quals = conjunction(all);
            (*query).hasSubLinks = true;
        }
    }
}

/// The range for changes of an atom of a query; None when other rows than those between the values can be concerned.
/// `targets`: expressions of interest beside the outputs.
///
/// # Safety
/// `d` was described from `query` or from a copy with the same range table; `targets` belong to it.
pub unsafe fn find(
    query: *mut pg_sys::Query,
    d: &Described,
    atom: usize,
    targets: &[*mut pg_sys::Node],
) -> Result<Option<Range>> {
    // SAFETY: the caller promises: `d` was described from `query` or from a copy with the same range table; `targets` belong to it.
    unsafe {
        let a = &d.description.atoms[atom];
        if a.path.len() != 1 || !a.keys.iter().any(Vec::is_empty) {
            return Ok(None);
        }
        let index = a.path[0];
        let rte = list::nth::<pg_sys::RangeTblEntry>((*query).rtable, index - 1);
        let count = |function: &str, of: *mut pg_sys::Node| -> Result<String> {
            let call = Call { function: pg_sys::F_COUNT_ANY, result: pg_sys::INT8OID, argument: of };
            printed::text(aggregate_over(ext::copy(rte), function, call, pg_sys::InvalidOid)?)
        };
        let Some(compared) = only_comparison(query, index, targets) else { return Ok(None) };
        let nullable = d.description.join.nullable();
        let hangs = |i: &usize| d.block.atoms_of(*i).iter().any(|a| nullable.contains(a));
        if mentions(compared.rows).iter().any(hangs) {
            return Ok(None);
        }
        let Some(order) = order_of(&compared) else { return Ok(None) };
        pg_sys::ChangeVarNodes(compared.value, index as i32, 1, 0);
        let (lowest, highest) =
            if fault::on(Fault::NarrowRange) { (order.max, order.min) } else { (order.min, order.max) };
        let mut conditions = Vec::new();
        for (operator, function) in [(order.ge, lowest), (order.le, highest)] {
            let call = Call { function, result: order.typid, argument: ext::copy(compared.value) };
            let bound = make::<pg_sys::SubLink>(pg_sys::NodeTag::T_SubLink);
            (*bound).subLinkType = pg_sys::SubLinkType::EXPR_SUBLINK;
            (*bound).subselect = aggregate_over(ext::copy(rte), "changed", call, compared.collation)?.cast();
            (*bound).location = -1;
            let rows: *mut pg_sys::Expr = ext::copy(compared.rows).cast();
            let (none, of) = (pg_sys::InvalidOid, compared.collation);
            conditions
                .push(pg_sys::make_opclause(operator, pg_sys::BOOLOID, false, rows, bound.cast(), none, of).cast());
        }
        let one = |function| -> Result<String> {
            Ok(format!("({}) OPERATOR(pg_catalog.=) 1", count(function, ext::copy(compared.value))?))
        };
        let gate = format!("SELECT {} AND {}", one("inserted")?, one("deleted")?);
        Ok(Some(Range { conditions, gate }))
    }
}

/// `rows op value`, or the other way round; copies.
struct Comparison {
    operator: pg_sys::Oid,
    collation: pg_sys::Oid,
    rows: *mut pg_sys::Node,
    value: *mut pg_sys::Node,
}

/// The condition of WHERE that reads a relation, when nothing else does.
unsafe fn only_comparison(
    query: *mut pg_sys::Query,
    index: usize,
    targets: &[*mut pg_sys::Node],
) -> Option<Comparison> {
    // SAFETY: `query` is a live tree of the server; `targets` holds live nodes of that tree.
    unsafe {
        let reads = |node: *mut pg_sys::Node, level: i32| pg_sys::rangeTableEntry_used(node, index as i32, level);
        for rte in list::iter::<pg_sys::RangeTblEntry>((*query).rtable) {
            let others = [(*rte).functions, (*rte).values_lists];
            if reads((*rte).subquery.cast(), 1)
                || reads((*rte).tablefunc.cast(), 0)
                || others.iter().any(|o| reads((*o).cast(), 0))
            {
                return None;
            }
        }
        let from = &*(*query).jointree;
        let is_it = |item: *mut pg_sys::Node| {
            list::is(item, pg_sys::NodeTag::T_RangeTblRef)
                && (*item.cast::<pg_sys::RangeTblRef>()).rtindex as usize == index
        };
        let items: Vec<*mut pg_sys::Node> = list::iter(from.fromlist).collect();
        if !items.iter().any(|i| is_it(*i)) || items.iter().any(|i| !is_it(*i) && reads(*i, 0)) {
            return None;
        }
        let outputs = ext::flatten_groups(query, (*query).targetList.cast());
        if reads(outputs, 0) || reads((*query).havingQual, 0) || targets.iter().any(|t| reads(*t, 0)) {
            return None;
        }
        let mut reading = conditions(from.quals).into_iter().filter(|c| reads(*c, 0));
        let condition = reading.next()?;
        if reading.next().is_some() {
            return None;
        }
        comparison(condition, index)
    }
}

unsafe fn comparison(condition: *mut pg_sys::Node, index: usize) -> Option<Comparison> {
    // SAFETY: `condition` is a live node of a tree of the server.
    unsafe {
        if !list::is(condition, pg_sys::NodeTag::T_OpExpr) || pg_sys::checkExprHasSubLink(condition) {
            return None;
        }
        let op = &*condition.cast::<pg_sys::OpExpr>();
        if list::len(op.args) != 2 {
            return None;
        }
        let (left, right) = (list::nth::<pg_sys::Node>(op.args, 0), list::nth::<pg_sys::Node>(op.args, 1));
        let alone = BTreeSet::from([index]);
        let (operator, rows, value) = match (mentions(left), mentions(right)) {
            (l, r) if !l.contains(&index) && r == alone => (op.opno, left, right),
            (l, r) if !r.contains(&index) && l == alone => (pg_sys::get_commutator(op.opno), right, left),
            _ => return None,
        };
        // With a collation that is written out on one side, the bounds would be compared otherwise.
        if pg_sys::exprCollation(rows) != op.inputcollid || pg_sys::exprCollation(value) != op.inputcollid {
            return None;
        }
        Some(Comparison { operator, collation: op.inputcollid, rows: ext::copy(rows), value: ext::copy(value) })
    }
}

/// How values of a type are ordered.
struct Order {
    typid: pg_sys::Oid,
    ge: pg_sys::Oid,
    le: pg_sys::Oid,
    min: u32,
    max: u32,
}

/// The order that a comparison goes by; None when it is no inequality, or not in the default order of its type.
unsafe fn order_of(of: &Comparison) -> Option<Order> {
    // SAFETY: `of` belongs to a query that is alive.
    unsafe {
        let typid = pg_sys::exprType(of.value);
        let (mut left, mut right) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
        if of.operator == pg_sys::InvalidOid {
            return None;
        }
        pg_sys::op_input_types(of.operator, &mut left, &mut right);
        if left != typid || right != typid || pg_sys::exprType(of.rows) != typid {
            return None;
        }
        let class = pg_sys::GetDefaultOpClass(typid, pg_sys::BTREE_AM_OID);
        if class == pg_sys::InvalidOid {
            return None;
        }
        let family = pg_sys::get_opclass_family(class);
        let strategy = pg_sys::get_op_opfamily_strategy(of.operator, family) as u32;
        let (less, greater) = (pg_sys::BTLessStrategyNumber, pg_sys::BTGreaterStrategyNumber);
        let (le, ge) = (pg_sys::BTLessEqualStrategyNumber, pg_sys::BTGreaterEqualStrategyNumber);
        if ![less, le, ge, greater].contains(&strategy) {
            return None;
        }
        let member = |strategy: u32| pg_sys::get_opfamily_member(family, typid, typid, strategy as i16);
        let extremum = |label: &std::ffi::CStr, strategy: u32| {
            let name = |text: &std::ffi::CStr| pg_sys::makeString(pg_sys::pstrdup(text.as_ptr()));
            let names = pg_sys::lappend(std::ptr::null_mut(), name(c"pg_catalog").cast());
            let names = pg_sys::lappend(names, name(label).cast());
            let oid = pg_sys::LookupFuncName(names, 1, &typid, true);
            let fits = oid != pg_sys::InvalidOid && facts(oid).is_some_and(|f| f.sortop == member(strategy));
            fits.then(|| oid.to_u32())
        };
        let order = Order {
            typid,
            ge: member(ge),
            le: member(le),
            min: extremum(c"min", less)?,
            max: extremum(c"max", greater)?,
        };
        (order.ge != pg_sys::InvalidOid && order.le != pg_sys::InvalidOid).then_some(order)
    }
}

/// `SELECT aggregate(value) FROM function(relation)`.
unsafe fn aggregate_over(
    rte: *mut pg_sys::RangeTblEntry,
    function: &str,
    call: Call,
    collation: pg_sys::Oid,
) -> Result<*mut pg_sys::Query> {
    // SAFETY: `rte` is a live node of a tree of the server; `call` holds the statement that the server is executing.
    unsafe {
        replace_by(rte, function)?;
        let aggregate = call.node();
        let agg = &mut *aggregate.cast::<pg_sys::Aggref>();
        agg.inputcollid = collation;
        agg.aggcollid =
            if pg_sys::get_typcollation(agg.aggtype) != pg_sys::InvalidOid { collation } else { pg_sys::InvalidOid };
        let query = make::<pg_sys::Query>(pg_sys::NodeTag::T_Query);
        (*query).commandType = pg_sys::CmdType::CMD_SELECT;
        (*query).canSetTag = true;
        (*query).hasAggs = true;
        (*query).rtable = pg_sys::lappend(std::ptr::null_mut(), rte.cast());
        let reference = make::<pg_sys::RangeTblRef>(pg_sys::NodeTag::T_RangeTblRef);
        (*reference).rtindex = 1;
        let from = make::<pg_sys::FromExpr>(pg_sys::NodeTag::T_FromExpr);
        (*from).fromlist = pg_sys::lappend(std::ptr::null_mut(), reference.cast());
        (*query).jointree = from;
        let tle = pg_sys::makeTargetEntry(aggregate.cast(), 1, pg_sys::pstrdup(c"bound".as_ptr()), false);
        (*query).targetList = pg_sys::lappend(std::ptr::null_mut(), tle.cast());
        Ok(query)
    }
}
