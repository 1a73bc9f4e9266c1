//! SQL text of the whole query of a TVIEW, as population and recomputation run it.
//!
//! ORDER BY is kept out of storage (unless LIMIT needs it, or rows come from it). Queries that are folded get more columns, kept in state
//! attributes: the number of join rows behind the row, then the states of the aggregates.

use crate::analyze::describe::fold::Fold;
use crate::analyze::query::printed;
use crate::analyze::query::tree::{count_all, outputs};
use crate::pg::error::Result;
use crate::pg::ext::{self, make};
use crate::pg::{deparse, list};
use pgrx::pg_sys;
use std::ffi::CString;
use tviews_core::model::Shape;

/// The SELECT whose columns are the output columns and then the state, if the query is folded.
///
/// # Safety
/// `query` is a valid stored query.
pub unsafe fn with_state(query: *mut pg_sys::Query, shape: &Shape, fold: Option<&Fold>) -> String {
    // SAFETY: `query` is a valid stored query, as the caller promises.
    unsafe { deparse::text(computed(query, shape, fold)) }
}

/// The same, which must be read as what it is: a query that cannot be written is refused when a TVIEW is made.
///
/// # Safety
/// As for `with_state`.
pub unsafe fn check(query: *mut pg_sys::Query, shape: &Shape, fold: Option<&Fold>) -> Result<()> {
    // SAFETY: `query` is a valid stored query, as the caller promises.
    unsafe { printed::text(computed(query, shape, fold)).map(|_| ()) }
}

unsafe fn computed(query: *mut pg_sys::Query, shape: &Shape, fold: Option<&Fold>) -> *mut pg_sys::Query {
    // SAFETY: `query` is a live tree of the server.
    unsafe {
        let copy = ext::copy(query);
        let q = &mut *copy;
        if q.limitCount.is_null() && q.limitOffset.is_null() && !q.hasDistinctOn && !sorts_by_sets(copy) {
            q.sortClause = std::ptr::null_mut();
        }
        if let Some(fold) = fold {
            if *shape == Shape::Distinct {
                q.groupClause = q.distinctClause;
                q.distinctClause = std::ptr::null_mut();
            }
            let next = outputs(copy).len() as i16 + 1;
            append(q, next, count_all().cast(), 0);
            if fold.is_packed() {
                append(q, next + 1, together(fold), 1);
            } else {
                for (i, state) in fold.states.iter().enumerate() {
                    append(q, next + 1 + i as i16, ext::copy(state.node).cast(), i + 1);
                }
            }
            q.hasAggs = true;
        }
        copy
    }
}

/// Whether a set-returning function in ORDER BY makes rows.
unsafe fn sorts_by_sets(query: *mut pg_sys::Query) -> bool {
    // SAFETY: the nodes are live ones of a tree of the server.
    unsafe {
        list::iter::<pg_sys::TargetEntry>((*query).targetList)
            .any(|t| (*t).resjunk && pg_sys::expression_returns_set((*t).expr.cast()))
    }
}

/// Adds a state behind the output columns (before junk entries, whose numbers do not matter to the deparser).
unsafe fn append(q: &mut pg_sys::Query, resno: i16, state: *mut pg_sys::Node, number: usize) {
    // SAFETY: `q` and `state` are live nodes of a tree of the server.
    unsafe {
        let label = CString::new(format!("tviews_state_{number}")).unwrap_or_default();
        let tle = pg_sys::makeTargetEntry(state.cast(), resno, pg_sys::pstrdup(label.as_ptr()), false);
        q.targetList = pg_sys::lappend(q.targetList, tle.cast());
    }
}

/// All states of a group as one value, see refresh/follow/fold/packed.rs: `tviews.packed(ROW(…))`.
unsafe fn together(fold: &Fold) -> *mut pg_sys::Node {
    // SAFETY: makes new nodes in the current context.
    unsafe {
        let row = make::<pg_sys::RowExpr>(pg_sys::NodeTag::T_RowExpr);
        for (i, state) in fold.states.iter().enumerate() {
            let label = CString::new(format!("f{}", i + 1)).unwrap_or_default();
            (*row).args = pg_sys::lappend((*row).args, ext::copy(state.node).cast());
            (*row).colnames =
                pg_sys::lappend((*row).colnames, pg_sys::makeString(pg_sys::pstrdup(label.as_ptr())).cast());
        }
        (*row).row_typeid = pg_sys::RECORDOID;
        (*row).row_format = pg_sys::CoercionForm::COERCE_EXPLICIT_CALL;
        (*row).location = -1;
        let name = [c"tviews", c"packed"].into_iter().fold(std::ptr::null_mut(), |names, part| {
            pg_sys::lappend(names, pg_sys::makeString(part.as_ptr().cast_mut()).cast())
        });
        let function = pg_sys::LookupFuncName(name, 1, &pg_sys::RECORDOID, false);
        let args = pg_sys::lappend(std::ptr::null_mut(), row.cast());
        let none = pg_sys::InvalidOid;
        pg_sys::makeFuncExpr(function, pg_sys::BYTEAOID, args, none, none, pg_sys::CoercionForm::COERCE_EXPLICIT_CALL)
            .cast()
    }
}
