//! The nested loops that a flush of few rows runs instead of SQL.
//!
//! Invariant: a loop is only made where it gives what the SQL beside it gives: for changes of a relation that stands in one place, to rows whose
//! key is a key of one relation, or to groups whose weighted rows are linear in the changed relation.
//! Called by the flush, for each TVIEW and changed relation.

use crate::analyze::describe::recognise::recognise;
use crate::analyze::describe::{self, Described};
use crate::analyze::query::load;
use crate::analyze::query::tree::outputs;
use crate::analyze::rules::nested_loop::{Flat, NestedLoop, rows_by, rows_by_hash};
use crate::analyze::rules::parts::{Column, reduced};
use crate::catalog::cache;
use crate::pg::error::Result;
use crate::pg::pinned::{self, Path};
use crate::pg::relation::Relation;
use crate::pg::tree::Node;
use crate::pg::{memory, name, together};
use crate::refresh::plan::lookup::hashed_columns;
use crate::refresh::plan::machine::Kept;
use crate::refresh::plan::tview::{self, KeyColumn, Tview, maintained};
use crate::refresh::plan::unset::is_unset;
use pgrx::pg_sys::Oid;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::collections::BTreeSet;
use std::rc::Rc;
use tviews_core::model::Shape;
use tviews_core::reason::Reason;
use tviews_core::strategy::Sharing;

/// How the rows of the TVIEW that a change row concerns are found and computed.
pub enum Rows {
    /// A change row is a row of the relation whose key is the key of the TVIEW.
    Own {
        /// Attributes of the change row that are the key, from 1.
        key: Vec<i16>,
        /// From a change row to the row of the TVIEW.
        row: Box<Kept>,
    },
    /// A change row is joined to such rows.
    Joined(Box<Joined>),
}

pub struct Joined {
    /// From a change row to the keys.
    pub keys: Kept,
    /// From a key to the row of the TVIEW.
    pub row: Kept,
    /// From a change row over keys to the rows of the TVIEW that the row is part of now.
    pub through: Option<Kept>,
}

/// Loops of strategy keyed.
pub struct KeyedLoops {
    pub rows: Rows,
    /// From a key to the stored row.
    pub stored: Kept,
    /// See unset.rs.
    unset: bool,
}

/// Loops of strategy fold.
pub struct FoldLoops {
    /// From a change row to keys, arguments and conditions.
    pub weighted: Kept,
    /// From a key to the stored row of the group; None when there is one group, without a key.
    pub stored: Option<Kept>,
    /// See unset.rs.
    unset: bool,
}

/// What a flush of few rows runs.
#[derive(Clone)]
pub enum Loops {
    Keyed(Rc<KeyedLoops>),
    Fold(Rc<FoldLoops>),
    /// Of several relations that have changed.
    Together(Vec<(u32, Rc<KeyedLoops>)>),
}

impl Loops {
    /// The relations that rows are looked up in, and the indexes that are used.
    pub fn look_ups(&self) -> Vec<(Oid, Oid)> {
        match self {
            Loops::Keyed(loops) => loops.look_ups(),
            Loops::Fold(loops) => loops.look_ups(),
            Loops::Together(all) => all.iter().flat_map(|(_, loops)| loops.look_ups()).collect(),
        }
    }

    /// Whether settings of the session do not matter to them.
    pub fn is_unset(&self) -> bool {
        match self {
            Loops::Keyed(loops) => loops.unset,
            Loops::Fold(loops) => loops.unset,
            Loops::Together(all) => all.iter().all(|(_, loops)| loops.unset),
        }
    }

    /// Locks the relations and their indexes until the transaction ends; false when one may have gone before it was locked. A relation comes
    /// before its index, as in statements that change either.
    pub fn lock(&self) -> bool {
        let known = cache::generation();
        let through = match self {
            Loops::Keyed(loops) => loops.through().map(|l| l.look_ups().collect()).unwrap_or_default(),
            Loops::Fold(_) | Loops::Together(_) => Vec::new(),
        };
        lock(self.look_ups().into_iter().chain(through));
        cache::generation() == known
    }
}

fn lock(look_ups: impl Iterator<Item = (Oid, Oid)>) {
    together::lock_to_read(&look_ups.flat_map(|(relid, index)| [relid, index]).collect::<SmallVec<[_; 16]>>());
}

/// A loop for changes of some columns of a relation, from a change row that has come to what it can concern of the rows that it is part of.
pub struct PartLoop {
    pub of: Kept,
    /// By attribute of the TVIEW.
    pub columns: Rc<Vec<Column>>,
    /// See unset.rs.
    pub unset: bool,
}

impl PartLoop {
    /// As `Loops::lock`.
    pub fn lock(&self) -> bool {
        let known = cache::generation();
        lock(self.of.look_ups());
        cache::generation() == known
    }
}

/// By changed relation, and its changed columns as bits.
pub type PartLoops = FxHashMap<(u32, u128), Option<Rc<PartLoop>>>;

/// Bits of columns, by attribute from 1.
pub fn bits(columns: impl IntoIterator<Item = i16>) -> u128 {
    columns.into_iter().fold(0, |bits, att| bits | 1 << att)
}

impl Tview {
    /// The loops for changes of these relations; None when SQL follows them.
    pub fn loops(&self, rel: &Relation, changed: &BTreeSet<u32>) -> Result<Option<Loops>> {
        if changed.len() > 1 {
            return self.together(rel, changed);
        }
        let Some(relid) = changed.first().copied() else { return Ok(None) };
        if let Some(known) = self.loops.borrow().get(&relid) {
            return Ok(known.clone());
        }
        let made = self.make_loops(rel, relid)?;
        self.loops.borrow_mut().insert(relid, made.clone());
        Ok(made)
    }

    /// Whether the loops for changes of these relations are known, and settings do not matter to them.
    pub fn loops_are_unset(&self, changed: &BTreeSet<u32>) -> bool {
        let known = self.loops.borrow();
        changed.iter().all(|relid| known.get(relid).is_some_and(|l| l.as_ref().is_some_and(Loops::is_unset)))
    }

    /// The loops for changes of several relations. A loop starts with rows of one moment and finds rows of another one, so it must not compute
    /// what the query need not compute; see follow/loop_keys.rs for what stands between relations.
    fn together(&self, rel: &Relation, changed: &BTreeSet<u32>) -> Result<Option<Loops>> {
        let mut all = Vec::with_capacity(changed.len());
        for relid in changed {
            let Some(Loops::Keyed(loops)) = self.loops(rel, &BTreeSet::from([*relid]))? else { return Ok(None) };
            if let Rows::Joined(of) = &loops.rows
                && let Some((_, between)) = of.keys.steps.split_last()
                && (of.keys.computes() || between.iter().any(|s| changed.contains(&s.relid.to_u32())))
            {
                return Ok(None);
            }
            all.push((*relid, loops));
        }
        Ok(Some(Loops::Together(all)))
    }

    /// The loop for changes of these columns, where there are loops for changes of the relation; None when they can concern all of a row.
    pub fn part_loop(&self, rel: &Relation, relid: u32, changed: u128) -> Result<Option<Rc<PartLoop>>> {
        if let Some(known) = self.part_loops.borrow().get(&(relid, changed)) {
            return Ok(known.clone());
        }
        pinned::settings(&self.search_path);
        let _path = Path::of_text();
        let made = memory::aside(|| self.make_part_loop(rel, relid, changed))?.map(Rc::new);
        self.part_loops.borrow_mut().insert((relid, changed), made.clone());
        Ok(made)
    }

    fn make_part_loop(&self, rel: &Relation, relid: u32, changed: u128) -> Result<Option<PartLoop>> {
        let (Some(key), false) = (&self.key, self.decisions[&relid].repeated) else { return Ok(None) };
        let changed = (1i16..128).filter(|att| changed & 1 << att != 0).collect();
        let positions: Vec<usize> = key.iter().map(|k| k.at).collect();
        let query = load::expand(maintained(rel)?)?;
        let described = describe::describe(query, &tview::stored_key);
        let Some(of) = reduced(&described, query, relid, &changed, &positions, &tview::stored_key)? else {
            return Ok(None);
        };
        let made = || {
            let flat = Flat::of(&described)?;
            let targets: Vec<Node> = of.targets.iter().map(|t| flat.expression(*t)).collect::<Option<_>>()?;
            let columns: Vec<(usize, i16)> =
                positions.iter().map(|at| flat.column(of.targets[*at])).collect::<Option<_>>()?;
            let anchor = columns.first()?.0;
            columns.iter().all(|(atom, _)| *atom == anchor).then_some(())?;
            let columns: Vec<i16> = columns.into_iter().map(|(_, att)| att).collect();
            Some(Kept::new(flat.parts(flat.atom_of(relid)?, anchor, &columns, &targets)?))
        };
        Ok(made().filter(|_| of.balanced).map(|made| PartLoop {
            unset: is_unset(self, rel, [&*made].into_iter()),
            of: made,
            columns: Rc::new(of.columns),
        }))
    }

    fn make_loops(&self, rel: &Relation, relid: u32) -> Result<Option<Loops>> {
        let (decision, changed) = (self.decisions[&relid], BTreeSet::from([relid]));
        if decision.repeated {
            return Ok(None);
        }
        // No other writer of the relation has to be kept out.
        let is_linear = decision.reason == Reason::TakenIn.into() && decision.sharing == Sharing::ByKey;
        let folds = self.is_fold(&changed) && is_linear;
        if !folds && (self.is_fold(&changed) || self.is_delta(&changed) || !self.is_keyed(&changed)) {
            return Ok(None);
        }
        let query = load::expand(maintained(rel)?)?;
        let described = describe::describe(query, &tview::stored_key);
        if !folds {
            let made = keyed(self, &described, relid).map(|mut made| {
                made.unset = is_unset(self, rel, made.all());
                Loops::Keyed(Rc::new(made))
            });
            return Ok(made);
        }
        let Ok(of) = recognise(query, &described.description.shape, self.approximate) else { return Ok(None) };
        let targets: Vec<Node> = of.key_nodes.iter().chain(&of.args).chain(&of.filters).copied().collect();
        Ok(fold(self, &described, &targets, relid).map(|mut made| {
            made.unset = is_unset(self, rel, [&made.weighted].into_iter().chain(&made.stored).map(|l| &**l));
            Loops::Fold(Rc::new(made))
        }))
    }
}

impl KeyedLoops {
    fn through(&self) -> Option<&Kept> {
        match &self.rows {
            Rows::Own { .. } => None,
            Rows::Joined(of) => of.through.as_ref(),
        }
    }

    fn all(&self) -> impl Iterator<Item = &NestedLoop> {
        let of_rows: Vec<&Kept> = match &self.rows {
            Rows::Own { row, .. } => vec![row],
            Rows::Joined(of) => [&of.keys, &of.row].into_iter().chain(&of.through).collect(),
        };
        of_rows.into_iter().chain([&self.stored]).map(|l| &**l)
    }

    fn look_ups(&self) -> Vec<(Oid, Oid)> {
        let rows: Vec<(Oid, Oid)> = match &self.rows {
            Rows::Own { row, .. } => row.look_ups().collect(),
            Rows::Joined(of) => of.keys.look_ups().chain(of.row.look_ups()).collect(),
        };
        rows.into_iter().chain(self.stored.look_ups()).collect()
    }
}

impl FoldLoops {
    fn look_ups(&self) -> Vec<(Oid, Oid)> {
        self.weighted.look_ups().chain(self.stored.iter().flat_map(|l| l.look_ups())).collect()
    }
}

fn attributes(key: &[KeyColumn]) -> Vec<i16> {
    key.iter().map(|k| k.at as i16 + 1).collect()
}

/// The loops of a keyed flush.
fn keyed(tview: &Tview, described: &Described, relid: u32) -> Option<KeyedLoops> {
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
    let start = flat.atom_of(relid)?;
    // The key is unique in its relation.
    let row_of_key = flat.of_key(anchor, &columns, &targets)?;
    let rows = if start == anchor {
        let row = flat.starting_at(anchor, &targets)?;
        row.steps.iter().all(|s| s.unique).then_some(())?;
        Rows::Own { key: columns, row: Box::new(Kept::new(row)) }
    } else {
        Rows::Joined(Box::new(Joined {
            keys: Kept::new(flat.reach(start, anchor, &of_key)?),
            row: Kept::new(row_of_key),
            through: flat.through(start, anchor, &of_key, &targets).map(Kept::new),
        }))
    };
    Some(KeyedLoops { rows, stored: Kept::new(rows_by(tview.oid, &attributes(key))?), unset: false })
}

/// The loops of a fold; `targets` are keys, arguments and conditions of the described query.
fn fold(tview: &Tview, described: &Described, targets: &[Node], relid: u32) -> Option<FoldLoops> {
    let flat = Flat::of(described)?;
    let targets: Vec<Node> = targets.iter().map(|t| flat.expression(*t)).collect::<Option<_>>()?;
    let weighted = Kept::new(flat.starting_at(flat.atom_of(relid)?, &targets)?);
    let key = tview.key.as_deref().unwrap_or_default();
    let columns = attributes(key);
    // A group is compared with all of its key behind the look-up.
    let stored = match (key.is_empty(), hashed_columns(key).is_empty()) {
        (true, _) => None,
        (_, true) => Some(Kept::new(rows_by(tview.oid, &columns)?)),
        (_, false) => Some(Kept::new(rows_by_hash(tview.oid, &columns)?)),
    };
    Some(FoldLoops { weighted, stored, unset: false })
}
