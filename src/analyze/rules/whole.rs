//! SQL text of the whole query of a TVIEW, as population and recomputation run it.
//!
//! ORDER BY is kept out of storage (unless LIMIT needs it, or rows come from it). Queries that are folded get more columns, kept in state
//! attributes: the number of join rows behind the row, then the states of the aggregates.

use crate::analyze::describe::fold::Fold;
use crate::analyze::describe::recognise;
use crate::analyze::query::printed;
use crate::analyze::query::tree::{count_all, outputs};
use crate::pg::error::Result;
use crate::pg::tree::{Node, Query, Text, Tree, list, lsyscache, make, parser, server};
use pgrx::pg_sys;
use std::ffi::CString;
use tviews_core::model::Shape;

/// The SELECT whose columns are the output columns and then the state, if the query is folded.
pub fn with_state(query: Query, shape: &Shape, fold: Option<&Fold>) -> String {
    parser::text(computed(query, shape, fold))
}

/// Checks that the text of the same SELECT is read back as this SELECT: a query that cannot be written is refused when a TVIEW is made.
pub fn check(query: Query, shape: &Shape, fold: Option<&Fold>) -> Result<()> {
    printed::text(computed(query, shape, fold)).map(|_| ())
}

fn computed(query: Query, shape: &Shape, fold: Option<&Fold>) -> Query {
    let copy = query.copy();
    if copy.limitCount().is_null() && copy.limitOffset().is_null() && !copy.hasDistinctOn() && !sorts_by_sets(copy) {
        copy.set_sortClause(Tree::null());
    }
    if let Some(fold) = fold {
        if *shape == Shape::Distinct {
            copy.set_groupClause(copy.distinctClause());
            copy.set_distinctClause(Tree::null());
        }
        recognise::share(copy, fold);
        let next = outputs(copy).len() as i16 + 1;
        append(copy, next, count_all().cast(), 0);
        if fold.is_packed() {
            append(copy, next + 1, together(fold), 1);
        } else {
            for (i, state) in fold.states.iter().enumerate() {
                append(copy, next + 1 + i as i16, state.node.copy().cast(), i + 1);
            }
        }
        copy.set_hasAggs(true);
    }
    copy
}

/// Whether a set-returning function in ORDER BY makes rows.
fn sorts_by_sets(query: Query) -> bool {
    list::iter::<pg_sys::TargetEntry>(query.targetList())
        .any(|t| t.resjunk() && server::expression_returns_set(t.expr()))
}

/// Adds a state behind the output columns (before junk entries, whose numbers do not matter to the deparser).
fn append(q: Query, resno: i16, state: Node, number: usize) {
    let label = CString::new(format!("tviews_state_{number}")).unwrap_or_default();
    let tle = make::target(state.cast(), resno as usize, Text::of(&label), false);
    q.set_targetList(list::lappend(q.targetList(), tle.cast()));
}

/// All states of a group as one value, see refresh/follow/fold/packed.rs: `tviews.packed(ROW(…))`.
fn together(fold: &Fold) -> Node {
    let row = make::make::<pg_sys::RowExpr>();
    for (i, state) in fold.states.iter().enumerate() {
        let label = CString::new(format!("f{}", i + 1)).unwrap_or_default();
        row.set_args(list::lappend(row.args(), state.node.copy().cast()));
        row.set_colnames(list::lappend(row.colnames(), make::string(Text::of(&label))));
    }
    row.set_row_typeid(pg_sys::RECORDOID);
    row.set_row_format(pg_sys::CoercionForm::COERCE_EXPLICIT_CALL);
    row.set_location(-1);
    let name = list::of([c"tviews", c"packed"].map(|part| make::string(Text::of(part))));
    let function = lsyscache::LookupFuncName(name, &[pg_sys::RECORDOID], false);
    let none = pg_sys::InvalidOid;
    make::call(function, pg_sys::BYTEAOID, list::of([row]), none, none)
}
