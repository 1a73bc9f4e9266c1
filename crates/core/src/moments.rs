//! The moment until which each reader has followed the changes, by sub-transaction.
//!
//! A flush brings some readers, or all of them, up to a moment. The changes that a reader has to follow begin at its own moment: the newest moment
//! that was set for it or for all, in the live sub-transactions. Rolling back a sub-transaction undoes its flushes, too.
//! Invariant: `first(r)` is the moment that a map from readers to moments, copied at each savepoint, would give. Of one level, no more than the
//! needed moments are kept: one for each reader since the last moment for all.
//! Called by the extension's `refresh::follow::base`, whose moments are commands.

use crate::by_subxact::BySubxact;
use std::collections::BTreeSet;

/// Moments of readers; None: of all readers.
#[derive(Debug, Clone)]
pub struct Moments<M> {
    held: BySubxact<(Option<u32>, M)>,
}

impl<M: Copy> Default for Moments<M> {
    fn default() -> Self {
        Moments::new()
    }
}

impl<M: Copy> Moments<M> {
    pub const fn new() -> Self {
        Moments { held: BySubxact::new() }
    }

    /// These readers have followed the changes until `now`; None: all readers have.
    pub fn set(&mut self, level: u32, readers: Option<&BTreeSet<u32>>, now: M) {
        let Some(readers) = readers else {
            self.held.retain(|of, _| of < level);
            self.held.push(level, (None, now));
            return;
        };
        readers.iter().for_each(|r| self.held.push(level, (Some(*r), now)));
        self.forget();
    }

    /// The moment of a reader; None before the first one.
    pub fn first(&self, reader: u32) -> Option<M> {
        self.held.iter().rev().find(|(_, (of, _))| of.is_none_or(|r| r == reader)).map(|(_, (_, moment))| *moment)
    }

    /// The newest moment of any reader.
    pub fn last(&self) -> Option<M> {
        self.held.last().map(|(_, moment)| *moment)
    }

    /// Removes moments that a newer moment of the same level replaces.
    fn forget(&mut self) {
        let (mut of_level, mut newer) = (0, BTreeSet::new());
        let mut needed = Vec::new();
        for (level, (reader, _)) in self.held.iter().rev() {
            if level != of_level {
                (of_level, newer) = (level, BTreeSet::new());
            }
            needed.push(!newer.contains(&None) && newer.insert(*reader));
        }
        self.held.retain(|_, _| needed.pop() == Some(true));
    }

    /// The sub-transaction at `level` has been released into the one below.
    pub fn release(&mut self, level: u32) {
        self.held.release(level);
    }

    /// The sub-transaction at `level` has been rolled back.
    pub fn abort(&mut self, level: u32) {
        self.held.abort(level, drop);
    }

    /// The transaction has ended.
    pub fn clear(&mut self) {
        self.held.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const READERS: u32 = 3;

    #[derive(Clone, Debug)]
    enum Op {
        Flush(Option<BTreeSet<u32>>),
        Begin,
        Release,
        Rollback,
    }

    proptest! {
        /// Against a map that is copied at every savepoint.
        #[test]
        fn like_copies(ops in proptest::collection::vec(prop_oneof![
            3 => proptest::collection::btree_set(0..READERS, 0..3).prop_map(|readers| Op::Flush(Some(readers))),
            1 => Just(Op::Flush(None)), 2 => Just(Op::Begin), 1 => Just(Op::Release), 1 => Just(Op::Rollback)
        ], 0..60)) {
            let mut moments: Moments<usize> = Moments::new();
            let mut model = [None; READERS as usize];
            let mut saved = Vec::new();
            for (n, op) in ops.iter().enumerate() {
                let level = saved.len() as u32 + 1;
                match op {
                    Op::Flush(readers) => {
                        moments.set(level, readers.as_ref(), n);
                        let of = |r: u32| readers.as_ref().is_none_or(|readers| readers.contains(&r));
                        (0..READERS).filter(|r| of(*r)).for_each(|r| model[r as usize] = Some(n));
                    }
                    Op::Begin => saved.push(model),
                    Op::Release => if saved.pop().is_some() { moments.release(level); },
                    Op::Rollback => if let Some(copy) = saved.pop() { moments.abort(level); model = copy; },
                }
                for (reader, moment) in (0..READERS).zip(&model) {
                    prop_assert_eq!(moments.first(reader), *moment);
                }
            }
        }
    }

    #[test]
    fn one_level_keeps_no_more_than_it_takes() {
        let mut moments = Moments::new();
        for n in 0..100 {
            moments.set(1, (n % 10 > 0).then(|| BTreeSet::from([n % 3])).as_ref(), n);
            let kept = moments.held.iter().count();
            assert!(kept <= if n % 10 > 0 { READERS as usize + 1 } else { 1 });
        }
    }
}
