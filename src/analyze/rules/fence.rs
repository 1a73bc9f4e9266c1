//! The form of a delta for few rows: conditions that the planner would evaluate too early are kept above the join.
//!
//! `x NOT IN (SELECT …)` reads its sub-query into a hash table. As a condition on one table it is evaluated where the
//! table is read, and the planner counts the cost of filling that hash table once for each row by which the table is looked up
//! (costsize.c: the start-up cost of a hashed sub-plan is in every rescan), so that it prefers to read the whole table.
//! Behind a sub-query with OFFSET 0 the condition is tested for rows of the join.
//! Invariant: the same rows; expressions of the targets are computed for no other rows than before. Called by delta.

use crate::analyze::query::conditions::conjunction;
use crate::analyze::query::{printed, tree};
use crate::analyze::rules::lift;
use crate::pg::tree::{List, Node, Query, TargetEntry, Text, Tree, Var, list, make, server, walk};
use pgrx::pg_sys;
use std::ffi::CString;

/// The text of a query of FROM, WHERE and targets with such conditions kept apart; None when there are none.
pub fn text(query: Query) -> Option<String> {
    let has_link = |t: TargetEntry| server::checkExprHasSubLink(t.expr());
    if !query.hasSubLinks() || !query.cteList().is_null() || list::iter(query.targetList()).any(has_link) {
        return None;
    }
    let from = query.jointree();
    let all = list::iter::<pg_sys::Node>(server::make_ands_implicit(from.quals()));
    let (late, early): (Vec<_>, Vec<_>) = all.partition(|c| is_hashed(*c));
    if late.is_empty() {
        return None;
    }
    let targets: Vec<_> = list::iter::<pg_sys::TargetEntry>(query.targetList()).collect();
    let mut shown = Shown(Vec::new());
    let mut above: List = Tree::null();
    for tle in targets {
        tle.set_expr(shown.rewrite(tle.expr())?.cast());
        above = list::lappend(above, tle.cast());
    }
    let late = late.into_iter().map(|c| shown.rewrite(c)).collect::<Option<Vec<_>>>()?;
    query.set_targetList(shown.targets());
    from.set_quals(conjunction(early));
    query.set_limitOffset(tree::constant(0));
    let outer = make::make::<pg_sys::Query>();
    outer.set_commandType(pg_sys::CmdType::CMD_SELECT);
    outer.set_canSetTag(true);
    outer.set_hasSubLinks(true);
    outer.set_jointree(make::from(Tree::null(), conjunction(late)));
    outer.set_targetList(above);
    lift::add_item(outer, query);
    printed::text(outer).ok()
}

/// Whether a condition compares with all rows of a sub-query that the planner cannot make a join of.
fn is_hashed(condition: Node) -> bool {
    let is_link = |n: Node| list::is(n, pg_sys::NodeTag::T_SubLink);
    let (mut any, mut correlated) = (false, false);
    walk::walk(condition, &mut |n| {
        if is_link(n) {
            let link = n.cast::<pg_sys::SubLink>();
            any |= link.subLinkType() == pg_sys::SubLinkType::ANY_SUBLINK;
            correlated |= server::contain_vars_of_level(link.subselect(), 1);
        }
        false
    });
    any && !correlated && !is_link(condition)
}

/// The columns that a sub-query has to show.
struct Shown(Vec<Var>);

impl Shown {
    /// An expression over the sub-query; None when the expression needs a whole row.
    fn rewrite(&mut self, node: Node) -> Option<Node> {
        let mut known = true;
        let out = walk::rewrite(node, &mut |n| {
            if !list::is(n, pg_sys::NodeTag::T_Var) {
                return None;
            }
            let var = n.cast::<pg_sys::Var>();
            known &= var.varattno() > 0 && var.varlevelsup() == 0;
            let v = var;
            let at = self.0.iter().position(|s| s.varno() == v.varno() && s.varattno() == v.varattno());
            let at = at.unwrap_or_else(|| {
                self.0.push(var);
                self.0.len() - 1
            });
            Some(make::var(1, at as i16 + 1, (v.vartype(), v.vartypmod(), v.varcollid()), 0).cast())
        });
        known.then_some(out)
    }

    fn targets(&self) -> List {
        let mut targets: List = Tree::null();
        for (i, var) in self.0.iter().enumerate() {
            let label = CString::new(format!("c{}", i + 1)).unwrap_or_default();
            let tle = make::target(var.cast(), i + 1, Text::of(&label), false);
            targets = list::lappend(targets, tle.cast());
        }
        targets
    }
}
