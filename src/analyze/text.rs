//! SQL text of the whole query of a TVIEW, as population and recomputation run it.
//!
//! ORDER BY is kept out of storage (unless LIMIT needs it). Grouped and DISTINCT queries get one more column: the
//! number of join rows behind the row, kept in a state attribute.

use super::load::outputs;
use crate::pg::error::Result;
use crate::pg::ext;
use pgrx::pg_sys;
use std::ffi::CStr;
use tviews_core::model::Shape;

/// How many state attributes a TVIEW of this shape has.
pub fn state_columns(shape: &Shape) -> usize {
    match shape {
        Shape::Groups(_) | Shape::Distinct => 1,
        Shape::Rows | Shape::Opaque(_) => 0,
    }
}

/// The SELECT whose columns are the output columns and then the state.
///
/// # Safety
/// `query` is a valid stored query.
pub unsafe fn with_state(query: *mut pg_sys::Query, shape: &Shape) -> Result<String> {
    let copy = ext::copy(query);
    let q = &mut *copy;
    if q.limitCount.is_null() && q.limitOffset.is_null() && !q.hasDistinctOn {
        q.sortClause = std::ptr::null_mut();
    }
    if state_columns(shape) > 0 {
        if *shape == Shape::Distinct {
            q.groupClause = q.distinctClause;
            q.distinctClause = std::ptr::null_mut();
        }
        let next = outputs(copy).len() as i16;
        append_count(q, next);
    }
    Ok(CStr::from_ptr(pg_sys::pg_get_querydef(copy, false)).to_string_lossy().into_owned())
}

/// Adds `count(*)` behind the last output column (before junk entries, whose numbers do not matter to the deparser).
unsafe fn append_count(q: &mut pg_sys::Query, outputs: i16) {
    let count = pg_sys::palloc0(std::mem::size_of::<pg_sys::Aggref>()).cast::<pg_sys::Aggref>();
    (*count).xpr.type_ = pg_sys::NodeTag::T_Aggref;
    (*count).aggfnoid = pg_sys::Oid::from(pg_sys::F_COUNT_);
    (*count).aggtype = pg_sys::INT8OID;
    (*count).aggstar = true;
    (*count).aggkind = b'n' as _;
    (*count).aggsplit = pg_sys::AggSplit::AGGSPLIT_SIMPLE;
    (*count).aggno = -1;
    (*count).aggtransno = -1;
    (*count).location = -1;
    let tle = pg_sys::makeTargetEntry(count.cast(), outputs + 1, pg_sys::pstrdup(c"tviews_count".as_ptr()), false);
    q.targetList = pg_sys::lappend(q.targetList, tle.cast());
    q.hasAggs = true;
}
