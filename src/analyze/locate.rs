//! Where a relation stands in the text of a statement: analysed range table entries have lost that.
//!
//! The statement's text is parsed once more and searched for the name. Called only when a relation is refused.

use crate::pg::{ext, list};
use pgrx::{pg_guard, pg_sys};
use std::ffi::{c_char, c_void};

struct Search {
    relid: pg_sys::Oid,
    found: i32,
}

/// Byte offset of the first mention of `relid` in `source`, or -1.
///
/// # Safety
/// `source` is null or the text of the statement being executed.
pub unsafe fn relation(source: *const c_char, relid: pg_sys::Oid) -> i32 {
    if source.is_null() {
        return -1;
    }
    let mut search = Search { relid, found: -1 };
    for raw in list::iter::<pg_sys::RawStmt>(pg_sys::raw_parser(source, pg_sys::RawParseMode::RAW_PARSE_DEFAULT)) {
        let statement = (*raw).stmt;
        let query = if list::is(statement, pg_sys::NodeTag::T_CreateTableAsStmt) {
            (*statement.cast::<pg_sys::CreateTableAsStmt>()).query
        } else if list::is(statement, pg_sys::NodeTag::T_SelectStmt) {
            statement
        } else {
            continue;
        };
        if step(query, (&mut search as *mut Search).cast()) {
            break;
        }
    }
    search.found
}

#[pg_guard]
unsafe extern "C-unwind" fn step(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    if node.is_null() {
        return false;
    }
    let search = &mut *context.cast::<Search>();
    if (*node).type_ == pg_sys::NodeTag::T_RangeVar {
        let var = node.cast::<pg_sys::RangeVar>();
        let relid = pg_sys::RangeVarGetRelidExtended(
            var,
            pg_sys::NoLock as i32,
            pg_sys::RVROption::RVR_MISSING_OK,
            None,
            std::ptr::null_mut(),
        );
        if relid == search.relid {
            search.found = (*var).location;
            return true;
        }
        return false;
    }
    ext::raw_expression_tree_walker(node, Some(step), context)
}
