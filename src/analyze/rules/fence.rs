//! The form of a delta for few rows: what the planner would evaluate too early is kept above the join.
//!
//! `x NOT IN (SELECT …)` reads its sub-query into a hash table. As a condition on one table it is evaluated where the
//! table is read, and the planner counts the cost of filling that hash table once for each row by which the table is looked up
//! (costsize.c: the start-up cost of a hashed sub-plan is in every rescan), so that it prefers to read the whole table.
//! Behind a sub-query with OFFSET 0 the condition is tested for rows of the join.
//! Invariant: the same rows; expressions of the targets are computed for no other rows than before. Called by delta.

use crate::analyze::query::conditions::conjunction;
use crate::analyze::query::{printed, tree};
use crate::analyze::rules::lift;
use crate::pg::ext::make;
use crate::pg::{list, walk};
use pgrx::pg_sys;
use std::ffi::CString;

/// The text of a query of FROM, WHERE and targets with such conditions kept apart; None without any.
///
/// # Safety
/// `query` is a private copy.
pub unsafe fn text(query: *mut pg_sys::Query) -> Option<String> {
    // SAFETY: `query` is a private copy, as the caller promises.
    unsafe {
        let q = &mut *query;
        let has_link = |t: *mut pg_sys::TargetEntry| pg_sys::checkExprHasSubLink((*t).expr.cast());
        if !q.hasSubLinks || !q.cteList.is_null() || list::iter(q.targetList).any(has_link) {
            return None;
        }
        let from = q.jointree;
        let all = list::iter::<pg_sys::Node>(pg_sys::make_ands_implicit((*from).quals.cast()));
        let (late, early): (Vec<_>, Vec<_>) = all.partition(|c| is_hashed(*c));
        if late.is_empty() {
            return None;
        }
        let targets: Vec<_> = list::iter::<pg_sys::TargetEntry>(q.targetList).collect();
        let mut shown = Shown(Vec::new());
        let mut above: *mut pg_sys::List = std::ptr::null_mut();
        for tle in targets {
            (*tle).expr = shown.rewrite((*tle).expr.cast())?.cast();
            above = pg_sys::lappend(above, tle.cast());
        }
        let late = late.into_iter().map(|c| shown.rewrite(c)).collect::<Option<Vec<_>>>()?;
        q.targetList = shown.targets();
        (*from).quals = conjunction(early);
        q.limitOffset = tree::constant(0);
        let outer = make::<pg_sys::Query>(pg_sys::NodeTag::T_Query);
        (*outer).commandType = pg_sys::CmdType::CMD_SELECT;
        (*outer).canSetTag = true;
        (*outer).hasSubLinks = true;
        (*outer).jointree = pg_sys::makeFromExpr(std::ptr::null_mut(), conjunction(late));
        (*outer).targetList = above;
        lift::add_item(outer, query);
        printed::text(outer).ok()
    }
}

/// Whether a condition compares with all rows of a sub-query that the planner cannot make a join of.
unsafe fn is_hashed(condition: *mut pg_sys::Node) -> bool {
    // SAFETY: `condition` is a live node of a tree of the server.
    unsafe {
        let is_link = |n: *mut pg_sys::Node| list::is(n, pg_sys::NodeTag::T_SubLink);
        let (mut any, mut correlated) = (false, false);
        walk::walk(condition, &mut |n| {
            if is_link(n) {
                let link = n.cast::<pg_sys::SubLink>();
                any |= (*link).subLinkType == pg_sys::SubLinkType::ANY_SUBLINK;
                correlated |= pg_sys::contain_vars_of_level((*link).subselect, 1);
            }
            false
        });
        any && !correlated && !is_link(condition)
    }
}

/// The columns that a sub-query has to show.
struct Shown(Vec<*mut pg_sys::Var>);

impl Shown {
    /// An expression over the sub-query; None when it needs a whole row.
    unsafe fn rewrite(&mut self, node: *mut pg_sys::Node) -> Option<*mut pg_sys::Node> {
        // SAFETY: `node` is a live node of a tree of the server.
        unsafe {
            let mut known = true;
            let out = walk::rewrite(node, &mut |n| {
                if !list::is(n, pg_sys::NodeTag::T_Var) {
                    return None;
                }
                let var = n.cast::<pg_sys::Var>();
                known &= (*var).varattno > 0 && (*var).varlevelsup == 0;
                let v = &*var;
                let at = self.0.iter().position(|s| (**s).varno == v.varno && (**s).varattno == v.varattno);
                let at = at.unwrap_or_else(|| {
                    self.0.push(var);
                    self.0.len() - 1
                });
                Some(pg_sys::makeVar(1, at as i16 + 1, v.vartype, v.vartypmod, v.varcollid, 0).cast())
            });
            known.then_some(out)
        }
    }

    unsafe fn targets(&self) -> *mut pg_sys::List {
        // SAFETY: the query of the fence is alive as long as the fence.
        unsafe {
            let mut targets: *mut pg_sys::List = std::ptr::null_mut();
            for (i, var) in self.0.iter().enumerate() {
                let label = CString::new(format!("c{}", i + 1)).unwrap_or_default();
                let tle = pg_sys::makeTargetEntry(var.cast(), i as i16 + 1, pg_sys::pstrdup(label.as_ptr()), false);
                targets = pg_sys::lappend(targets, tle.cast());
            }
            targets
        }
    }
}
