//! The query of a TVIEW: as stored, and with the views it reads expanded.
//!
//! Source: commands/matview.c (the one rule of a matview), rewrite/rewriteHandler.c.

#[cfg(feature = "since_19")]
use crate::analyze::query::json_arrays;
#[cfg(feature = "since_18")]
use crate::analyze::query::virtual_columns;
use crate::analyze::query::{
    grouping_sets, joins, lateral_values, limits, not_in, pulled_up, row_types, search_cycle, select_list, view_rows,
};
use crate::pg::error::{Error, Result};
use crate::pg::relation::Relation;
use crate::pg::tree::{List, Query, Tree, list, walk};
use pgrx::pg_sys;

/// A copy of the stored defining query of a materialized view, in the form in which it is written.
pub fn stored(rel: &Relation) -> Result<Query> {
    // SAFETY: rules belong to the open relation, and the action is copied.
    let actions: List = unsafe {
        let rules = (*rel.raw()).rd_rules;
        if rules.is_null() || (*rules).numLocks < 1 {
            return Err(Error::Internal(format!("relation {} has no rule", rel.oid().to_u32())));
        }
        Tree::new((**(*rules).rules).actions)
    };
    if list::len(actions) != 1 {
        return Err(Error::Internal("a materialized view has more than one action".into()));
    }
    let query = list::nth::<pg_sys::Query>(actions, 0).copy();
    written(query);
    Ok(query)
}

/// A copy of `query` in the form in which it is written.
pub fn plain(query: Query) -> Query {
    let copy = query.copy();
    written(copy);
    copy
}

/// Gives a query, in place, a form that its text keeps.
fn written(query: Query) {
    #[cfg(feature = "since_19")]
    json_arrays::spell_out(query);
    joins::plain(query);
    row_types::complete(query);
    grouping_sets::tell_apart(query);
}

/// A copy of `query` in which views are sub-queries, and virtual columns are expressions.
pub fn expand(query: Query) -> Result<Query> {
    let copy = query.copy();
    // SAFETY: a private copy.
    unsafe { pg_sys::AcquireRewriteLocks(copy.raw(), true, false) };
    let clauses = Clauses::take(copy);
    // SAFETY: a private copy, whose relations are locked.
    let rewritten: List = unsafe { Tree::new(pg_sys::QueryRewrite(copy.raw())) };
    if list::len(rewritten) != 1 {
        return Err(Error::unsupported("query is rewritten by a rule", -1, "Only plain SELECT can be maintained."));
    }
    let expanded = list::nth(rewritten, 0);
    clauses.put_back(expanded)?;
    view_rows::spell_out(expanded);
    written(expanded);
    #[cfg(feature = "since_18")]
    virtual_columns::spell_out(expanded)?;
    limits::compute(expanded);
    not_in::spell_out(expanded);
    pulled_up::pull_up(expanded);
    lateral_values::spell_out(expanded);
    select_list::move_to_from(expanded);
    search_cycle::spell_out(expanded);
    Ok(expanded)
}

/// SEARCH and CYCLE of the recursive queries in a query. The server would rewrite the clauses together with the views, to a form
/// that cannot be written (rewriteSearchCycle.c), and leave the clauses where they are.
struct Clauses(Vec<(Tree<pg_sys::CommonTableExpr>, Tree<pg_sys::CTESearchClause>, Tree<pg_sys::CTECycleClause>)>);

impl Clauses {
    fn take(query: Query) -> Clauses {
        let mut taken = Vec::new();
        each_with(query, &mut |cte| {
            taken.push((cte, cte.search_clause(), cte.cycle_clause()));
            cte.set_search_clause(Tree::null());
            cte.set_cycle_clause(Tree::null());
        });
        Clauses(taken)
    }

    /// Puts the clauses back. Clauses that are still there come from views, and are refused.
    fn put_back(self, query: Query) -> Result<()> {
        let mut rewritten = false;
        each_with(query, &mut |cte| rewritten |= !cte.search_clause().is_null() || !cte.cycle_clause().is_null());
        if rewritten {
            return Err(Error::unsupported(
                "SEARCH and CYCLE in a view cannot be maintained",
                -1,
                "Write the recursive query in the query of the TVIEW.",
            ));
        }
        for (cte, search, cycle) in self.0 {
            cte.set_search_clause(search);
            cte.set_cycle_clause(cycle);
        }
        Ok(())
    }
}

fn each_with(query: Query, f: &mut dyn FnMut(Tree<pg_sys::CommonTableExpr>)) {
    walk::walk(query.cast(), &mut |n| {
        if list::is(n, pg_sys::NodeTag::T_CommonTableExpr) {
            f(n.cast());
        }
        false
    });
}
