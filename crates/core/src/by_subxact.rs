//! Values by the nesting level of the sub-transaction that they belong to, so that a rollback to a savepoint can take them back.
//!
//! Invariant: levels never descend from bottom to top, and no value belongs to a level above the current one. When the sub-transaction at
//! a level is rolled back, its values and those above are gone; when it is released, they belong to the level below. Sub-transactions
//! that have no values need no call. Only `push` allocates, so the end of a transaction cannot fail here.
//! Callers: the queue, and everything else that the extension keeps by level.

/// A stack of values, each with the level that it belongs to; level 1 is the transaction itself.
#[derive(Debug, Clone)]
pub struct BySubxact<T> {
    values: Vec<(u32, T)>,
}

impl<T> Default for BySubxact<T> {
    fn default() -> Self {
        BySubxact::new()
    }
}

impl<T> BySubxact<T> {
    pub const fn new() -> Self {
        BySubxact { values: Vec::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Adds a value of the current level.
    pub fn push(&mut self, level: u32, value: T) {
        debug_assert!(self.values.last().is_none_or(|(l, _)| *l <= level));
        self.values.push((level, value));
    }

    /// Takes the newest value away.
    pub fn pop(&mut self) -> Option<T> {
        self.values.pop().map(|(_, value)| value)
    }

    /// The newest value.
    pub fn last(&self) -> Option<&T> {
        self.values.last().map(|(_, value)| value)
    }

    /// All values with their levels, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (u32, &T)> {
        self.values.iter().map(|(level, value)| (*level, value))
    }

    pub fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = (u32, &mut T)> {
        self.values.iter_mut().map(|(level, value)| (*level, value))
    }

    /// Keeps the values for which `keep` is true.
    pub fn retain(&mut self, mut keep: impl FnMut(u32, &mut T) -> bool) {
        self.values.retain_mut(|(level, value)| keep(*level, value));
    }

    /// The sub-transaction at `level` has been rolled back: hands over the values that go, newest first.
    pub fn abort(&mut self, level: u32, mut gone: impl FnMut(T)) {
        while self.values.last().is_some_and(|(l, _)| *l >= level) {
            if let Some((_, value)) = self.values.pop() {
                gone(value);
            }
        }
    }

    /// The sub-transaction at `level` has been released.
    pub fn release(&mut self, level: u32) {
        for (l, _) in self.values.iter_mut().rev().take_while(|(l, _)| *l >= level) {
            *l = level - 1;
        }
    }

    /// The transaction has ended.
    pub fn clear(&mut self) {
        self.values.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Op {
        Push,
        Pop,
        Begin,
        Release,
        Rollback,
    }

    proptest! {
        /// Against a model that copies everything at each savepoint. Values of lower levels are not popped inside a savepoint.
        #[test]
        fn like_copies(ops in proptest::collection::vec(prop_oneof![
            Just(Op::Push), Just(Op::Pop), Just(Op::Begin), Just(Op::Release), Just(Op::Rollback)
        ], 0..80)) {
            let mut stack: BySubxact<usize> = BySubxact::new();
            let mut model: Vec<usize> = Vec::new();
            let mut saved: Vec<Vec<usize>> = Vec::new();
            for (n, op) in ops.iter().enumerate() {
                let level = saved.len() as u32 + 1;
                match op {
                    Op::Push => { stack.push(level, n); model.push(n); }
                    Op::Pop => if saved.last().map_or(0, Vec::len) < model.len() {
                        prop_assert_eq!(stack.pop(), model.pop());
                    },
                    Op::Begin => saved.push(model.clone()),
                    Op::Release => if saved.pop().is_some() { stack.release(level); },
                    Op::Rollback => if let Some(copy) = saved.pop() {
                        let mut gone = Vec::new();
                        stack.abort(level, |value| gone.push(value));
                        gone.extend(copy.iter().rev());
                        gone.reverse();
                        prop_assert_eq!(&gone, &model);
                        model = copy;
                    },
                }
                let all: Vec<usize> = stack.iter().map(|(_, v)| *v).collect();
                prop_assert_eq!(&all, &model);
                prop_assert_eq!(stack.last(), model.last());
                let levels: Vec<u32> = stack.iter().map(|(l, _)| l).collect();
                prop_assert!(levels.is_sorted() && levels.iter().all(|l| *l as usize <= saved.len() + 1));
            }
        }
    }
}
