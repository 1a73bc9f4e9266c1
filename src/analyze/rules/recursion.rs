//! Where the changes of a recursive query begin.
//!
//! A row of r comes over a chain of rows, each made from the one before by the step, the first by the base. When a chain is there in one state and not in
//! the other, some link of it was made with a changed row; behind the last such link the chain is there in both states. So the rows that can differ are those
//! that a changed row makes from the base, or by the step from a row of r, and all that the step makes from these now. The first of them are found here, as dirty
//! keys are; refresh/plan/recursion.rs has the SQL that goes on from there.
//! Invariant: a superset of the rows of base and step, r being what it was, that differ between the two states. Called by refresh.

use crate::analyze::describe::KeyOf;
use crate::analyze::query::recursion::{Own, Recursion};
use crate::analyze::query::tree::{is_plain, outputs, type_of};
use crate::analyze::rules::dirty::{self, Beside, Terms};
use crate::analyze::rules::lift;
use crate::pg::error::Result;
use crate::pg::tree::{List, Query, Tree, list, make, server};
use pgrx::pg_sys;
use std::collections::BTreeSet;
use tviews_core::reason::Reason;

/// Terms for the places of base and step that read one of `changed`; the step reads `own` in the place of r. One column for each position of `key`.
pub fn seeds(
    recursion: &Recursion,
    own: Own,
    key: &[usize],
    changed: &BTreeSet<u32>,
    key_of: KeyOf,
) -> Result<std::result::Result<Terms, Reason>> {
    let mut all = Terms::default();
    let step = recursion.step_over(own);
    for query in recursion.bases.iter().map(|base| readable(*base)).chain([step]) {
        if !lift::reads(query.cast(), changed) {
            continue;
        }
        match dirty::terms(query, key, changed, Beside::Deleted, key_of)? {
            Err(why) => return Ok(Err(why)),
            Ok(terms) => {
                all.selects.extend(terms.selects);
                all.gates.extend(terms.gates);
                all.occurrences += terms.occurrences;
            }
        }
    }
    Ok(Ok(all))
}

/// A query with another in its FROM clause, when that does more than join, filter and project: changes are looked for inside of items.
fn readable(base: Query) -> Query {
    if is_plain(base) {
        return base.copy();
    }
    let query = make::make::<pg_sys::Query>();
    query.set_commandType(pg_sys::CmdType::CMD_SELECT);
    query.set_canSetTag(true);
    query.set_jointree(make::make::<pg_sys::FromExpr>());
    let index = lift::add_item(query, base.copy());
    server::rt_fetch(index, query).set_lateral(false);
    let mut targets: List = Tree::null();
    for (i, tle) in outputs(base).into_iter().enumerate() {
        let var = make::var(index as i32, i as i16 + 1, type_of(tle.expr()), 0);
        targets = list::lappend(targets, make::target(var.cast(), i + 1, tle.resname(), false).cast());
    }
    query.set_targetList(targets);
    query
}
