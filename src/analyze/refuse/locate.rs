//! Where a refused construct stands in the text of a statement: analysed trees have lost the position of some constructs.
//!
//! The statement's text is parsed once more and searched. Called only when a query is refused.

use crate::pg::callback;
use crate::pg::tree::walk::{self, Next};
use crate::pg::tree::{Node, Tree, list, parser};
use pgrx::pg_sys;

/// The construct to look for.
#[derive(Clone, Copy)]
pub enum Construct {
    /// The first mention of a relation.
    Relation(pg_sys::Oid),
    TableSample,
    /// The table that FOR UPDATE or FOR SHARE would lock.
    Locked,
}

/// Byte offset of the construct in the text of the statement, or -1.
pub fn find(wanted: Construct) -> i32 {
    let source = callback::source_text();
    if source.is_null() {
        return -1;
    }
    let mut found = -1;
    for raw in list::iter::<pg_sys::RawStmt>(parser::raw_parser(source)) {
        let statement = raw.stmt();
        let query = if list::is(statement, pg_sys::NodeTag::T_CreateTableAsStmt) {
            statement.cast::<pg_sys::CreateTableAsStmt>().query()
        } else if list::is(statement, pg_sys::NodeTag::T_SelectStmt) {
            statement
        } else {
            continue;
        };
        if walk::walk_raw(query, &mut |node| look(node, wanted, &mut found)) {
            break;
        }
    }
    found
}

fn look(node: Node, wanted: Construct, found: &mut i32) -> Next {
    match (node.tag(), wanted) {
        (pg_sys::NodeTag::T_RangeVar, Construct::Relation(relid)) => {
            let var = node.cast::<pg_sys::RangeVar>();
            let flags = pg_sys::RVROption::RVR_MISSING_OK;
            let lock = pg_sys::NoLock as i32;
            // SAFETY: looks a name up.
            let named = unsafe { pg_sys::RangeVarGetRelidExtended(var.raw(), lock, flags, None, std::ptr::null_mut()) };
            if named == relid {
                *found = var.location();
                return Next::Stop;
            }
            Next::Beside
        }
        (pg_sys::NodeTag::T_RangeTableSample, Construct::TableSample) => {
            *found = node.cast::<pg_sys::RangeTableSample>().location();
            Next::Stop
        }
        (pg_sys::NodeTag::T_SelectStmt, Construct::Locked) => {
            let select = node.cast::<pg_sys::SelectStmt>();
            if select.lockingClause().is_null() {
                return Next::Below;
            }
            *found = locked(select);
            Next::Stop
        }
        (pg_sys::NodeTag::T_RangeVar, _) => Next::Beside,
        _ => Next::Below,
    }
}

fn locked(select: Tree<pg_sys::SelectStmt>) -> i32 {
    let clause = list::nth::<pg_sys::LockingClause>(select.lockingClause(), 0);
    let named = list::iter::<pg_sys::Node>(clause.lockedRels()).chain(list::iter(select.fromClause()));
    for node in named {
        if list::is(node, pg_sys::NodeTag::T_RangeVar) {
            return node.cast::<pg_sys::RangeVar>().location();
        }
    }
    -1
}
