//! Aggregates that can be put together from parts.
//!
//! The rows of a group fall into parts; the aggregate is computed for each part, and its result from these.
//! Invariant: type, bytes and errors are those of the aggregate over all rows. Sums of integers and of numeric are exact
//! in any order, and averages are their sum divided by their number (numeric.c, int8_avg and numeric_avg).
//! Called by distinct.

use crate::analyze::query::call::Call;
use crate::analyze::query::tree::type_of;
use crate::analyze::split::distinct::Pieces;
use crate::pg::aggregate::facts;
use crate::pg::ext::{self, make};
use crate::pg::{list, name};
use pgrx::pg_sys;

/// Whether an aggregate does not care how often it sees a value.
pub unsafe fn is_idempotent(agg: *mut pg_sys::Aggref) -> bool {
    // SAFETY: `agg` is a live node of a tree of the server.
    unsafe { is_bool(agg) || is_extremum(agg) }
}

/// Whether an aggregate gives the same whatever the order of its values.
pub unsafe fn is_unordered(agg: *mut pg_sys::Aggref) -> bool {
    // SAFETY: `agg` is a live node of a tree of the server.
    unsafe {
        let oid = (*agg).aggfnoid;
        let built_in = oid.to_u32() < pg_sys::FirstNormalObjectId;
        is_idempotent(agg) || built_in && facts(oid).is_some_and(|f| f.minvtransfn != pg_sys::InvalidOid)
    }
}

unsafe fn is_bool(agg: *mut pg_sys::Aggref) -> bool {
    // SAFETY: `agg` is a live node of a tree of the server.
    unsafe { [pg_sys::F_BOOL_AND, pg_sys::F_BOOL_OR, pg_sys::F_EVERY].contains(&(*agg).aggfnoid.to_u32()) }
}

/// min, max and the like, over values of which equal ones are the same.
unsafe fn is_extremum(agg: *mut pg_sys::Aggref) -> bool {
    // SAFETY: `agg` is a live node of a tree of the server.
    unsafe {
        let a = &*agg;
        let Some(facts) = facts(a.aggfnoid) else { return false };
        if facts.sortop == pg_sys::InvalidOid || list::len(a.args) != 1 {
            return false;
        }
        let of = type_of((*list::nth::<pg_sys::TargetEntry>(a.args, 0)).expr.cast());
        of.0 == a.aggtype && name::equal_is_same(&of)
    }
}

/// An aggregate over all parts, from what `pieces` computes for each of them; None when there is no such thing.
pub unsafe fn sum(agg: *mut pg_sys::Aggref, pieces: &mut Pieces) -> Option<*mut pg_sys::Node> {
    // SAFETY: `agg` is a live node of a tree of the server; `pieces` belongs to a query that is alive.
    unsafe {
        let a = &*agg;
        if !a.aggorder.is_null()
            || a.aggkind as u8 != b'n'
            || a.agglevelsup > 0
            || pg_sys::checkExprHasSubLink(agg.cast())
        {
            return None;
        }
        let part = ext::copy(agg);
        (*part).aggdistinct = std::ptr::null_mut();
        for tle in list::iter::<pg_sys::TargetEntry>((*part).args) {
            (*tle).ressortgroupref = 0;
        }
        if is_idempotent(agg) {
            let own = ext::copy(part);
            (*own).aggfilter = std::ptr::null_mut();
            (*list::nth::<pg_sys::TargetEntry>((*own).args, 0)).expr = pieces.part(part.cast()).cast();
            return Some(own.cast());
        }
        match a.aggfnoid.to_u32() {
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
}

/// The numeric sum of an aggregate's results, bigint or numeric.
unsafe fn total(part: *mut pg_sys::Aggref, pieces: &mut Pieces) -> *mut pg_sys::Node {
    // SAFETY: `part` is a live node of a tree of the server; `pieces` belongs to a query that is alive.
    unsafe {
        let argument = pieces.part(part.cast());
        let function = if (*part).aggtype == pg_sys::INT8OID { pg_sys::F_SUM_INT8 } else { pg_sys::F_SUM_NUMERIC };
        Call { function, result: pg_sys::NUMERICOID, argument }.node()
    }
}

/// Sum divided by number; NULL without values, since the sum is.
unsafe fn average(
    part: *mut pg_sys::Aggref,
    function: u32,
    result: pg_sys::Oid,
    pieces: &mut Pieces,
) -> *mut pg_sys::Node {
    // SAFETY: `part` is a live node of a tree of the server; `pieces` belongs to a query that is alive.
    unsafe {
        let sum = ext::copy(part);
        (*sum).aggfnoid = pg_sys::Oid::from(function);
        (*sum).aggtype = result;
        let count = ext::copy(part);
        (*count).aggfnoid = pg_sys::Oid::from(pg_sys::F_COUNT_ANY);
        (*count).aggtype = pg_sys::INT8OID;
        let (sum, count) = (total(sum, pieces), total(count, pieces));
        call(
            pg_sys::F_NUMERIC_DIV,
            pg_sys::NUMERICOID,
            pg_sys::lappend(pg_sys::lappend(std::ptr::null_mut(), sum.cast()), count.cast()),
        )
    }
}

unsafe fn to_bigint(numeric: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: `numeric` is a live node of a tree of the server.
    unsafe { call(pg_sys::F_INT8_NUMERIC, pg_sys::INT8OID, pg_sys::lappend(std::ptr::null_mut(), numeric.cast())) }
}

unsafe fn call(function: u32, result: pg_sys::Oid, args: *mut pg_sys::List) -> *mut pg_sys::Node {
    // SAFETY: `args` is null or a live list of nodes.
    unsafe {
        let form = pg_sys::CoercionForm::COERCE_EXPLICIT_CALL;
        let none = pg_sys::InvalidOid;
        pg_sys::makeFuncExpr(pg_sys::Oid::from(function), result, args, none, none, form).cast()
    }
}

unsafe fn or_zero(bigint: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: `bigint` is a live node of a tree of the server.
    unsafe {
        let zero =
            pg_sys::makeConst(pg_sys::INT8OID, -1, pg_sys::InvalidOid, 8, pg_sys::Datum::from(0i64), false, true);
        let coalesce = make::<pg_sys::CoalesceExpr>(pg_sys::NodeTag::T_CoalesceExpr);
        (*coalesce).coalescetype = pg_sys::INT8OID;
        (*coalesce).args = pg_sys::lappend(pg_sys::lappend(std::ptr::null_mut(), bigint.cast()), zero.cast());
        (*coalesce).location = -1;
        coalesce.cast()
    }
}
