//! The SQL of a query tree, by the server's own deparser.
//!
//! Invariant: the text, read again under the same search path, is the same query; analysis checks this (analyze/query/printed.rs). Some trees get
//! another form first. Before 18 a trick is needed: the server leaves out the names of tables
//! when a query has only one, and then a column that is ordered by is taken for an output column of that name.
//! Called by everything that makes SQL of an edited query. Source: utils/adt/ruleutils.c, get_query_def.

use super::{cycle_marks, ext, named_row, row_comparison};
use pgrx::pg_sys;
use std::ffi::CStr;

/// The text of a query, which is left as it is.
///
/// # Safety
/// `query` is valid.
pub unsafe fn text(query: *mut pg_sys::Query) -> String {
    // SAFETY: `query` is valid, as the caller promises.
    unsafe { printed(query).1 }
}

/// The tree that is printed for a query, the same one in another form, and its text.
///
/// # Safety
/// `query` is valid.
pub unsafe fn printed(query: *mut pg_sys::Query) -> (*mut pg_sys::Query, String) {
    // SAFETY: `query` is valid, as the caller promises.
    unsafe {
        let tree = ext::copy(query);
        row_comparison::lead(tree);
        let tree = named_row::select(tree);
        let copy = ext::copy(tree);
        cycle_marks::bare(copy);
        #[cfg(not(feature = "since_18"))]
        qualify(copy);
        (tree, CStr::from_ptr(pg_sys::pg_get_querydef(copy, false)).to_string_lossy().into_owned())
    }
}

/// Gives the query a second item in its range table, which its FROM clause does not use.
///
/// # Safety
/// `query` is a copy that nobody else sees; the new node lives in the current context.
#[cfg(not(feature = "since_18"))]
unsafe fn qualify(query: *mut pg_sys::Query) {
    // SAFETY: `query` is a copy that nobody else sees; the new node lives in the current context.
    unsafe {
        // VALUES alone is written as VALUES only when nothing else is in the range table.
        if super::list::len((*query).rtable) != 1
            || (*super::list::nth::<pg_sys::RangeTblEntry>((*query).rtable, 0)).rtekind == pg_sys::RTEKind::RTE_VALUES
        {
            return;
        }
        let unused = pg_sys::palloc0(std::mem::size_of::<pg_sys::RangeTblEntry>()).cast::<pg_sys::RangeTblEntry>();
        (*unused).type_ = pg_sys::NodeTag::T_RangeTblEntry;
        (*unused).rtekind = pg_sys::RTEKind::RTE_RESULT;
        (*unused).eref = pg_sys::makeAlias(c"unused".as_ptr(), std::ptr::null_mut());
        (*query).rtable = pg_sys::lappend((*query).rtable, unused.cast());
    }
}
