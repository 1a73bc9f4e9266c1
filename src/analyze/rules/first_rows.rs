//! The SELECT of the place that the first one of the changed rows has, or had, in the order of a query with LIMIT.
//!
//! The query becomes one over the old and new images of the changed rows, shows what rows are ordered by, and has one row. A change of rows that
//! all come behind the last row that is shown does not concern the rows that are shown, nor how many there are.
//! Invariant: a row of the query, before or after the change, that is not there on the other side comes no earlier than the result.
//! Called by refresh/plan.

use crate::analyze::describe::first_rows::only_relation;
use crate::analyze::query::{printed, relations};
use crate::analyze::rules::change_rows::replace_by;
use crate::pg::error::Result;
use crate::pg::fault::{self, Fault};
use crate::pg::tree::{List, Query, Tree, list, make, server};
use pgrx::pg_sys;
use tviews_core::reason::Reason;

/// One row, or none when no changed row passes the conditions: the columns of ORDER BY, in its order.
pub fn first_changed(query: Query) -> Result<std::result::Result<String, Reason>> {
    let copy = query.copy();
    let Some((block, index)) = only_relation(copy) else { return Ok(Err(Reason::Limit)) };
    let mut targets: List = Tree::null();
    for clause in list::iter::<pg_sys::SortGroupClause>(copy.sortClause()) {
        let tle = server::get_sortgroupref_tle(clause.tleSortGroupRef(), copy.targetList());
        tle.set_resno(list::len(targets) as i16 + 1);
        tle.set_resjunk(false);
        targets = list::lappend(targets, tle.cast());
    }
    copy.set_targetList(targets);
    if relations::reads_whole_row(block, index) {
        return Ok(Err(Reason::WholeRow));
    }
    let rows = if fault::on(Fault::SkipLeaving) { "inserted" } else { "changed" };
    replace_by(server::rt_fetch(index, block), rows)?;
    copy.set_limitCount(make::int8(1));
    copy.set_limitOffset(Tree::null());
    copy.set_limitOption(pg_sys::LimitOption::LIMIT_OPTION_COUNT);
    printed::or_why(printed::text(copy).map(Ok))
}
