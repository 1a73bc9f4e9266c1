//! The transaction queue as a state machine: pending changes by sub-transaction.
//!
//! Invariant: at any moment the pending changes are exactly those of the live sub-transactions that no live
//! flush has consumed. So an abort of a sub-transaction discards its own changes, and brings back the changes that a flush
//! inside it had consumed from the levels below (the writes of that flush are undone by the server).
//! A flush for some of the readers that wait for a key's changes hands the set on to the other readers: the same set, pending under another key,
//! at the flush's own level. So the handed-on set goes when the flush is rolled back, and the consumed sets come back.
//! Sets are summed when changes are added or taken, never when a (sub)transaction ends: its end moves no set, and cannot fail.
//! Called by the extension's transaction callbacks, by capture and by flush.

use crate::by_subxact::BySubxact;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A set of changes that can take in another one.
pub trait Absorb: Default {
    fn absorb(&mut self, other: &Self);
    fn is_empty(&self) -> bool;
    /// How much there is to sum.
    fn len(&self) -> usize;
}

/// A set of changes of one key. A set that a flush has consumed is kept for as long as the flush can be rolled back and the set not.
struct Held<K, C> {
    key: K,
    set: Rc<C>,
    /// Level of the flush.
    consumed: Option<u32>,
}

/// What a flush does with the pending changes of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate<K> {
    /// The changes stay pending.
    Leave,
    Take,
    /// The changes are taken, and go on pending under this key.
    Share(K),
}

/// Changes by key (a base relation), by sub-transaction.
pub struct Queue<K, C> {
    held: BySubxact<Held<K, C>>,
    /// How many sets are pending.
    pending: usize,
}

impl<K, C> Default for Queue<K, C> {
    fn default() -> Self {
        Queue { held: BySubxact::new(), pending: 0 }
    }
}

impl<K: Ord + Clone, C: Absorb> Queue<K, C> {
    /// Whether nothing at all is pending. Cheap: called at every statement.
    pub fn is_empty(&self) -> bool {
        self.pending == 0
    }

    /// Changes `key` at nesting level `depth` through `f`; a set that `f` leaves empty is forgotten.
    pub fn change(&mut self, depth: u32, key: K, f: impl FnOnce(&mut C)) {
        self.sum(Some(&key), |older, newer| 2 * newer >= older);
        let open = |level: u32, held: &Held<K, C>| level == depth && held.key == key && held.consumed.is_none();
        if !self.held.iter_mut().any(|(level, held)| open(level, held) && Rc::get_mut(&mut held.set).is_some()) {
            self.held.push(depth, Held { key: key.clone(), set: Rc::default(), consumed: None });
            self.pending += 1;
        }
        let newest = self.held.iter_mut().rev().filter(|(level, held)| open(*level, held));
        if let Some(set) = newest.filter_map(|(_, held)| Rc::get_mut(&mut held.set)).next() {
            f(set);
        }
        self.held.retain(|level, held| !open(level, held) || !held.set.is_empty());
        self.count();
    }

    /// All pending changes by key, lowest level first; they stay pending.
    pub fn peek(&self) -> BTreeMap<K, Vec<Rc<C>>> {
        let mut all: BTreeMap<K, Vec<Rc<C>>> = BTreeMap::new();
        for (_, held) in self.held.iter().filter(|(_, held)| held.consumed.is_none()) {
            all.entry(held.key.clone()).or_default().push(Rc::clone(&held.set));
        }
        all
    }

    /// Whether changes of such a key are pending.
    pub fn any(&self, mut such: impl FnMut(&K) -> bool) -> bool {
        self.held.iter().any(|(_, held)| held.consumed.is_none() && such(&held.key))
    }

    /// Takes all pending changes for a flush at nesting level `depth`: for each key one set for each level at most.
    pub fn take(&mut self, depth: u32) -> BTreeMap<K, Vec<Rc<C>>> {
        let mut taken: BTreeMap<K, Vec<Rc<C>>> = BTreeMap::new();
        if self.pending == 0 {
            return taken;
        }
        self.sum(None, |_, _| true);
        self.held.retain(|level, held| {
            if held.consumed.is_none() {
                taken.entry(held.key.clone()).or_default().push(Rc::clone(&held.set));
                held.consumed = Some(depth);
            }
            level < depth
        });
        self.pending = 0;
        taken
    }

    /// Takes the pending changes of some keys, as `take` does.
    pub fn take_some(&mut self, depth: u32, fate: impl Fn(&K) -> Fate<K>) -> BTreeMap<K, Vec<Rc<C>>> {
        if self.pending == 0 {
            return BTreeMap::new();
        }
        let fates: BTreeMap<K, Fate<K>> = self.peek().into_keys().map(|key| (key.clone(), fate(&key))).collect();
        for (key, _) in fates.iter().filter(|(_, fate)| **fate != Fate::Leave) {
            self.sum(Some(key), |_, _| true);
        }
        let mut taken = self.peek();
        taken.retain(|key, _| fates.get(key).is_some_and(|fate| *fate != Fate::Leave));
        self.held.retain(|level, held| {
            if taken.contains_key(&held.key) {
                held.consumed.get_or_insert(depth);
            }
            held.consumed.is_none() || level < depth
        });
        self.count();
        for (key, sets) in &taken {
            if let Some(Fate::Share(heir)) = fates.get(key) {
                for set in sets {
                    self.put(depth, heir.clone(), Rc::clone(set));
                }
            }
        }
        taken
    }

    /// Adds a set that others may share.
    pub fn put(&mut self, depth: u32, key: K, set: Rc<C>) {
        self.held.push(depth, Held { key: key.clone(), set, consumed: None });
        self.pending += 1;
        self.sum(Some(&key), |older, newer| 2 * newer >= older);
    }

    /// The sub-transaction at `depth` has been released into the one below.
    pub fn sub_commit(&mut self, depth: u32) {
        self.held.release(depth);
        self.held.retain(|level, held| {
            held.consumed = held.consumed.map(|by| by.min(depth - 1));
            held.consumed.is_none_or(|by| level < by)
        });
    }

    /// The sub-transaction at `depth` has been rolled back.
    pub fn sub_abort(&mut self, depth: u32) {
        self.held.abort(depth, drop);
        for (_, held) in self.held.iter_mut() {
            held.consumed = held.consumed.filter(|by| *by < depth);
        }
        self.count();
    }

    /// The transaction has ended.
    pub fn reset(&mut self) {
        self.held.clear();
        self.pending = 0;
    }

    fn count(&mut self) {
        self.pending = self.held.iter().filter(|(_, held)| held.consumed.is_none()).count();
    }

    /// Sums neighbours, pending sets of one level and key, for which `worth(length of the older, length of the newer)` is true. A sum is
    /// complete before it takes the place of the sets that it is made of: should summing fail, nothing has changed.
    fn sum(&mut self, key: Option<&K>, worth: impl Fn(usize, usize) -> bool) {
        while self.pending > 1 {
            let Some((level, key, older, newer)) = self.neighbours(key, &worth) else { break };
            let mut sum = C::default();
            sum.absorb(&older);
            sum.absorb(&newer);
            let sum = Rc::new(sum);
            // The same set may be pending for another key, or be kept for a rollback.
            let is = |l: u32, held: &Held<K, C>, set: &Rc<C>| {
                l == level && held.consumed.is_none() && held.key == key && Rc::ptr_eq(&held.set, set)
            };
            self.held.retain(|l, held| !is(l, held, &newer));
            for (l, held) in self.held.iter_mut() {
                if is(l, held, &older) {
                    held.set = Rc::clone(&sum);
                }
            }
            self.held.retain(|l, held| !is(l, held, &sum) || !held.set.is_empty());
            self.count();
        }
    }

    fn neighbours(&self, key: Option<&K>, worth: impl Fn(usize, usize) -> bool) -> Option<(u32, K, Rc<C>, Rc<C>)> {
        let mut last: BTreeMap<&K, (u32, &Rc<C>)> = BTreeMap::new();
        let pending = self.held.iter().filter(|(_, held)| held.consumed.is_none());
        for (level, held) in pending.filter(|(_, held)| key.is_none_or(|k| *k == held.key)) {
            if let Some((l, older)) = last.insert(&held.key, (level, &held.set))
                && l == level
                && worth(older.len(), held.set.len())
            {
                return Some((level, held.key.clone(), Rc::clone(older), Rc::clone(&held.set)));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Default, Clone, Debug, PartialEq)]
    struct Bag(Vec<u32>);
    impl Absorb for Bag {
        fn absorb(&mut self, other: &Self) {
            self.0.extend(&other.0);
        }
        fn is_empty(&self) -> bool {
            self.0.is_empty()
        }
        fn len(&self) -> usize {
            self.0.len()
        }
    }

    fn pending(q: &Queue<u8, Bag>) -> Vec<u32> {
        let mut v: Vec<u32> = q.peek().values().flatten().flat_map(|b| b.0.clone()).collect();
        v.sort();
        v
    }

    #[test]
    fn rollback_brings_back_what_a_flush_consumed() {
        let mut q: Queue<u8, Bag> = Queue::default();
        q.change(1, 7, |b| b.0.push(1));
        q.change(2, 7, |b| b.0.push(2));
        assert_eq!(q.take(2)[&7].len(), 2);
        assert!(q.is_empty());
        q.sub_abort(2);
        assert_eq!(pending(&q), vec![1]);
    }

    #[test]
    fn release_keeps_the_consumption_for_the_outer_savepoint() {
        let mut q: Queue<u8, Bag> = Queue::default();
        q.change(1, 7, |b| b.0.push(1));
        q.change(2, 7, |b| b.0.push(2));
        q.take(3);
        q.sub_commit(3);
        assert!(q.is_empty());
        q.sub_abort(2);
        assert_eq!(pending(&q), vec![1]);
    }

    #[test]
    fn releases_are_summed() {
        let mut q: Queue<u8, Bag> = Queue::default();
        for n in 0..1000 {
            q.change(2, 7, |b| b.0.push(n));
            q.sub_commit(2);
            assert!(q.peek()[&7].len() < 12);
        }
        assert_eq!(q.take(1)[&7].len(), 1);
    }

    #[derive(Clone, Debug)]
    enum Op {
        Change(u8),
        Flush,
        Begin,
        Release,
        Rollback,
    }

    proptest! {
        /// Against a model that snapshots (pending, flushed) at every savepoint.
        #[test]
        fn like_snapshots(ops in proptest::collection::vec(prop_oneof![
            (0u8..3).prop_map(Op::Change), Just(Op::Flush), Just(Op::Begin), Just(Op::Release), Just(Op::Rollback)
        ], 0..60)) {
            let mut q: Queue<u8, Bag> = Queue::default();
            let mut model: Vec<u32> = Vec::new();
            let mut saved: Vec<Vec<u32>> = Vec::new();
            let mut depth = 1u32;
            for (n, op) in ops.iter().enumerate() {
                match op {
                    Op::Change(k) => { q.change(depth, *k, |b| b.0.push(n as u32)); model.push(n as u32); }
                    Op::Flush => { q.take(depth); model.clear(); }
                    Op::Begin => { saved.push(model.clone()); depth += 1; }
                    Op::Release => if depth > 1 { q.sub_commit(depth); saved.pop(); depth -= 1; },
                    Op::Rollback => if depth > 1 { q.sub_abort(depth); model = saved.pop().unwrap(); depth -= 1; },
                }
                let mut want = model.clone();
                want.sort();
                prop_assert_eq!(pending(&q), want);
            }
        }
    }

    /// A relation, and the readers that wait for its changes, as bits.
    type Waiting = (u8, u8);
    const ALL: u8 = 0b111;

    fn for_some(readers: u8) -> impl Fn(&Waiting) -> Fate<Waiting> {
        move |(relation, waiting)| match waiting & !readers {
            rest if rest == *waiting => Fate::Leave,
            0 => Fate::Take,
            rest => Fate::Share((*relation, rest)),
        }
    }

    fn pending_for(sets: &BTreeMap<Waiting, Vec<Rc<Bag>>>, reader: usize) -> Vec<u32> {
        let its = sets.iter().filter(|((_, waiting), _)| waiting & (1 << reader) != 0);
        let mut v: Vec<u32> = its.flat_map(|(_, sets)| sets).flat_map(|b| b.0.clone()).collect();
        v.sort();
        v
    }

    #[test]
    fn what_is_shared_is_not_copied() {
        let mut q: Queue<Waiting, Bag> = Queue::default();
        q.change(1, (7, ALL), |b| b.0.push(1));
        let taken = q.take_some(1, for_some(0b001));
        assert!(Rc::ptr_eq(&taken[&(7, ALL)][0], &q.peek()[&(7, 0b110)][0]));
    }

    #[derive(Clone, Debug)]
    enum Read {
        Change(u8),
        Flush(u8),
        Begin,
        Release,
        Rollback,
    }

    proptest! {
        /// Flushes for some readers, against a model that keeps for every reader the changes that it has not followed, copied at every savepoint.
        #[test]
        fn like_a_queue_for_each(ops in proptest::collection::vec(prop_oneof![
            3 => (0u8..2).prop_map(Read::Change), 3 => (1u8..=ALL).prop_map(Read::Flush),
            2 => Just(Read::Begin), 1 => Just(Read::Release), 1 => Just(Read::Rollback)
        ], 0..60)) {
            let mut q: Queue<Waiting, Bag> = Queue::default();
            let mut model: [Vec<u32>; 3] = Default::default();
            let mut saved: Vec<[Vec<u32>; 3]> = Vec::new();
            for (n, op) in ops.iter().enumerate() {
                let depth = saved.len() as u32 + 1;
                match op {
                    Read::Change(r) => {
                        q.change(depth, (*r, ALL), |b| b.0.push(n as u32));
                        model.iter_mut().for_each(|m| m.push(n as u32));
                    }
                    Read::Flush(readers) => {
                        let taken = q.take_some(depth, for_some(*readers));
                        for (reader, waiting) in model.iter_mut().enumerate().filter(|(i, _)| readers & (1 << i) != 0) {
                            prop_assert_eq!(&pending_for(&taken, reader), &*waiting);
                            waiting.clear();
                        }
                    }
                    Read::Begin => saved.push(model.clone()),
                    Read::Release => if saved.pop().is_some() { q.sub_commit(depth); },
                    Read::Rollback => if let Some(before) = saved.pop() { q.sub_abort(depth); model = before; },
                }
                for (reader, waiting) in model.iter().enumerate() {
                    prop_assert_eq!(&pending_for(&q.peek(), reader), waiting);
                }
                prop_assert_eq!(q.is_empty(), model.iter().all(Vec::is_empty));
            }
        }
    }
}
