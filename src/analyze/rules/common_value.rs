//! The weighted rows by which a chain of outer joins changes that compare one value: FULL JOINs of several tables by the same column.
//!
//! Let every join compare, for equality, columns of which each relation has one, or the first of several that is not NULL. Then a row of the block has one
//! value in the columns of all relations that are in it, and rows with value v come from rows with value v only: the block is a sum over the
//! values. Rows with NULL find no partner, and are a part of the sum by themselves. So the block changes by what it is now minus what it was before, both
//! over the rows whose value some changed row has or had.
//! Invariant: as for anchors, whose form the values have: those of one relation's column. Called by refresh/plan when there are no other terms.

use crate::analyze::describe::{Described, KeyOf};
use crate::analyze::query::conditions::conditions;
use crate::analyze::query::relations;
use crate::analyze::query::tree::{constant, type_of};
use crate::analyze::rules::anchor::Captured;
use crate::analyze::rules::change_rows::{Values, only_values};
use crate::analyze::rules::delta::{Anchors, Terms, select};
use crate::analyze::rules::forms::{Forms, union_all};
use crate::analyze::rules::{lift, state_before};
use crate::pg::error::{Error, Result};
use crate::pg::name;
use crate::pg::relation::{Relation, attname};
use crate::pg::tree::{Node, list, lsyscache, server, walk};
use pgrx::pg_sys;
use std::collections::{BTreeMap, BTreeSet};
use tviews_core::anchor::TERMS;
use tviews_core::delta::{Moment, States};
use tviews_core::model::Col;
use tviews_core::reason::Reason;

/// The column of each relation, by atom.
type Columns = BTreeMap<usize, i16>;

/// Now minus before; `targets` are expressions of the described query.
pub fn terms(
    d: &Described,
    targets: &[Node],
    changed: &BTreeSet<u32>,
    key_of: KeyOf,
    captured: Captured,
    states: States,
) -> Result<std::result::Result<Terms, Reason>> {
    let Some(columns) = common(d) else { return Ok(Err(Reason::NoAnchor)) };
    let relid = |atom: usize| pg_sys::Oid::from(d.description.atoms[atom].relid.unwrap_or_default());
    let Some((first, att)) = columns.first_key_value().map(|(atom, att)| (*atom, *att)) else {
        return Ok(Err(Reason::NoAnchor));
    };
    let column = |relid: pg_sys::Oid, att: i16| -> Result<(String, String, bool)> {
        let missing = || Error::Internal(format!("relation {} does not exist", relid.to_u32()));
        let rel = Relation::open(relid, pg_sys::AccessShareLock).ok_or_else(missing)?;
        let at = att as usize - 1;
        Ok((
            name::relation(relid).ok_or_else(missing)?,
            name::ident(&attname(rel.attribute(at))),
            rel.is_never_null(at, true),
        ))
    };
    let mut finding = Vec::new();
    let mut can_be_null = false;
    for (atom, att) in &columns {
        let (table, name, not_null) = column(relid(*atom), *att)?;
        can_be_null |= !not_null;
        if changed.contains(&relid(*atom).to_u32()) {
            finding.push(format!("SELECT {name} FROM tviews.changed(NULL::{table})"));
        }
    }
    let anchors = Anchors {
        relid: relid(first).to_u32(),
        columns: vec![att],
        select: Forms::plain(format!("SELECT DISTINCT k1 FROM ({}) x(k1)", union_all(&finding))),
    };
    let (table, name, _) = column(relid(first), att)?;
    let mut out = Terms { flips: (0..d.description.atoms.len()).collect(), anchors: vec![anchors], ..Terms::default() };
    let kinds = if can_be_null { &[Values::Some, Values::Null][..] } else { &[Values::Some][..] };
    for (weight, moment) in TERMS {
        for kind in kinds {
            let query = d.block.query.copy();
            for (atom, att) in &columns {
                let Some((index, above)) = d.description.atoms[*atom].path.split_last() else { continue };
                let rte = server::rt_fetch(*index, lift::block_at(query, above));
                only_values(rte, *att, *kind, (&table, &name))?;
            }
            let is_written = moment == Moment::Before && states == States::Now;
            if is_written && !state_before::put(query, changed, key_of, captured, None)? {
                return Ok(Err(Reason::NoStateBefore));
            }
            let select = select(query, constant(weight), targets)?;
            match moment {
                Moment::Now => out.now.push(select),
                Moment::Before => out.before.push(select),
            }
        }
    }
    Ok(Ok(out))
}

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
pub(super) fn equal(condition: Node) -> Option<(Node, Node)> {
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
