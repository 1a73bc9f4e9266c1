//! Blocks of which every row has one value: all joins compare columns of which each relation has one.
//!
//! Invariant: what is said is so whatever the relations contain. Called by rules/common_value.rs, which says what follows from it, by the locks of values, and by split.

use crate::analyze::describe::Described;
use crate::analyze::query::conditions::conditions;
use crate::analyze::query::relations;
use crate::analyze::query::tree::type_of;
use crate::pg::tree::{Node, list, lsyscache, server, walk};
use pgrx::pg_sys;
use std::collections::{BTreeMap, BTreeSet};
use tviews_core::model::Col;

/// The column of each relation, by atom.
pub type Columns = BTreeMap<usize, i16>;

/// Whether the block has a FULL JOIN of a join: partners are found by expressions of columns then, for which there is no index.
pub fn is_chain(d: &Described) -> bool {
    let query = d.block.query;
    walk::walk(query.jointree().cast(), &mut |node| {
        list::is(node, pg_sys::NodeTag::T_JoinExpr) && {
            let join = node.cast::<pg_sys::JoinExpr>();
            let is_join = |side: Node| list::is(side, pg_sys::NodeTag::T_JoinExpr);
            join.jointype() == pg_sys::JoinType::JOIN_FULL && (is_join(join.larg()) || is_join(join.rarg()))
        }
    })
}

/// The columns, when the block is such a chain: of relations only, without sub-links.
pub fn common(d: &Described) -> Option<Columns> {
    let query = d.block.query;
    let atoms = &d.description.atoms;
    let has_links = walk::walk(query.cast(), &mut |n| list::is(n, pg_sys::NodeTag::T_SubLink));
    if has_links || atoms.iter().any(|a| a.relid.is_none()) || list::len(query.jointree().fromlist()) != 1 {
        return None;
    }
    let mut columns = Columns::new();
    compared(d, list::nth(query.jointree().fromlist(), 0), &mut columns)?;
    (columns.len() > 1 && columns.len() == atoms.len()).then_some(columns)
}

/// Adds the columns that a join and the joins below it compare, from above; None when there is one that compares no such columns.
fn compared(d: &Described, node: Node, columns: &mut Columns) -> Option<()> {
    if !list::is(node, pg_sys::NodeTag::T_JoinExpr) {
        return Some(());
    }
    let join = node.cast::<pg_sys::JoinExpr>();
    let side = |node: Node| {
        let mut found = Vec::new();
        relations::collect(node, &mut found);
        found.into_iter().flat_map(|i| d.block.atoms_of(i)).collect::<BTreeSet<usize>>()
    };
    let (left, right) = (side(join.larg()), side(join.rarg()));
    let all = conditions(server::flatten_join_aliases(d.block.query, join.quals()));
    let found = all.into_iter().find_map(|condition| {
        let (one, other) = equal(condition)?;
        let (one, other) = (parts(d, one)?, parts(d, other)?);
        let within = |of: &[Col], side: &BTreeSet<usize>| of.iter().all(|col| side.contains(&col.atom));
        let fits = within(&one, &left) && within(&other, &right) || within(&one, &right) && within(&other, &left);
        let mut known = columns.clone();
        let agree = one.into_iter().chain(other).all(|col| *known.entry(col.atom).or_insert(col.att) == col.att);
        (fits && agree).then_some(known)
    });
    *columns = found?;
    compared(d, join.larg(), columns)?;
    compared(d, join.rarg(), columns)
}

/// The sides of an equality of one type, by the operator that IN takes for it.
pub fn equal(condition: Node) -> Option<(Node, Node)> {
    if !list::is(condition, pg_sys::NodeTag::T_OpExpr) {
        return None;
    }
    let op = condition.cast::<pg_sys::OpExpr>();
    if list::len(op.args()) != 2 {
        return None;
    }
    let (one, other) = (list::nth::<pg_sys::Node>(op.args(), 0), list::nth::<pg_sys::Node>(op.args(), 1));
    let of = type_of(one).0;
    let is_equality = of == type_of(other).0
        && type_of(one).2 == type_of(other).2
        && op.opno() == lsyscache::operators(of).equal
        && lsyscache::op_mergejoinable(op.opno(), of)
        && (op.inputcollid() == pg_sys::InvalidOid || lsyscache::get_collation_isdeterministic(op.inputcollid()));
    is_equality.then_some((one, other))
}

/// A column, or the columns of COALESCE.
fn parts(d: &Described, node: Node) -> Option<Vec<Col>> {
    if list::is(node, pg_sys::NodeTag::T_CoalesceExpr) {
        let args = list::iter::<pg_sys::Node>(node.cast::<pg_sys::CoalesceExpr>().args());
        return args.map(|arg| parts(d, arg)).collect::<Option<Vec<_>>>().map(|all| all.concat());
    }
    if !list::is(node, pg_sys::NodeTag::T_Var) {
        return None;
    }
    let col = d.block.resolve(node.cast())?;
    // A sub-query may show it under another type's name.
    let relid = pg_sys::Oid::from(d.description.atoms[col.atom].relid?);
    (lsyscache::get_atttypetypmodcoll(relid, col.att).0 == type_of(node).0).then(|| vec![col])
}
