//! The weighted rows by which a chain of outer joins changes that compare one value: FULL JOINs of several tables by the same column.
//!
//! Let every join compare, for equality, columns of which each relation has one, or the first of several that is not NULL. Then a row of the block has one
//! value in the columns of all relations that are in it, and rows with value v come from rows with value v only: the block is a sum over the
//! values. Rows with NULL find no partner, and are a part of the sum by themselves. So the block changes by what it is now minus what it was before, both
//! over the rows whose value some changed row has or had.
//! Invariant: as for anchors, whose form the values have: those of one relation's column. Called by refresh/plan when there are no other terms.

use crate::analyze::describe::common_value::common;
use crate::analyze::describe::{Described, KeyOf};
use crate::analyze::query::relations;
use crate::analyze::query::tree::constant;
use crate::analyze::rules::anchor::Captured;
use crate::analyze::rules::change_rows::{Values, only_values};
use crate::analyze::rules::delta::{Anchors, Terms, select};
use crate::analyze::rules::forms::{Forms, union_all};
use crate::analyze::rules::{lift, state_before};
use crate::pg::error::{Error, Result};
use crate::pg::name;
use crate::pg::relation::{Relation, attname};
use crate::pg::tree::{Node, server};
use pgrx::pg_sys;
use std::collections::BTreeSet;
use tviews_core::anchor::TERMS;
use tviews_core::delta::{Moment, States};
use tviews_core::reason::Reason;

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
    // Sub-queries take the places of all relations.
    if relations::of(d.block.query).values().any(|used| used.columns.iter().any(|c| *c < 0)) {
        return Ok(Err(Reason::SystemColumn));
    }
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
