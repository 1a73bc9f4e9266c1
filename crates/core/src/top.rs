//! The best values of a group, and how often each is there: what the extremum is when the extremum goes.
//!
//! Let S be the multiset of a group's values. An order says which of two values is better; values that are equally good may be different *images* (1.0
//! and 1.00). The top is a list of images with their numbers in S, best first. It is *complete* when it has all images of S. Otherwise it is cut off:
//! it has every image that is better than its last one, and of those that are as good as the last one some. So a value that is better than the last
//! entry, or is an entry, is known; all others are outside, and nobody counts them.
//!
//! A value that comes: known, it is counted, or gets an entry of its own; outside, it stays there, unless the list is complete and takes it at its end. A list
//! that becomes too long loses its end. A value that goes: known, it is counted down, and its entry goes with the last one. When a list that is cut off
//! has no entries left, the best value is unknown.
//!
//! Invariant: each entry's number is that of its image in S, and no value of S that is better than some entry lacks an entry. An empty list that is cut off says
//! nothing. Called by the extension's `refresh::follow::fold` and by the aggregates that compute tops.

use std::cmp::Ordering;

/// Entries of a top, and bytes of all their values.
pub const MOST: usize = 7;
pub const ROOM: usize = 128;

/// What is to be known of values.
pub trait Values<V> {
    /// Greater: `a` is better than `b`.
    fn compare(&self, a: V, b: V) -> Ordering;
    /// Whether two equally good values are the same.
    fn same(&self, a: V, b: V) -> bool;
    /// Bytes of a value.
    fn size(&self, a: V) -> usize;
    /// The value as an entry has it.
    fn keep(&self, a: V) -> V;
    /// A value that was kept is not needed any more.
    fn free(&self, a: V);
}

#[derive(Debug, Clone, Copy)]
pub struct Top<V> {
    entries: [(V, i64); MOST],
    len: u8,
    complete: bool,
}

/// Where a value belongs.
enum Place {
    At(usize),
    Before(usize),
    /// Behind all entries, or as good as the last one.
    Behind,
}

/// What the extremum is when as good a value as the one that is shown has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next<V> {
    /// The one that is shown is still there.
    Stays,
    Becomes(V),
    /// There are no values.
    Nothing,
    Unknown,
}

impl<V: Copy> Top<V> {
    /// The top of no values, `nothing` being any value.
    pub fn empty(nothing: V) -> Top<V> {
        Top { entries: [(nothing, 0); MOST], len: 0, complete: true }
    }

    /// A top that says nothing.
    pub fn unknown(nothing: V) -> Top<V> {
        Top { complete: false, ..Top::empty(nothing) }
    }

    pub fn entries(&self) -> &[(V, i64)] {
        &self.entries[..usize::from(self.len)]
    }

    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Puts an entry behind the others; there must be room.
    pub fn append(&mut self, value: V, number: i64) {
        self.entries[usize::from(self.len)] = (value, number);
        self.len += 1;
    }

    /// There may be values that are no entries.
    pub fn cut_off(&mut self) {
        self.complete = false;
    }

    /// A value comes so often, or goes (negative weight); false when the top cannot be right.
    pub fn take(&mut self, value: V, weight: i64, of: &impl Values<V>) -> bool {
        match self.place(value, of) {
            Place::At(i) => {
                self.entries[i].1 += weight;
                let left = self.entries[i].1;
                if left <= 0 {
                    self.remove(i, of);
                }
                left >= 0
            }
            Place::Before(i) => weight >= 0 && (weight == 0 || self.insert(i, value, weight, of)),
            Place::Behind if self.complete => {
                weight >= 0 && (weight == 0 || self.insert(usize::from(self.len), value, weight, of))
            }
            Place::Behind => true,
        }
    }

    /// What the extremum is, when as good a value as `shown` has gone.
    pub fn next(&self, shown: V, of: &impl Values<V>) -> Next<V> {
        let mut best = self.entries().iter().take_while(|(v, _)| of.compare(*v, shown) != Ordering::Less);
        if best.any(|(v, _)| of.same(*v, shown)) {
            return Next::Stays;
        }
        match (self.entries().first(), self.complete) {
            (Some((value, _)), _) => Next::Becomes(*value),
            (None, true) => Next::Nothing,
            (None, false) => Next::Unknown,
        }
    }

    /// Takes in the top of other values: then it is that of all of them together. Nothing here has to be dropped.
    pub fn merge(&mut self, other: &Top<V>, of: &impl Values<V>) {
        let mine = *self;
        let (mut a, mut b, mut bytes) = (mine.entries(), other.entries(), 0);
        (self.len, self.complete) = (0, mine.complete && other.complete);
        while let Some((best, _)) = a.first().or(b.first()) {
            let best = match b.first() {
                Some((theirs, _)) if of.compare(*theirs, *best) == Ordering::Greater => *theirs,
                _ => *best,
            };
            // What is as good as the best: in front of the rest of both lists.
            let equal = |list: &[(V, i64)]| list.iter().take_while(|(v, _)| of.compare(*v, best).is_eq()).count();
            let ((own, rest), (theirs, others)) = (a.split_at(equal(a)), b.split_at(equal(b)));
            (a, b) = (rest, others);
            // What one of the two lists does not know, the sum does not know.
            let is_known = |others: &[(V, i64)], by: &Top<V>| by.complete || !others.is_empty();
            // Asked before any value here is freed.
            let is_new = |v: V| !own.iter().any(|(o, _)| of.same(*o, v));
            let new = theirs.iter().enumerate().filter(|(_, (v, _))| is_new(*v)).fold(0_u8, |all, (i, _)| all | 1 << i);
            for (value, number) in own {
                match theirs.iter().find(|(v, _)| of.same(*v, *value)) {
                    Some((_, more)) => self.push(*value, number + more, &mut bytes, of),
                    None if is_known(others, other) => self.push(*value, *number, &mut bytes, of),
                    None => of.free(*value),
                }
            }
            for (_, (value, number)) in theirs.iter().enumerate().filter(|(i, _)| new & 1 << i != 0) {
                if is_known(rest, &mine) {
                    self.push(of.keep(*value), *number, &mut bytes, of);
                }
            }
        }
    }

    /// Puts an entry that was kept behind the others, as long as there is room; from the first one on for which there is none, none is.
    fn push(&mut self, value: V, number: i64, bytes: &mut usize, of: &impl Values<V>) {
        *bytes += of.size(value);
        if usize::from(self.len) == MOST || *bytes > ROOM {
            (self.complete, *bytes) = (false, ROOM + 1);
            of.free(value);
        } else {
            self.append(value, number);
        }
    }

    fn place(&self, value: V, of: &impl Values<V>) -> Place {
        let entries = self.entries();
        // Most values are behind a list that is cut off.
        if let Some((last, _)) = entries.last().filter(|_| !self.complete)
            && of.compare(value, *last) == Ordering::Less
        {
            return Place::Behind;
        }
        for (i, (entry, _)) in entries.iter().enumerate() {
            match of.compare(value, *entry) {
                Ordering::Greater => return Place::Before(i),
                Ordering::Equal if of.same(value, *entry) => return Place::At(i),
                _ => {}
            }
        }
        Place::Behind
    }

    /// Returns true: what is inserted is right, wherever the list ends.
    fn insert(&mut self, i: usize, value: V, number: i64, of: &impl Values<V>) -> bool {
        let len = usize::from(self.len);
        if i == MOST {
            self.complete = false;
            return true;
        }
        if len == MOST {
            of.free(self.entries[MOST - 1].0);
            self.complete = false;
        }
        let last = len.min(MOST - 1);
        self.entries.copy_within(i..last, i + 1);
        self.entries[i] = (of.keep(value), number);
        self.len = last as u8 + 1;
        let mut bytes: usize = self.entries().iter().map(|(v, _)| of.size(*v)).sum();
        while bytes > ROOM {
            let (gone, _) = self.entries[usize::from(self.len) - 1];
            bytes -= of.size(gone);
            of.free(gone);
            self.len -= 1;
            self.complete = false;
        }
        true
    }

    fn remove(&mut self, i: usize, of: &impl Values<V>) {
        let len = usize::from(self.len);
        of.free(self.entries[i].0);
        self.entries.copy_within(i + 1..len, i);
        self.len -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::RefCell;
    use std::collections::{BTreeMap, BTreeSet};

    /// A value: how good it is, and its image among those that are as good. Long values are five to a top.
    type Value = (u8, u8);

    struct Pairs;

    impl Values<Value> for Pairs {
        fn compare(&self, a: Value, b: Value) -> Ordering {
            a.0.cmp(&b.0)
        }
        fn same(&self, a: Value, b: Value) -> bool {
            a == b
        }
        fn size(&self, a: Value) -> usize {
            if a.0.is_multiple_of(2) { 8 } else { 24 }
        }
        fn keep(&self, a: Value) -> Value {
            a
        }
        fn free(&self, _: Value) {}
    }

    /// Values of one owner are freed, and must not be looked at then.
    #[derive(Default)]
    struct Watched(RefCell<BTreeSet<(Value, bool)>>);

    impl Watched {
        fn live(&self, a: (Value, bool)) -> Value {
            assert!(!self.0.borrow().contains(&a), "a freed value is looked at");
            a.0
        }
    }

    impl Values<(Value, bool)> for Watched {
        fn compare(&self, a: (Value, bool), b: (Value, bool)) -> Ordering {
            Pairs.compare(self.live(a), self.live(b))
        }
        fn same(&self, a: (Value, bool), b: (Value, bool)) -> bool {
            Pairs.same(self.live(a), self.live(b))
        }
        fn size(&self, a: (Value, bool)) -> usize {
            Pairs.size(self.live(a))
        }
        fn keep(&self, a: (Value, bool)) -> (Value, bool) {
            let kept = (self.live(a), true);
            self.0.borrow_mut().remove(&kept);
            kept
        }
        fn free(&self, a: (Value, bool)) {
            assert!(a.1 && self.0.borrow_mut().insert(a), "freed once, by its owner");
        }
    }

    proptest! {
        #[test]
        fn merging_looks_at_no_freed_value(
            mine in proptest::collection::vec((0u8..6, 0u8..4), 0..20),
            theirs in proptest::collection::vec((0u8..6, 0u8..4), 0..20)
        ) {
            let top = |values: &[Value], owner: bool| {
                let mut top = Top::empty(((0, 0), owner));
                let all = Watched::default();
                values.iter().for_each(|v| { top.take((*v, owner), 1, &Quiet(&all)); });
                top
            };
            let (mut mine, theirs) = (top(&mine, true), top(&theirs, false));
            mine.merge(&theirs, &Watched::default());
        }
    }

    /// Without watching: while lists are made, ends are freed of either owner.
    struct Quiet<'a>(&'a Watched);

    impl Values<(Value, bool)> for Quiet<'_> {
        fn compare(&self, a: (Value, bool), b: (Value, bool)) -> Ordering {
            self.0.compare(a, b)
        }
        fn same(&self, a: (Value, bool), b: (Value, bool)) -> bool {
            self.0.same(a, b)
        }
        fn size(&self, a: (Value, bool)) -> usize {
            self.0.size(a)
        }
        fn keep(&self, a: (Value, bool)) -> (Value, bool) {
            a
        }
        fn free(&self, _: (Value, bool)) {}
    }

    type Bag = BTreeMap<Value, i64>;

    fn top_of(bag: &Bag) -> Top<Value> {
        let mut top = Top::empty((0, 0));
        for (value, number) in bag {
            assert!(top.take(*value, *number, &Pairs));
        }
        top
    }

    /// The invariant.
    fn is_right(top: &Top<Value>, bag: &Bag) -> std::result::Result<(), TestCaseError> {
        let entries = top.entries();
        prop_assert!(entries.windows(2).all(|two| two[0].0.0 >= two[1].0.0), "in order");
        prop_assert!(entries.iter().map(|(v, _)| Pairs.size(*v)).sum::<usize>() <= ROOM);
        for (value, number) in entries {
            prop_assert_eq!(Some(number), bag.get(value));
        }
        let last = entries.last().map(|(v, _)| v.0);
        for value in bag.keys() {
            let must = top.is_complete() || last.is_some_and(|last| value.0 > last);
            prop_assert!(!must || entries.iter().any(|(v, _)| v == value), "{:?} is missing", value);
        }
        Ok(())
    }

    fn bag() -> impl Strategy<Value = Bag> {
        proptest::collection::btree_map((0u8..8, 0u8..3), 1i64..3, 0..14)
    }

    proptest! {
        /// Changes step by step, those that come before those that go.
        #[test]
        fn counts_what_it_has(bags in proptest::collection::vec(bag(), 1..6)) {
            let mut top = top_of(&bags[0]);
            is_right(&top, &bags[0])?;
            for two in bags.windows(2) {
                for (value, number) in &two[1] {
                    prop_assert!(top.take(*value, *number, &Pairs));
                }
                for (value, number) in &two[0] {
                    prop_assert!(top.take(*value, -*number, &Pairs));
                }
                is_right(&top, &two[1])?;
            }
        }

        /// The extremum after changes, as a fold asks for it.
        #[test]
        fn knows_the_next_one(before: Bag, gone: proptest::sample::Index) {
            let before: Bag = before.into_iter().map(|((a, b), n)| ((a % 8, b % 3), 1 + n.rem_euclid(2))).collect();
            prop_assume!(!before.is_empty());
            let mut top = top_of(&before);
            let best = before.keys().map(|v| v.0).max();
            let shown = *before.keys().filter(|v| Some(v.0) == best).nth(gone.index(before.keys().filter(|v| Some(v.0) == best).count())).unwrap();
            let mut now = before.clone();
            let leaving = *before.keys().rfind(|v| Some(v.0) == best).unwrap();
            *now.get_mut(&leaving).unwrap() -= 1;
            now.retain(|_, n| *n > 0);
            prop_assert!(top.take(leaving, -1, &Pairs));
            match top.next(shown, &Pairs) {
                Next::Stays => prop_assert!(now.contains_key(&shown)),
                Next::Becomes(value) => {
                    prop_assert!(now.contains_key(&value) && !now.contains_key(&shown) || top.entries().iter().all(|(v, _)| *v != shown));
                    prop_assert_eq!(Some(value.0), now.keys().map(|v| v.0).max());
                }
                Next::Nothing => prop_assert!(now.is_empty()),
                Next::Unknown => prop_assert!(!top.is_complete()),
            }
        }

        /// Tops of parts add up.
        #[test]
        fn merges(a in bag(), b in bag()) {
            let mut all = a.clone();
            b.iter().for_each(|(v, n)| *all.entry(*v).or_default() += n);
            let mut merged = top_of(&a);
            merged.merge(&top_of(&b), &Pairs);
            is_right(&merged, &all)?;
            prop_assert!(!merged.entries().is_empty() || all.is_empty());
        }
    }

    /// It says of a value that was not there that something is wrong, where it can know.
    #[test]
    fn notices_what_was_not_there() {
        let mut top = Top::empty((0u8, 0u8));
        assert!(top.take((3, 0), 1, &Pairs));
        assert!(!top.take((4, 0), -1, &Pairs));
        assert!(!top.take((3, 1), -1, &Pairs));
        assert!(!top.take((3, 0), -2, &Pairs));
        assert!(Top::unknown((0, 0)).take((3, 0), -1, &Pairs));
    }
}
