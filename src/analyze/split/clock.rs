//! The clock as a relation with one row: each expression of the clock alone is a sub-query with one value.
//!
//! `WHERE at > now() - interval '1 day'` is `WHERE at > (SELECT max(now() - interval '1 day'))`, of which `values` makes a stage. A refresh computes the
//! stage anew, and its change, from the old value to the new one, is followed like that of any other value: by the rows between the two.
//! What has no largest value, or reads columns beside the clock, stays; then the TVIEW itself reads the clock, and each refresh computes it anew.
//! Invariant: the same query gives the same sub-queries. Called by the splitter, before everything else.

use crate::analyze::query::call::Call;
use crate::analyze::query::clock;
use crate::pg::tree::{Node, Query, Text, Tree, list, lsyscache, make, server, walk};
use pgrx::pg_sys;

pub fn rewrite(query: Query) {
    // Such a sub-query as a stage of its own stays as it is.
    if !clock::reads(query.cast()) || is_value(query) {
        return;
    }
    let mut blocks = vec![];
    walk::walk(query.cast(), &mut |node| {
        if list::is(node, pg_sys::NodeTag::T_Query) {
            blocks.push(node.cast::<pg_sys::Query>());
        }
        false
    });
    // From below: a block above gets copies of sub-queries that have been rewritten.
    for block in blocks.into_iter().rev() {
        let from = block.jointree();
        if !from.is_null() {
            block.set_jointree(walk::rewrite(from.cast(), &mut value).cast());
        }
        for target in list::iter::<pg_sys::TargetEntry>(block.targetList()) {
            if target.ressortgroupref() == 0 {
                target.set_expr(walk::rewrite(target.expr(), &mut value));
            }
        }
        block.set_hasSubLinks(!walk::links(block).is_empty());
    }
}

/// Whether a sub-query is one that `rewrite` has made: it reads no relation, and has one row.
pub fn is_value(sub: Query) -> bool {
    // Before 16 a stored query lists two relations that it does not read.
    let from = sub.jointree();
    sub.hasAggs()
        && (from.is_null() || from.fromlist().is_null())
        && sub.groupClause().is_null()
        && clock::reads(sub.cast())
}

/// The sub-query for an expression of the clock alone.
fn value(node: Node) -> Option<Node> {
    use pg_sys::NodeTag::*;
    if !matches!(node.tag(), T_FuncExpr | T_OpExpr | T_SQLValueFunction | T_RelabelType | T_CoerceViaIO)
        || !clock::reads(node)
    {
        return None;
    }
    let depends = walk::walk(node, &mut |n| {
        matches!(n.tag(), T_Var | T_Param | T_Aggref | T_WindowFunc | T_SubLink | T_GroupingFunc)
    });
    if depends {
        return None;
    }
    let typid = server::exprType(node);
    let names = list::of([c"pg_catalog", c"max"].map(|part| make::string(Text::of(part))));
    let largest = lsyscache::LookupFuncName(names, &[typid], true);
    if largest == pg_sys::InvalidOid {
        return None;
    }
    let call = Call { function: largest.to_u32(), result: typid, argument: node };
    let sub = make::make::<pg_sys::Query>();
    sub.set_commandType(pg_sys::CmdType::CMD_SELECT);
    sub.set_canSetTag(true);
    sub.set_hasAggs(true);
    sub.set_jointree(make::from(Tree::null(), Tree::null()));
    let target = make::target(call.node(), 1, Text::of(c"clock"), false);
    sub.set_targetList(list::lappend(Tree::null(), target.cast()));
    let link = make::make::<pg_sys::SubLink>();
    link.set_subLinkType(pg_sys::SubLinkType::EXPR_SUBLINK);
    link.set_subselect(sub.cast());
    link.set_location(-1);
    Some(link.cast())
}
