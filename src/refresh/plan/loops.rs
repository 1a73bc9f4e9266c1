//! The nested loops that a flush of few rows runs instead of SQL.
//!
//! Invariant: a loop is only made where it gives what the SQL beside it gives: for changes of one relation that stands in one place, to rows whose
//! key is a key of one relation, or to groups whose weighted rows are linear in the changed relation.
//! Called by keyed.rs and fold.rs, once per TVIEW and changed relation.

use crate::analyze::describe::Described;
use crate::analyze::query::tree::outputs;
use crate::analyze::rules::delta::Weighted;
use crate::analyze::rules::nested_loop::{Flat, NestedLoop, rows_by, rows_by_hash};
use crate::pg::name;
use crate::pg::tree::Node;
use crate::refresh::plan::lookup::hashed_columns;
use crate::refresh::plan::tview::{KeyColumn, Tview};
use pgrx::pg_sys::Oid;
use std::collections::BTreeSet;
use tviews_core::model::Shape;

/// How the rows of the TVIEW that a change row concerns are found and computed.
pub enum Rows {
    /// A change row is a row of the relation whose key is the key of the TVIEW.
    Own {
        /// Attributes of the change row that are the key, from 1.
        key: Vec<i16>,
        /// From a change row to the row of the TVIEW.
        row: NestedLoop,
    },
    /// A change row is joined to such rows.
    Joined {
        /// From a change row to the keys.
        keys: NestedLoop,
        /// From a key to the row of the TVIEW.
        row: NestedLoop,
        /// From a change row over keys to the rows of the TVIEW that the row is part of now.
        through: Option<NestedLoop>,
    },
}

/// Loops of strategy keyed.
pub struct KeyedLoops {
    pub rows: Rows,
    /// From a key to the stored row.
    pub stored: NestedLoop,
}

/// Loops of strategy fold.
pub struct FoldLoops {
    /// From a change row to keys, arguments and conditions.
    pub weighted: NestedLoop,
    /// From a key to the stored row of the group; None when it is looked up by SQL.
    pub stored: Option<NestedLoop>,
}

impl KeyedLoops {
    /// The indexes that are used.
    pub fn indexes(&self) -> Vec<Oid> {
        let rows: Vec<Oid> = match &self.rows {
            Rows::Own { row, .. } => row.indexes().collect(),
            Rows::Joined { keys, row, .. } => keys.indexes().chain(row.indexes()).collect(),
        };
        rows.into_iter().chain(self.stored.indexes()).collect()
    }
}

impl FoldLoops {
    /// The indexes that are used.
    pub fn indexes(&self) -> Vec<Oid> {
        self.weighted.indexes().chain(self.stored.iter().flat_map(NestedLoop::indexes)).collect()
    }
}

/// The only relation that has changed.
fn the_only(changed: &BTreeSet<u32>) -> Option<u32> {
    (changed.len() == 1).then(|| changed.first().copied()).flatten()
}

fn attributes(key: &[KeyColumn]) -> Vec<i16> {
    key.iter().map(|k| k.at as i16 + 1).collect()
}

/// The loops of a keyed flush.
pub fn keyed(tview: &Tview, described: &Described, changed: &BTreeSet<u32>) -> Option<KeyedLoops> {
    let key = tview.key.as_deref()?;
    let same = |k: &KeyColumn| !k.nullable && !k.wide && name::equal_is_same(&(k.typid, -1, k.collation));
    let is_row = described.description.shape == Shape::Rows && tview.selected == tview.columns.len();
    if !is_row || tview.region || key.is_empty() || !hashed_columns(key).is_empty() || !key.iter().all(same) {
        return None;
    }
    let flat = Flat::of(described)?;
    let targets: Vec<Node> =
        outputs(described.block.query).into_iter().map(|t| flat.expression(t.expr())).collect::<Option<_>>()?;
    let of_key: Vec<Node> = key.iter().map(|k| targets.get(k.at).copied()).collect::<Option<_>>()?;
    let columns: Vec<(usize, i16)> = key
        .iter()
        .map(|k| outputs(described.block.query).get(k.at).and_then(|t| flat.column(t.expr())))
        .collect::<Option<_>>()?;
    let anchor = columns.first()?.0;
    if columns.iter().any(|(atom, _)| *atom != anchor) {
        return None;
    }
    let columns: Vec<i16> = columns.into_iter().map(|(_, att)| att).collect();
    let start = flat.atom_of(the_only(changed)?)?;
    // The key is unique in its relation.
    let row_of_key = flat.from_key(anchor, &columns, &targets)?;
    let rows = if start == anchor {
        let row = flat.from_atom(anchor, &targets)?;
        row.steps.iter().all(|s| s.unique).then_some(())?;
        Rows::Own { key: columns, row: row.keep() }
    } else {
        Rows::Joined {
            keys: flat.reach(start, anchor, &of_key)?.keep(),
            row: row_of_key.keep(),
            through: flat.through(start, anchor, &of_key, &targets).map(NestedLoop::keep),
        }
    };
    Some(KeyedLoops { rows, stored: rows_by(tview.oid, &attributes(key))?.keep() })
}

/// The loops of a fold; `targets` are keys, arguments and conditions of the described query.
pub fn fold(
    tview: &Tview,
    described: &Described,
    targets: &[Node],
    delta: &Weighted,
    changed: &BTreeSet<u32>,
) -> Option<FoldLoops> {
    let linear = delta.before.is_none()
        && delta.anchors.is_empty()
        && delta.locks.is_empty()
        && delta.gates.is_empty()
        && !delta.alone;
    if !linear {
        return None;
    }
    let flat = Flat::of(described)?;
    let targets: Vec<Node> = targets.iter().map(|t| flat.expression(*t)).collect::<Option<_>>()?;
    let weighted = flat.from_atom(flat.atom_of(the_only(changed)?)?, &targets)?.keep();
    let key = tview.key.as_deref().unwrap_or_default();
    let columns = attributes(key);
    // A group is compared with all of its key behind the look-up.
    let stored = match (key.is_empty(), hashed_columns(key).is_empty()) {
        (true, _) => None,
        (_, true) => rows_by(tview.oid, &columns),
        (_, false) => rows_by_hash(tview.oid, &columns),
    };
    Some(FoldLoops { weighted, stored: stored.map(NestedLoop::keep) })
}
