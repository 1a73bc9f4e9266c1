//! Aggregates that can be put together from parts.
//!
//! The rows of a group fall into parts; the aggregate is computed for each part, and its result from the results of the parts.
//! Invariant: type, bytes and errors are the same as of the aggregate over all rows. Sums of integers and of numeric are exact
//! in any order, and averages are their sum divided by their number (numeric.c, int8_avg and numeric_avg).
//! Called by distinct.

use crate::analyze::query::call::Call;
use crate::analyze::query::tree::type_of;
use crate::analyze::split::distinct::Pieces;
use crate::pg::aggregate::facts;
use crate::pg::name;
use crate::pg::tree::{Aggref, List, Node, Tree, list, make, server};
use pgrx::pg_sys;

/// Whether an aggregate does not care how often it sees a value.
pub fn is_idempotent(agg: Aggref) -> bool {
    is_bool(agg) || is_extremum(agg)
}

/// Whether an aggregate gives the same whatever the order of its values.
pub fn is_unordered(agg: Aggref) -> bool {
    let oid = agg.aggfnoid();
    let built_in = oid.to_u32() < pg_sys::FirstNormalObjectId;
    is_idempotent(agg) || built_in && facts(oid).is_some_and(|f| f.minvtransfn != pg_sys::InvalidOid)
}

fn is_bool(agg: Aggref) -> bool {
    [pg_sys::F_BOOL_AND, pg_sys::F_BOOL_OR, pg_sys::F_EVERY].contains(&agg.aggfnoid().to_u32())
}

/// min, max and the like, over values of which equal ones are the same.
fn is_extremum(agg: Aggref) -> bool {
    let a = agg;
    let Some(facts) = facts(a.aggfnoid()) else { return false };
    if facts.sortop == pg_sys::InvalidOid || list::len(a.args()) != 1 {
        return false;
    }
    let of = type_of(list::nth::<pg_sys::TargetEntry>(a.args(), 0).expr());
    of.0 == a.aggtype() && name::equal_is_same(&of)
}

/// An aggregate over all parts, from the columns that `pieces` computes for each part; None when parts do not suffice.
pub fn sum(agg: Aggref, pieces: &mut Pieces) -> Option<Node> {
    let a = agg;
    if !a.aggorder().is_null() || a.aggkind() != b'n' || a.agglevelsup() > 0 || server::checkExprHasSubLink(agg.cast())
    {
        return None;
    }
    let part = agg.copy();
    part.set_aggdistinct(Tree::null());
    for tle in list::iter::<pg_sys::TargetEntry>(part.args()) {
        tle.set_ressortgroupref(0);
    }
    if is_idempotent(agg) {
        let own = part.copy();
        own.set_aggfilter(Tree::null());
        list::nth::<pg_sys::TargetEntry>(own.args(), 0).set_expr(pieces.part(part.cast()).cast());
        return Some(own.cast());
    }
    match a.aggfnoid().to_u32() {
        pg_sys::F_COUNT_ | pg_sys::F_COUNT_ANY => Some(or_zero(to_bigint(total(part, pieces)))),
        pg_sys::F_SUM_INT2 | pg_sys::F_SUM_INT4 => Some(to_bigint(total(part, pieces))),
        pg_sys::F_SUM_INT8 | pg_sys::F_SUM_NUMERIC => Some(total(part, pieces)),
        pg_sys::F_AVG_INT2 => Some(average(part, pg_sys::F_SUM_INT2, pg_sys::INT8OID, pieces)),
        pg_sys::F_AVG_INT4 => Some(average(part, pg_sys::F_SUM_INT4, pg_sys::INT8OID, pieces)),
        pg_sys::F_AVG_INT8 => Some(average(part, pg_sys::F_SUM_INT8, pg_sys::NUMERICOID, pieces)),
        pg_sys::F_AVG_NUMERIC => Some(average(part, pg_sys::F_SUM_NUMERIC, pg_sys::NUMERICOID, pieces)),
        _ => None,
    }
}

/// The numeric sum of an aggregate's results, bigint or numeric.
fn total(part: Aggref, pieces: &mut Pieces) -> Node {
    let argument = pieces.part(part.cast());
    let function = if part.aggtype() == pg_sys::INT8OID { pg_sys::F_SUM_INT8 } else { pg_sys::F_SUM_NUMERIC };
    Call { function, result: pg_sys::NUMERICOID, argument }.node()
}

/// Sum divided by number; NULL without values, since the sum is.
fn average(part: Aggref, function: u32, result: pg_sys::Oid, pieces: &mut Pieces) -> Node {
    let sum = part.copy();
    sum.set_aggfnoid(pg_sys::Oid::from(function));
    sum.set_aggtype(result);
    let count = part.copy();
    count.set_aggfnoid(pg_sys::Oid::from(pg_sys::F_COUNT_ANY));
    count.set_aggtype(pg_sys::INT8OID);
    let (sum, count) = (total(sum, pieces), total(count, pieces));
    call(
        pg_sys::F_NUMERIC_DIV,
        pg_sys::NUMERICOID,
        list::lappend(list::lappend(Tree::null(), sum.cast()), count.cast()),
    )
}

fn to_bigint(numeric: Node) -> Node {
    call(pg_sys::F_INT8_NUMERIC, pg_sys::INT8OID, list::lappend(Tree::null(), numeric.cast()))
}

fn call(function: u32, result: pg_sys::Oid, args: List) -> Node {
    let none = pg_sys::InvalidOid;
    make::call(pg_sys::Oid::from(function), result, args, none, none)
}

fn or_zero(bigint: Node) -> Node {
    let zero = make::int8(0);
    let coalesce = make::make::<pg_sys::CoalesceExpr>();
    coalesce.set_coalescetype(pg_sys::INT8OID);
    coalesce.set_args(list::lappend(list::lappend(Tree::null(), bigint.cast()), zero.cast()));
    coalesce.set_location(-1);
    coalesce.cast()
}
