//! Row comparisons whose columns have operators of several schemas.
//!
//! `(a, b) IN (SELECT …)`, `(a, b) < (c, d)` and the like are written with one operator, and the deparser takes the operator of the
//! first column: `OPERATOR(public.=)` for citext, which does not exist for integers. Here such comparisons get a first column
//! that is equal on both sides and of a type whose operators are found everywhere: `(true, a, b) IN (SELECT true, …)`.
//! Invariant: the comparison has the same result, NULL included. Called by `deparse`. Source: utils/adt/ruleutils.c,
//! get_sublink_expr.

use super::{list, walk};
use pgrx::pg_sys;

/// Operators of type boolean, by the number of their strategy in a B-tree, and <>. Source: catalog/pg_operator.dat.
const ORDER: [u32; 5] = [58, 1694, 91, 1695, 59];
const DIFFERENT: u32 = 85;
/// The B-tree operator family of type boolean. Source: catalog/pg_opfamily.dat.
const BOOLEANS: u32 = 424;

/// Changes the row comparisons of a query that have operators of several schemas.
///
/// # Safety
/// `query` is valid and the caller's own.
pub unsafe fn lead(query: *mut pg_sys::Query) {
    // SAFETY: `query` is valid and the caller's own, as the caller promises.
    unsafe {
        let mut found: Vec<*mut pg_sys::Node> = Vec::new();
        walk::walk(query.cast(), &mut |node| {
            if list::is(node, pg_sys::NodeTag::T_SubLink) || list::is(node, pg_sys::NodeTag::T_RowCompareExpr) {
                found.push(node);
            }
            false
        });
        for node in found {
            if list::is(node, pg_sys::NodeTag::T_SubLink) {
                sublink(node.cast());
            } else {
                let row = node.cast::<pg_sys::RowCompareExpr>();
                // the comparison of a sub-link has been changed together with the sub-link
                let whole = list::iter::<pg_sys::Node>((*row).rargs).any(|n| list::is(n, pg_sys::NodeTag::T_Param));
                if !whole && differ(&list::oids((*row).opnos)) {
                    compare(row, pg_sys::makeBoolConst(true, false));
                }
            }
        }
    }
}

/// # Safety
/// `link` is a live node of a tree of the server.
unsafe fn sublink(link: *mut pg_sys::SubLink) {
    // SAFETY: `link` is a live node of a tree of the server.
    unsafe {
        let test = (*link).testexpr;
        let query = (*link).subselect.cast::<pg_sys::Query>();
        // a set operation has the columns of its branches
        if test.is_null() || !(*query).setOperations.is_null() {
            return;
        }
        if list::is(test, pg_sys::NodeTag::T_BoolExpr) {
            let test = test.cast::<pg_sys::BoolExpr>();
            let comparisons: Vec<*mut pg_sys::OpExpr> = list::iter((*test).args).collect();
            let all = comparisons.iter().all(|c| list::is(*c, pg_sys::NodeTag::T_OpExpr));
            if !all || !differ(&comparisons.iter().map(|c| (**c).opno).collect::<Vec<_>>()) {
                return;
            }
            shift(link);
            let same = (*test).boolop == pg_sys::BoolExprType::AND_EXPR;
            let operator = if same { ORDER[2] } else { DIFFERENT };
            let first = pg_sys::make_opclause(
                operator.into(),
                pg_sys::BOOLOID,
                false,
                pg_sys::makeBoolConst(true, false).cast(),
                output().cast(),
                pg_sys::InvalidOid,
                pg_sys::InvalidOid,
            );
            pg_sys::set_opfuncid(first.cast());
            (*test).args = pg_sys::lcons(first.cast(), (*test).args);
        } else if list::is(test, pg_sys::NodeTag::T_RowCompareExpr) {
            let row = test.cast::<pg_sys::RowCompareExpr>();
            if differ(&list::oids((*row).opnos)) {
                shift(link);
                compare(row, output().cast());
            }
        }
    }
}

/// Gives the sub-query of a sub-link another first column.
///
/// # Safety
/// `link` is a live node of a tree of the server.
unsafe fn shift(link: *mut pg_sys::SubLink) {
    // SAFETY: `link` is a live node of a tree of the server.
    unsafe {
        walk::walk((*link).testexpr, &mut |node| {
            if list::is(node, pg_sys::NodeTag::T_Param) {
                let param = node.cast::<pg_sys::Param>();
                if (*param).paramkind == pg_sys::ParamKind::PARAM_SUBLINK {
                    (*param).paramid += 1;
                }
            }
            false
        });
        let query = (*link).subselect.cast::<pg_sys::Query>();
        for entry in list::iter::<pg_sys::TargetEntry>((*query).targetList) {
            (*entry).resno += 1;
        }
        let constant = pg_sys::makeBoolConst(true, false);
        let name = pg_sys::pstrdup(c"same".as_ptr());
        let entry = pg_sys::makeTargetEntry(constant.cast(), 1, name, false);
        (*query).targetList = pg_sys::lcons(entry.cast(), (*query).targetList);
    }
}

/// The first output column of the sub-query of a sub-link.
fn output() -> *mut pg_sys::Param {
    // SAFETY: makes a new node in the current context.
    unsafe {
        let param = pg_sys::palloc0(std::mem::size_of::<pg_sys::Param>()).cast::<pg_sys::Param>();
        (*param).xpr.type_ = pg_sys::NodeTag::T_Param;
        (*param).paramkind = pg_sys::ParamKind::PARAM_SUBLINK;
        (*param).paramid = 1;
        (*param).paramtype = pg_sys::BOOLOID;
        (*param).paramtypmod = -1;
        (*param).location = -1;
        param
    }
}

/// # Safety
/// `row` and `right` are live nodes of a tree of the server.
unsafe fn compare(row: *mut pg_sys::RowCompareExpr, right: *mut pg_sys::Node) {
    // SAFETY: `row` and `right` are live nodes of a tree of the server.
    unsafe {
        #[cfg(not(feature = "since_18"))]
        let strategy = (*row).rctype as usize;
        #[cfg(feature = "since_18")]
        let strategy = (*row).cmptype as usize;
        let Some(operator) = ORDER.get(strategy.wrapping_sub(1)) else { return };
        (*row).opnos = pg_sys::lcons_oid((*operator).into(), (*row).opnos);
        (*row).opfamilies = pg_sys::lcons_oid(BOOLEANS.into(), (*row).opfamilies);
        (*row).inputcollids = pg_sys::lcons_oid(pg_sys::InvalidOid, (*row).inputcollids);
        (*row).largs = pg_sys::lcons(pg_sys::makeBoolConst(true, false).cast(), (*row).largs);
        (*row).rargs = pg_sys::lcons(right.cast(), (*row).rargs);
    }
}

/// Whether the name of the first operator does not do for the others.
fn differ(operators: &[pg_sys::Oid]) -> bool {
    let mut schemas = operators.iter().map(|op| schema_of(*op));
    let first = schemas.next().flatten();
    first != Some(pg_sys::PG_CATALOG_NAMESPACE.into()) && schemas.any(|s| s != first)
}

fn schema_of(operator: pg_sys::Oid) -> Option<pg_sys::Oid> {
    // SAFETY: look-ups in system caches, whose entries are released before returning.
    unsafe {
        let id = pg_sys::SysCacheIdentifier::OPEROID as i32;
        let tuple = pg_sys::SearchSysCache1(id, pg_sys::Datum::from(operator));
        if tuple.is_null() {
            return None;
        }
        let schema = (*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_operator>()).oprnamespace;
        pg_sys::ReleaseSysCache(tuple);
        Some(schema)
    }
}
