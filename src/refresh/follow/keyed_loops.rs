//! Strategy keyed by nested loops, for few change rows of one relation: the keys of the rows that change rows concern, and these rows.
//!
//! Invariant: as in keyed.rs; keys are locked before the snapshot that rows are computed with. Equal keys are the same bytes here.
//! Called by ways.rs.

use crate::capture::trigger::ImageBuilder;
use crate::pg::error::Result;
use crate::pg::relation::Relation;
use crate::pg::{ext, pinned, tupdesc, values};
use crate::queue::changes::{Image, image_of};
use crate::refresh::follow::apply::Changes;
use crate::refresh::follow::job::Job;
use crate::refresh::follow::locks;
use crate::refresh::follow::nested_loop::{Deformed, Found, Running, Shown};
use crate::refresh::follow::rows::{Filled, pack};
use crate::refresh::plan::loops::{Joined, KeyedLoops, PartLoop, Rows};
use crate::refresh::plan::machine::Kept;
use foldhash::fast::FixedState;
use pgrx::pg_sys::{self, Datum};
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

/// The values of a key.
pub(super) type Key = Vec<Option<Datum>>;

/// Whether some value of an image is a pointer to a TOAST table. Source: access/htup_details.h, HeapTupleHasExternal.
pub(super) fn is_elsewhere(image: &Image) -> bool {
    // SAFETY: an image is a minimal tuple.
    let flags = unsafe { (*image.as_ptr().cast::<pg_sys::MinimalTupleData>()).t_infomask };
    u32::from(flags) & pg_sys::HEAP_HASEXTERNAL != 0
}

impl Job<'_> {
    /// The change rows of a relation with their weights, each row once: what comes and goes again is nothing. The image of a row that comes is made
    /// before the row is stored, that of a row that goes from what is stored, which may be compressed or elsewhere, so that images of one row
    /// can differ.
    pub fn change_rows(&self, source: &Relation) -> Vec<(Image, i64)> {
        let sets = self.changes.get(&source.oid().to_u32()).map_or(&[][..], Vec::as_slice);
        let mut rows: Vec<(Image, i64)> = Vec::new();
        for set in sets {
            set.each(|tuple, weight| {
                // SAFETY: the set shows valid tuples.
                let image = unsafe { image_of(tuple) };
                match rows.iter_mut().find(|(known, _)| sets.len() > 1 && *known == image) {
                    Some((_, sum)) => *sum += weight,
                    None => rows.push((image, weight)),
                }
            });
        }
        rows.retain(|(_, weight)| *weight != 0);
        if rows.iter().any(|(_, weight)| *weight > 0) && rows.iter().any(|(_, weight)| *weight < 0) {
            // Values that are elsewhere are read under a snapshot.
            let _snapshot = rows.iter().any(|(of, _)| is_elsewhere(of)).then(|| self.snapshot());
            // SAFETY: images are minimal tuples of the relation's row type.
            let all: Vec<Deformed> = rows.iter().map(|(of, _)| unsafe { Deformed::of(of, source.tupdesc()) }).collect();
            let columns: Vec<i16> = (1..=source.natts() as i16).collect();
            for come in 0..rows.len() {
                for go in 0..rows.len() {
                    let both = rows[come].1.min(-rows[go].1);
                    // SAFETY: rows of the relation.
                    if both > 0 && unsafe { self.is_same_row(source, &columns, &all[come], &all[go]) } {
                        rows[come].1 -= both;
                        rows[go].1 += both;
                    }
                }
            }
            rows.retain(|(_, weight)| *weight != 0);
        }
        rows
    }

    /// False when there are too many rows for loops; nothing is done then but locking.
    pub fn keyed_by_loops(&mut self, loops: &KeyedLoops) -> Result<bool> {
        let Some(relid) = self.changed.first().copied() else { return Ok(true) };
        let Some(source) = Relation::open(pg_sys::Oid::from(relid), pg_sys::AccessShareLock) else { return Ok(false) };
        let rows = self.change_rows(&source);
        if let Some(part) = self.part_loop(&source, &rows)?
            && let Some(fits) = self.part_of_rows(loops, &part, &rows, &source)?
        {
            return Ok(fits);
        }
        match &loops.rows {
            Rows::Own { key, row } => self.own(loops, key, row, &rows, &source),
            Rows::Joined(of) => match &of.through {
                Some(through) if !locks::needs_keys(self.tview, self.changed) => {
                    self.through(loops, through, of, &rows, &source)
                }
                _ => self.joined(loops, of, &rows, &source),
            },
        }
    }

    /// Change rows of positive weight lead to the rows that they are part of, of which only a part is computed (follow/parts.rs). None when this is not
    /// the way, and nothing has been done; false as for `keyed_by_loops`: rows that are written then are exact already.
    fn part_of_rows(
        &mut self,
        loops: &KeyedLoops,
        part: &PartLoop,
        rows: &[(Image, i64)],
        source: &Relation,
    ) -> Result<Option<bool>> {
        let is_own = matches!(loops.rows, Rows::Own { .. });
        let needs_keys = locks::needs_keys(self.tview, self.changed);
        if needs_keys && !is_own {
            return Ok(None);
        }
        if !part.lock() {
            return Ok(Some(false));
        }
        if !part.unset {
            pinned::settings(&self.tview.search_path);
        }
        let come = rows.iter().filter(|(_, weight)| *weight > 0);
        // SAFETY: images are minimal tuples of the relation's row type; their values live as long as they do.
        let come: Vec<Deformed> = come.map(|(of, _)| unsafe { Deformed::of(of, source.tupdesc()) }).collect();
        if let (true, Rows::Own { key: columns, .. }) = (needs_keys, &loops.rows) {
            let keys = come.iter().map(|row| columns.iter().map(|c| row.get(*c)).collect());
            self.lock_own_keys(&keys.collect::<Vec<Key>>());
        }
        let key = self.tview.key.as_deref().unwrap_or_default();
        let snapshot = self.snapshot();
        let (mut changes, mut filled) = (Changes::new(self.rel), Filled::new(self.rel.natts()));
        let (mut reached, mut fits) = (0, true);
        let mut places = Vec::new();
        // SAFETY: values found are of the TVIEW's row type.
        unsafe {
            let mut stored = Running::open(&loops.stored, snapshot.raw())?;
            let mut running = Running::open(&part.of, snapshot.raw())?;
            for row in &come {
                fits &= fits
                    && running.each(&|c| row.get(c), &mut |found| {
                        reached += 1;
                        let tid = self.stored(&mut stored, &|c| found.values[key[c as usize - 1].at]);
                        if let Some(tid) = tid {
                            places.push(pack(tid));
                            self.put(Some(tid), &found, &mut filled, &mut changes);
                        }
                    });
            }
            stored.close();
            running.close();
        }
        places.sort_unstable();
        if !fits || places.windows(2).any(|two| two[0] == two[1]) {
            return Ok(Some(false));
        }
        self.rows = reached;
        self.done.dirty_keys = reached as u64;
        changes.parts = Some(Rc::clone(&part.columns));
        let unexpected = self.apply_expected(changes, &snapshot)?;
        if unexpected > 0 {
            // What is written is seen by the next snapshot, and is not counted twice.
            (self.done.rows_unchanged, self.done.dirty_keys) = (0, 0);
            // SAFETY: inside a transaction.
            unsafe { pg_sys::CommandCounterIncrement() };
        }
        Ok(Some(unexpected == 0))
    }

    /// Locks keys of the TVIEW.
    fn lock_own_keys(&self, keys: &[Key]) {
        // SAFETY: values of the types of the key.
        let hash = |of: &Key| unsafe { self.key_hash(|i, _| of[i]) };
        let hashes: BTreeSet<u32> = keys.iter().map(hash).collect();
        let words = |wanted: u32| {
            let types = self.tview.key.iter().flatten().map(|k| k.typid);
            let of = keys.iter().find(|of| hash(of) == wanted)?;
            // SAFETY: as above.
            Some(unsafe { values::of_row(types.zip(of.iter().copied())) })
        };
        locks::keys(self.tview, &hashes, &words);
    }

    /// Each change row of positive weight is the row that has its key now.
    fn own(
        &mut self,
        loops: &KeyedLoops,
        columns: &[i16],
        row: &Kept,
        rows: &[(Image, i64)],
        source: &Relation,
    ) -> Result<bool> {
        // SAFETY: images are minimal tuples of the relation's row type; their values live as long as they do.
        unsafe {
            let deformed: Vec<Deformed> = rows.iter().map(|(image, _)| Deformed::of(image, source.tupdesc())).collect();
            let key = |i: usize| -> Key { columns.iter().map(|c| deformed[i].get(*c)).collect() };
            let (come, go): (Vec<usize>, Vec<usize>) = (0..rows.len()).partition(|i| rows[*i].1 > 0);
            let mut keys: Vec<(Key, Option<usize>)> = Vec::with_capacity(rows.len());
            for (i, comes) in come.into_iter().map(|i| (i, true)).chain(go.into_iter().map(|i| (i, false))) {
                let of = key(i);
                match keys.iter().any(|(known, _)| self.is_same_key(known, &of)) {
                    true if comes => return Ok(false),
                    true => {}
                    false => keys.push((of, comes.then_some(i))),
                }
            }
            self.done.dirty_keys = keys.len() as u64;
            if locks::needs_keys(self.tview, self.changed) {
                self.lock_own_keys(&keys.iter().map(|(of, _)| of.clone()).collect::<Vec<Key>>());
            }
            let snapshot = self.snapshot();
            let mut changes = Changes::new(self.rel);
            let mut stored = Running::open(&loops.stored, snapshot.raw())?;
            let mut computed = Running::open(row, snapshot.raw())?;
            let mut filled = Filled::new(self.rel.natts());
            for (of, comes) in &keys {
                let input = |c: i16| comes.and_then(|i| deformed[i].get(c));
                self.replace(&mut stored, comes.map(|_| &mut computed), of, &input, &mut filled, &mut changes);
            }
            stored.close();
            computed.close();
            self.apply(changes, &snapshot)?;
            Ok(true)
        }
    }

    /// Change rows lead to keys, and change rows of positive weight to the rows that they are part of. Keys are not locked.
    fn through(
        &mut self,
        loops: &KeyedLoops,
        through: &Kept,
        Joined { keys: to_keys, row, .. }: &Joined,
        rows: &[(Image, i64)],
        source: &Relation,
    ) -> Result<bool> {
        let key = self.tview.key.as_deref().unwrap_or_default();
        let columns: Vec<i16> = to_keys.inputs.iter().map(|(att, _)| *att).collect();
        let snapshot = self.snapshot();
        let mut changes = Changes::new(self.rel);
        let mut filled = Filled::new(self.rel.natts());
        // Keys that were reached, and whether their row is known.
        let mut reached: HashMap<Image, bool, FixedState> = HashMap::default();
        // SAFETY: images are minimal tuples of their row types; values found are of the types of the key.
        unsafe {
            let deformed: Vec<Deformed> = rows.iter().map(|(image, _)| Deformed::of(image, source.tupdesc())).collect();
            let mut image = ImageBuilder::new(self.rel.tupdesc());
            let mut image_of_key = |values: &[Option<Datum>]| {
                for (k, value) in key.iter().zip(values) {
                    image.set(k.at, *value);
                }
                image.image()
            };
            let mut stored = Running::open(&loops.stored, snapshot.raw())?;
            let mut running = Running::open(through, snapshot.raw())?;
            let (mut fits, mut once) = (true, true);
            let come: Vec<usize> = (0..rows.len()).filter(|i| rows[*i].1 > 0).collect();
            for i in &come {
                let mut at = Image::default();
                fits &= fits
                    && running.each_shown(&|c| deformed[*i].get(c), &mut |shown| match shown {
                        Shown::Reached(values) => {
                            at = image_of_key(values);
                            reached.entry(at.clone()).or_insert(false);
                        }
                        Shown::Row(found) => {
                            once &= reached.insert(at.clone(), true) == Some(false);
                            let of = |c: i16| found.values[key[c as usize - 1].at];
                            self.put(self.stored(&mut stored, &of), &found, &mut filled, &mut changes);
                        }
                    });
            }
            running.close();
            let mut running = Running::open(to_keys, snapshot.raw())?;
            let mut left = Vec::new();
            for i in (0..rows.len()).filter(|i| rows[*i].1 < 0) {
                let same = |a: &usize| self.is_same_row(source, &columns, &deformed[*a], &deformed[i]);
                if !come.iter().any(same) {
                    fits &= fits
                        && running.each(&|c| deformed[i].get(c), &mut |found| {
                            let of = image_of_key(found.values);
                            if !reached.contains_key(&of) {
                                reached.insert(of.clone(), true);
                                left.push(of);
                            }
                        });
                }
            }
            running.close();
            if !fits || !once {
                stored.close();
                return Ok(false);
            }
            // Of which another row may be part.
            left.extend(reached.iter().filter(|(_, known)| !**known).map(|(of, _)| of.clone()));
            if !left.is_empty() {
                let mut computed = Running::open(row, snapshot.raw())?;
                for of in &left {
                    let of = Deformed::of(of, self.rel.tupdesc());
                    let of: Key = key.iter().map(|k| of.get(k.at as i16 + 1)).collect();
                    let input = |c: i16| of[c as usize - 1];
                    self.replace(&mut stored, Some(&mut computed), &of, &input, &mut filled, &mut changes);
                }
                computed.close();
            }
            stored.close();
        }
        self.rows = reached.len();
        self.done.dirty_keys = reached.len() as u64;
        self.apply(changes, &snapshot)?;
        Ok(true)
    }

    /// Whether two rows of a relation are the same bytes in these columns.
    ///
    /// # Safety
    /// Both are rows of the relation.
    pub(super) unsafe fn is_same_row(&self, source: &Relation, columns: &[i16], a: &Deformed, b: &Deformed) -> bool {
        columns.iter().all(|c| match (a.get(*c), b.get(*c)) {
            (None, None) => true,
            (Some(x), Some(y)) => {
                let att = source.attribute(*c as usize - 1);
                // SAFETY: values of the attribute.
                unsafe { ext::same_image(x, y, att.attbyval, i32::from(att.attlen)) }
            }
            _ => false,
        })
    }

    /// The place of the stored row of a key.
    ///
    /// # Safety
    /// The loop is open; the values are of the types of the key.
    unsafe fn stored(
        &self,
        stored: &mut Running,
        key: &dyn Fn(i16) -> Option<Datum>,
    ) -> Option<pg_sys::ItemPointerData> {
        let mut tid = None;
        // SAFETY: as the caller promises.
        unsafe { stored.each(key, &mut |found| tid = found.stored().map(|(tid, _, _)| tid)) };
        tid
    }

    /// Puts a computed row in the place of the stored one.
    ///
    /// # Safety
    /// The row is one of this TVIEW.
    unsafe fn put(
        &self,
        tid: Option<pg_sys::ItemPointerData>,
        found: &Found,
        filled: &mut Filled,
        changes: &mut Changes,
    ) {
        for (i, value) in found.values.iter().enumerate() {
            filled.nulls[i] = value.is_none();
            filled.values[i] = value.unwrap_or(Datum::from(0usize));
        }
        // SAFETY: one value for each attribute.
        unsafe {
            match tid {
                Some(tid) => changes.update(tid, &filled.values, &filled.nulls),
                None => changes.inserts.put(&filled.values, &filled.nulls),
            }
        }
    }

    /// Compares the stored row of a key with its computed row; `input` gives what `computed` starts with, None for a key without a row.
    ///
    /// # Safety
    /// The loops are open; the key's values are of the types of the key.
    pub(super) unsafe fn replace(
        &self,
        stored: &mut Running,
        computed: Option<&mut Running>,
        key: &Key,
        input: &dyn Fn(i16) -> Option<Datum>,
        filled: &mut Filled,
        changes: &mut Changes,
    ) {
        let mut present = false;
        // SAFETY: as the caller promises.
        let tid = unsafe {
            let tid = self.stored(stored, &|c| key[c as usize - 1]);
            if let Some(computed) = computed {
                computed.each(input, &mut |found| {
                    present = true;
                    self.put(tid, &found, filled, changes);
                });
            }
            tid
        };
        if let Some(tid) = tid.filter(|_| !present) {
            changes.deletes.put(tid);
        }
    }

    /// Whether two keys are the same bytes.
    ///
    /// # Safety
    /// The values are of the types of the key.
    unsafe fn is_same_key(&self, a: &Key, b: &Key) -> bool {
        self.tview.key.iter().flatten().enumerate().all(|(i, k)| match (a[i], b[i]) {
            (None, None) => true,
            (Some(x), Some(y)) => {
                // SAFETY: attribute `k.at` exists, and has the type of the key's column.
                unsafe {
                    let att = &*tupdesc::attr(self.rel.tupdesc(), k.at);
                    ext::same_image(x, y, att.attbyval, i32::from(att.attlen))
                }
            }
            _ => false,
        })
    }
}
