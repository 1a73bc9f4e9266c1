//! The transaction queue as a state machine: pending changes as a stack by sub-transaction.
//!
//! Invariant: at any moment the pending changes are exactly those of the live sub-transactions that no live
//! flush has consumed. So an abort of a sub-transaction discards its own changes, and brings back what a flush
//! inside it had consumed from the levels below (the writes of that flush are undone by the server).
//! Called by the extension's transaction callbacks, by capture and by flush.

use std::collections::BTreeMap;
use std::rc::Rc;

/// A set of changes that can take in another one.
pub trait Absorb: Default {
    fn absorb(&mut self, other: &Self);
    fn is_empty(&self) -> bool;
}

struct Level<K, C> {
    /// Nesting level of the sub-transaction, 1 is the transaction itself.
    depth: u32,
    pending: BTreeMap<K, Rc<C>>,
    /// What flushes at this level took from lower levels: (depth it came from, key, changes).
    consumed: Vec<(u32, K, Rc<C>)>,
}

/// Changes by key (a base relation), stacked by sub-transaction.
pub struct Queue<K, C> {
    levels: Vec<Level<K, C>>,
}

impl<K: Ord + Copy, C: Absorb> Default for Queue<K, C> {
    fn default() -> Self {
        Queue { levels: Vec::new() }
    }
}

impl<K: Ord + Copy, C: Absorb> Queue<K, C> {

    /// Whether nothing at all is pending. Cheap: called at every statement.
    pub fn is_empty(&self) -> bool {
        self.levels.iter().all(|l| l.pending.is_empty())
    }

    pub fn contains(&self, key: K) -> bool {
        self.levels.iter().any(|l| l.pending.contains_key(&key))
    }

    fn level(&mut self, depth: u32) -> &mut Level<K, C> {
        let at = match self.levels.binary_search_by_key(&depth, |l| l.depth) {
            Ok(i) => i,
            Err(i) => {
                self.levels.insert(i, Level { depth, pending: BTreeMap::new(), consumed: Vec::new() });
                i
            }
        };
        &mut self.levels[at]
    }

    /// Changes `key` at nesting level `depth` through `f`; a set that `f` leaves empty is forgotten.
    pub fn change(&mut self, depth: u32, key: K, f: impl FnOnce(&mut C)) {
        let level = self.level(depth);
        let slot = level.pending.entry(key).or_default();
        if Rc::get_mut(slot).is_none() {
            let mut own = C::default();
            own.absorb(slot);
            *slot = Rc::new(own);
        }
        if let Some(set) = Rc::get_mut(slot) {
            f(set);
            if set.is_empty() {
                level.pending.remove(&key);
            }
        }
    }

    /// All pending changes by key, lowest level first; they stay pending.
    pub fn peek(&self) -> BTreeMap<K, Vec<Rc<C>>> {
        let mut all: BTreeMap<K, Vec<Rc<C>>> = BTreeMap::new();
        for level in &self.levels {
            for (key, set) in &level.pending {
                all.entry(*key).or_default().push(Rc::clone(set));
            }
        }
        all
    }

    /// Takes all pending changes for a flush at nesting level `depth`.
    pub fn take(&mut self, depth: u32) -> BTreeMap<K, Vec<Rc<C>>> {
        let all = self.peek();
        let mut lent = Vec::new();
        for level in &mut self.levels {
            let pending = std::mem::take(&mut level.pending);
            if level.depth < depth {
                lent.extend(pending.into_iter().map(|(k, c)| (level.depth, k, c)));
            }
        }
        if !lent.is_empty() {
            self.level(depth).consumed.extend(lent);
        }
        all
    }

    /// The sub-transaction at `depth` has been released into the one below.
    pub fn sub_commit(&mut self, depth: u32) {
        for level in self.split(depth) {
            for (key, set) in level.pending {
                self.restore(depth - 1, key, set);
            }
            for (from, key, set) in level.consumed {
                if from < depth - 1 {
                    self.level(depth - 1).consumed.push((from, key, set));
                }
            }
        }
    }

    /// The sub-transaction at `depth` has been rolled back.
    pub fn sub_abort(&mut self, depth: u32) {
        let gone = self.split(depth);
        for level in gone {
            for (from, key, set) in level.consumed {
                if from < depth {
                    self.restore(from, key, set);
                }
            }
        }
    }

    /// The transaction has ended.
    pub fn reset(&mut self) {
        self.levels.clear();
    }

    fn split(&mut self, depth: u32) -> Vec<Level<K, C>> {
        let at = self.levels.partition_point(|l| l.depth < depth);
        self.levels.split_off(at)
    }

    fn restore(&mut self, depth: u32, key: K, set: Rc<C>) {
        let level = self.level(depth);
        if let std::collections::btree_map::Entry::Vacant(e) = level.pending.entry(key) {
            e.insert(set);
            return;
        }
        self.change(depth, key, |c| c.absorb(&set));
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
}
