//! How often each of some things was met.
//! Invariant: a name that was never met is not in the tally, and counts as 0. Used for hazards, properties, constructs, messages; `report` sums them up.

use std::collections::BTreeMap;
use std::fmt;

#[derive(Clone)]
pub struct Tally<K>(BTreeMap<K, u64>);

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Tally(BTreeMap::new())
    }
}

impl<K: fmt::Debug> fmt::Debug for Tally<K> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<K: Ord + Clone> Tally<K> {
    pub fn add(&mut self, what: K) {
        *self.0.entry(what).or_default() += 1;
    }

    pub fn merge(&mut self, other: &Tally<K>) {
        for (what, n) in &other.0 {
            *self.0.entry(what.clone()).or_default() += n;
        }
    }

    pub fn get(&self, what: &K) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&K, u64)> {
        self.0.iter().map(|(what, n)| (what, *n))
    }
}
