//! The groups that a flush touches, by key: waiting weighted rows, the stored row, the state.
//!
//! Invariant: a row waits until the stored state of its group has been read; rows of positive weight are taken in before
//! those of negative weight, so that no state ever stands for less than nothing.

use crate::analyze::describe::fold::{Fold, Output};
use crate::pg::ext;
use crate::pg::fault::{self, Fault};
use crate::pg::memory::{self, Arena};
use crate::pg::values::{self, hash_value};
use crate::refresh::follow::fold::output::Outputs;
use crate::refresh::follow::fold::packed::Packing;
use crate::refresh::follow::fold::room::Room;
use crate::refresh::follow::fold::state::{Cell, Few, Input, States, copy};
use crate::refresh::plan::tview::Tview;
use pgrx::FromDatum;
use pgrx::pg_sys::{self, Datum};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use tviews_core::fold::in_order;

struct Group {
    key: Vec<Option<Datum>>,
    /// The stored row, when there is one.
    tid: Option<pg_sys::ItemPointerData>,
    rows: i64,
    cells: Vec<Cell>,
    looked_up: bool,
    /// Change of the number of rows that have the very key that the group shows.
    shown: i64,
    /// The state does not tell: the group must be recomputed.
    recompute: bool,
}

pub struct Groups<'a> {
    fold: &'a Fold,
    states: States<'a>,
    packing: Option<Packing>,
    by_hash: FxHashMap<u32, Vec<usize>>,
    groups: Vec<Group>,
    /// (group, weight, row)
    waiting: Vec<(usize, i64, Input)>,
    /// The groups that the last rows were added to: a row that changed has two, one after the other.
    last: [Option<usize>; 2],
    /// Memory of the batch for values of rows that wait.
    room: Room,
    /// Positions of keys for which equal does not mean the same bytes.
    inexact: Vec<usize>,
}

impl<'a> Groups<'a> {
    /// # Safety
    /// The current memory context outlives the result, and is current in the other calls.
    pub unsafe fn new(tview: &'a Tview, fold: &'a Fold) -> Groups<'a> {
        // SAFETY: The current memory context outlives the result, and is current in the other calls, as the caller promises.
        unsafe {
            Groups {
                fold,
                states: States::new(fold, tview.folding(fold)),
                packing: Packing::of(fold),
                by_hash: FxHashMap::default(),
                groups: Vec::new(),
                waiting: Vec::new(),
                last: [None; 2],
                room: Room::default(),
                inexact: (0..fold.key_exact.len()).filter(|k| !fold.key_exact[*k]).collect(),
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    pub fn len(&self) -> usize {
        self.groups.len()
    }

    pub fn key(&self, group: usize) -> &[Option<Datum>] {
        &self.groups[group].key
    }

    pub fn tid(&self, group: usize) -> Option<pg_sys::ItemPointerData> {
        self.groups[group].tid
    }

    pub fn rows(&self, group: usize) -> i64 {
        self.groups[group].rows
    }

    /// # Safety
    /// The key has a value for each column of the fold's key.
    unsafe fn hash_of_key(&self, key: &[Option<Datum>]) -> u32 {
        // SAFETY: the key has a value for each column of the fold's key.
        unsafe { combine(key.iter().zip(&self.fold.key_types).map(|(v, t)| (v, t.0, t.2))) }
    }

    /// The hashes by which the groups' keys are locked, over some of the grouping columns.
    pub fn lock_hashes(&self, positions: &[usize]) -> BTreeSet<u32> {
        // SAFETY: values of the key types.
        self.groups.iter().map(|g| unsafe { self.lock_hash(g, positions) }).collect()
    }

    /// The key of a group with this hash, in words.
    pub fn words(&self, hash: u32, positions: &[usize]) -> Option<String> {
        // SAFETY: values of the key types.
        let group = self.groups.iter().find(|g| unsafe { self.lock_hash(g, positions) } == hash)?;
        let values = positions.iter().map(|p| (self.fold.key_types[*p].0, group.key[*p]));
        // SAFETY: as above.
        Some(unsafe { values::of_row(values) })
    }

    /// # Safety
    /// The group's key has a value for each column of the fold's key.
    unsafe fn lock_hash(&self, group: &Group, positions: &[usize]) -> u32 {
        // SAFETY: the group's key has a value for each column of the fold's key.
        unsafe {
            let types = &self.fold.key_types;
            combine(positions.iter().map(|p| (&group.key[*p], types[*p].0, types[*p].2)))
        }
    }

    /// # Safety
    /// Both are keys of this fold: values of the types of its columns, alive in its arenas.
    unsafe fn is_same_key(&self, a: &[Option<Datum>], b: &[Option<Datum>]) -> bool {
        // SAFETY: both are keys of this fold: values of the types of its columns, alive in its arenas.
        unsafe {
            (0..a.len()).all(|i| match (a[i], b[i]) {
                (None, None) => true,
                (Some(x), Some(y)) => {
                    pg_sys::FunctionCall2Coll(self.states.folding.equality[i], self.fold.key_types[i].2, x, y).value()
                        & 0xff
                        != 0
                }
                _ => false,
            })
        }
    }

    /// # Safety
    /// The key has a value for each column of the fold's key.
    unsafe fn find(&self, hash: u32, key: &[Option<Datum>]) -> Option<usize> {
        // SAFETY: the key has a value for each column of the fold's key.
        unsafe { self.by_hash.get(&hash)?.iter().copied().find(|g| self.is_same_key(&self.groups[*g].key, key)) }
    }

    /// Adds a weighted row by its columns: weight, keys, arguments, conditions. Arguments are kept in `batch` until they are taken in.
    ///
    /// # Safety
    /// The row has these columns.
    pub unsafe fn add_row(&mut self, get: impl Fn(usize) -> Option<Datum>, batch: &Arena) {
        // SAFETY: `get` gives values of the fold's input types, alive until the batch ends.
        unsafe {
            let (keys, args) = (self.fold.key_types.len(), self.fold.arg_types.len());
            let filters = self.fold.filter_count;
            let group = match self.last.into_iter().flatten().find(|g| self.has_image(*g, |k| get(1 + k))) {
                Some(group) => group,
                None => {
                    let key: Few<Option<Datum>> = (0..keys).map(|i| get(1 + i)).collect();
                    let hash = self.hash_of_key(&key);
                    let group = self.find(hash, &key).unwrap_or_else(|| self.enter(hash, &key));
                    self.last = [Some(group), self.last[0]];
                    group
                }
            };
            let (widths, room) = (&self.states.folding, &mut self.room);
            let mut input = Input::default();
            for (i, width) in widths.args.iter().enumerate().take(args) {
                input.args.push(get(1 + keys + i).map(|d| room.copy(d, *width, batch)));
            }
            for i in 0..filters {
                let value = get(1 + keys + args + i).and_then(|d| bool::from_datum(d, false));
                input.filters.push(value == Some(true));
            }
            for k in &self.inexact {
                input.inexact.push(get(1 + *k).map(|d| room.copy(d, widths.keys[*k], batch)));
            }
            let weight = get(0).and_then(|d| i64::from_datum(d, false)).unwrap_or(0);
            memory::push(&mut self.waiting, (group, weight, input));
        }
    }

    /// Whether a group's key has the very bytes of this one.
    ///
    /// # Safety
    /// The key has a value for each column of the fold's key.
    unsafe fn has_image(&self, group: usize, key: impl Fn(usize) -> Option<Datum>) -> bool {
        let widths = self.states.folding.keys.iter();
        self.groups[group].key.iter().zip(widths).enumerate().all(|(k, (a, width))| match (a, key(k)) {
            (None, None) => true,
            // SAFETY: values of the key's type.
            (Some(a), Some(b)) => unsafe { ext::same_image(*a, b, width.by_value, i32::from(width.len)) },
            _ => false,
        })
    }

    /// The hash of some of a group's columns.
    ///
    /// # Safety
    /// Values of the key types.
    pub unsafe fn hash_of_group(fold: &Fold, positions: &[usize], key: impl Fn(usize) -> Option<Datum>) -> u32 {
        // SAFETY: Values of the key types, as the caller promises.
        unsafe {
            let of: Vec<Option<Datum>> = positions.iter().map(|p| key(*p)).collect();
            combine(of.iter().zip(positions).map(|(v, p)| (v, fold.key_types[*p].0, fold.key_types[*p].2)))
        }
    }

    /// # Safety
    /// The key has a value for each column of the fold's key; it is copied into the arena of the groups.
    unsafe fn enter(&mut self, hash: u32, key: &[Option<Datum>]) -> usize {
        // SAFETY: the key has a value for each column of the fold's key; it is copied into the arena of the groups.
        unsafe {
            let widths = &self.states.folding.keys;
            let key = key.iter().zip(widths).map(|(v, w)| v.map(|d| copy(d, *w))).collect();
            let cells = self.states.fresh();
            let group = Group { key, tid: None, rows: 0, cells, looked_up: false, shown: 0, recompute: false };
            memory::push(&mut self.groups, group);
            memory::enough(self.by_hash.try_reserve(1));
            self.by_hash.entry(hash).or_default().push(self.groups.len() - 1);
            self.groups.len() - 1
        }
    }

    pub fn not_looked_up(&self) -> Vec<usize> {
        (0..self.groups.len()).filter(|g| !self.groups[*g].looked_up).collect()
    }

    pub fn looked_up(&mut self) {
        self.groups.iter_mut().for_each(|g| g.looked_up = true);
    }

    /// Takes over a stored row: `of` gives several of its columns, `datum` one column; `state` are its state attributes.
    ///
    /// # Safety
    /// The values are those of the row.
    pub unsafe fn found(
        &mut self,
        tid: pg_sys::ItemPointerData,
        of: &dyn Fn(&[usize]) -> Vec<Option<Datum>>,
        datum: impl Fn(usize) -> Option<Datum>,
        state: &[usize],
    ) {
        // SAFETY: The values are those of the row, as the caller promises.
        unsafe {
            let key = of(&self.fold.positions);
            let Some(g) = self.find(self.hash_of_key(&key), &key) else { return };
            if self.groups[g].looked_up {
                return;
            }
            let rows = datum(state[0]).and_then(|d| i64::from_datum(d, false));
            let stored = match &self.packing {
                Some(packing) => packing.unpack(state.get(1).and_then(|i| datum(*i))),
                None => state[1..].iter().map(|i| datum(*i)).collect(),
            };
            let cells = self.states.restore(&stored);
            let widths = &self.states.folding.keys;
            // The stored representative of equal keys stays.
            let key = key.iter().zip(widths).map(|(v, w)| v.map(|d| copy(d, *w))).collect();
            let group = &mut self.groups[g];
            group.tid = Some(tid);
            group.key = key;
            group.cells = cells;
            group.rows = rows.unwrap_or(0);
            group.recompute = rows.is_none();
        }
    }

    /// Size of the waiting rows, without values that are passed by reference.
    pub fn waiting_size(&self) -> usize {
        let fold = self.fold;
        let values = fold.arg_types.len() + self.inexact.len();
        let row = size_of::<(usize, i64, Input)>() + values * size_of::<Option<Datum>>() + fold.filter_count;
        self.waiting.len() * row
    }

    /// Takes the waiting rows into the states.
    ///
    /// # Safety
    /// All groups have been looked up. The current memory context may be a shorter one.
    pub unsafe fn take_in(&mut self) {
        // SAFETY: the caller promises: all groups have been looked up. The current memory context may be a shorter one.
        unsafe {
            let waiting = std::mem::take(&mut self.waiting);
            self.room = Room::default();
            for (g, weight, row) in in_order(&waiting, |(_, weight, _)| *weight) {
                let shown = self.is_representative(*g, row);
                let group = &mut self.groups[*g];
                group.rows += weight;
                group.shown += if shown && !fault::on(Fault::KeepRepresentative) { *weight } else { 0 };
                if !group.recompute {
                    group.recompute = !self.states.take(&mut group.cells, row, *weight);
                }
            }
        }
    }

    /// Whether a row has the very key that the group shows: when rows with this key leave, the group may have to show another key.
    ///
    /// # Safety
    /// The group exists and the row has the fold's input types.
    unsafe fn is_representative(&self, g: usize, row: &Input) -> bool {
        // SAFETY: the group exists and the row has the fold's input types.
        unsafe {
            let same = |(k, value): (&usize, &Option<Datum>)| match (self.groups[g].key[*k], *value) {
                (None, None) => true,
                (Some(a), Some(b)) => {
                    let width = self.states.folding.keys[*k];
                    ext::same_image(a, b, width.by_value, i32::from(width.len))
                }
                _ => false,
            };
            !self.inexact.is_empty() && self.inexact.iter().zip(&row.inexact).all(same)
        }
    }

    /// Whether none of a group's rows may have the key that it shows: more rows with this key have left than come, or as many
    /// in a new group, which shows the key of the first row of the delta.
    fn lost_representative(&self, g: &Group) -> bool {
        !self.inexact.is_empty() && (g.shown < 0 || g.shown == 0 && g.tid.is_none() && g.rows > 0)
    }

    /// Groups that must be recomputed, and the groups that have the same key of the TVIEW.
    pub fn to_recompute(&self, positions: &[usize]) -> BTreeSet<usize> {
        // A group without rows goes, so its state does not matter.
        let there = |g: &Group| g.rows != 0 || g.tid.is_none() || positions.is_empty();
        let marked = |g: &Group| (g.recompute || self.lost_representative(g)) && there(g);
        // SAFETY: values of the key types.
        let hash = |g: &Group| unsafe { self.lock_hash(g, positions) };
        let hashes: BTreeSet<u32> = self.groups.iter().filter(|g| marked(g)).map(hash).collect();
        if hashes.is_empty() {
            return BTreeSet::new();
        }
        (0..self.groups.len()).filter(|g| hashes.contains(&hash(&self.groups[*g]))).collect()
    }

    /// Puts the visible columns of a group: attribute, value.
    ///
    /// # Safety
    /// As `new`.
    pub unsafe fn compose(
        &mut self,
        g: usize,
        outputs: Option<&mut Outputs>,
        columns: &[usize],
        put: &mut dyn FnMut(usize, Option<Datum>),
    ) {
        // SAFETY: the group exists; its cells were made by this fold.
        unsafe {
            let group = &self.groups[g];
            let results: Vec<Option<Datum>> =
                (0..self.fold.aggregates.len()).map(|a| self.states.result(a, group.rows, &group.cells)).collect();
            for (column, output) in self.fold.outputs.iter().enumerate() {
                match output {
                    Output::Key(k) => put(columns[column], group.key[*k]),
                    Output::Aggregate(a) => put(columns[column], results[*a]),
                    Output::Expression(_) => {}
                }
            }
            if let Some(outputs) = outputs {
                let inputs = group.key.iter().copied().chain(results.iter().copied());
                outputs.evaluate(inputs, |column, value| put(columns[column], value));
            }
        }
    }

    /// The state attributes of a group after the number of rows.
    ///
    /// # Safety
    /// As `new`.
    pub unsafe fn stored(&mut self, g: usize) -> Vec<Option<Datum>> {
        // SAFETY: the cells of the group were made by this fold.
        unsafe {
            let states = self.states.dump(&self.groups[g].cells);
            match &self.packing {
                Some(packing) => vec![Some(packing.pack(&states))],
                None => states,
            }
        }
    }
}

/// The hash by which keys are locked; keyed.rs must compute the same hash.
///
/// # Safety
/// Each value is of the type that comes with it.
unsafe fn combine<'v>(values: impl Iterator<Item = (&'v Option<Datum>, pg_sys::Oid, pg_sys::Oid)>) -> u32 {
    // SAFETY: each value is of the type that comes with it.
    unsafe {
        let mut hash: u32 = 0;
        for (value, typid, collation) in values {
            hash = hash.rotate_left(1) ^ value.map_or(0, |v| hash_value(typid, collation, v));
        }
        hash
    }
}
