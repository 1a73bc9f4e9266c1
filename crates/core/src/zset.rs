//! A Z-set: a multiset whose weights may be negative, the currency of change sets.
//!
//! Invariant: no entry has weight zero, so an insert and a delete of the same row leave nothing behind.
//! Called by the transaction queue for every captured row.

use std::collections::hash_map::{Entry, HashMap};
use std::hash::Hash;

/// Rows with integer weights: `+1` a row that appeared, `-1` a row that vanished.
#[derive(Debug, Clone)]
pub struct ZSet<R: Eq + Hash> {
    rows: HashMap<R, i64>,
}

impl<R: Eq + Hash> Default for ZSet<R> {
    fn default() -> Self {
        ZSet { rows: HashMap::new() }
    }
}

impl<R: Eq + Hash> ZSet<R> {
    /// Adds `weight` copies of `row`; returns the change of the number of distinct rows (-1, 0 or 1).
    pub fn add(&mut self, row: R, weight: i64) -> i32 {
        if weight == 0 {
            return 0;
        }
        match self.rows.entry(row) {
            Entry::Vacant(e) => {
                e.insert(weight);
                1
            }
            Entry::Occupied(mut e) => {
                *e.get_mut() += weight;
                if *e.get() == 0 {
                    e.remove();
                    return -1;
                }
                0
            }
        }
    }

    /// Number of distinct rows with a weight.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&R, i64)> {
        self.rows.iter().map(|(r, w)| (r, *w))
    }

    pub fn clear(&mut self) {
        self.rows.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn insert_then_delete_vanishes() {
        let mut z = ZSet::default();
        assert_eq!(z.add("a", 1), 1);
        assert_eq!(z.add("a", 1), 0);
        assert_eq!(z.add("a", -2), -1);
        assert!(z.is_empty());
    }

    proptest! {
        /// The order of additions does not matter, and equals a sum per row.
        #[test]
        fn sums(rows in proptest::collection::vec((0u8..4, -2i64..3), 0..40)) {
            let mut forward = ZSet::default();
            let mut backward = ZSet::default();
            for (r, w) in &rows { forward.add(*r, *w); }
            for (r, w) in rows.iter().rev() { backward.add(*r, *w); }
            for r in 0u8..4 {
                let sum: i64 = rows.iter().filter(|x| x.0 == r).map(|x| x.1).sum();
                let f: i64 = forward.iter().filter(|x| *x.0 == r).map(|x| x.1).sum();
                let b: i64 = backward.iter().filter(|x| *x.0 == r).map(|x| x.1).sum();
                prop_assert_eq!(f, sum);
                prop_assert_eq!(b, sum);
            }
            prop_assert!(forward.iter().all(|(_, w)| w != 0));
        }
    }
}
