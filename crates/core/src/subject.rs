//! The subject of a pending change, and the fate of the change when some TVIEWs follow.
//!
//! Changes of a relation are pending for all TVIEWs that read it. A flush of some of these TVIEWs takes the changes and leaves them pending for
//! the others, as the same set under another subject:
//!
//! pending for W, flushed by F: followed by W ∩ F, pending for W − F
//!
//! Invariant: each reader follows each change once, whichever changes other readers have followed. Called by the extension's queue, and by its flush.

use crate::queue::Fate;
use std::collections::BTreeSet;
use std::rc::Rc;

/// TVIEWs that read a relation.
pub type Readers = Rc<BTreeSet<u32>>;

/// The subject of a pending change. Relations sort before TVIEWs to recompute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// Rows of this relation changed, and no TVIEW that reads it has followed.
    Relation(u32),
    /// Rows of this relation changed, and only these TVIEWs have not followed.
    Awaited(u32, Readers),
    /// This TVIEW must be recomputed, whatever changed.
    Recompute(u32),
}

/// The fate of a pending change in a flush of some TVIEWs. `readers`: the TVIEWs that read a relation.
pub fn fate(subject: &Subject, tviews: &BTreeSet<u32>, readers: &impl Fn(u32) -> Readers) -> Fate<Subject> {
    let (relid, waiting) = match subject {
        Subject::Recompute(tview) if tviews.contains(tview) => return Fate::Take,
        Subject::Recompute(_) => return Fate::Leave,
        Subject::Relation(relid) => (*relid, readers(*relid)),
        Subject::Awaited(relid, waiting) => (*relid, Rc::clone(waiting)),
    };
    if waiting.is_disjoint(tviews) {
        return Fate::Leave;
    }
    match &*waiting - tviews {
        rest if rest.is_empty() => Fate::Take,
        rest => Fate::Share(Subject::Awaited(relid, Rc::new(rest))),
    }
}

/// The subject that such a flush has followed.
pub fn followed(subject: &Subject, tviews: &BTreeSet<u32>, readers: &impl Fn(u32) -> Readers) -> Subject {
    match subject {
        Subject::Relation(relid) => Subject::Awaited(*relid, Rc::new(&*readers(*relid) & tviews)),
        Subject::Awaited(relid, waiting) => Subject::Awaited(*relid, Rc::new(&**waiting & tviews)),
        Subject::Recompute(_) => subject.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{Absorb, Queue};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[derive(Default, Clone, Debug)]
    struct Bag(Vec<usize>);

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

    const RELATIONS: [u32; 2] = [1, 2];
    const TVIEWS: [u32; 3] = [10, 11, 12];

    /// The first relation is read by the first two, the second one by the last two.
    fn readers(relid: u32) -> Readers {
        Rc::new(if relid == RELATIONS[0] { BTreeSet::from([10, 11]) } else { BTreeSet::from([11, 12]) })
    }

    fn waits(subject: &Subject, tview: u32) -> bool {
        match subject {
            Subject::Relation(relid) => readers(*relid).contains(&tview),
            Subject::Awaited(_, waiting) => waiting.contains(&tview),
            Subject::Recompute(of) => *of == tview,
        }
    }

    fn of(sets: &BTreeMap<Subject, Vec<Rc<Bag>>>, tview: u32) -> Vec<usize> {
        let its = sets.iter().filter(|(subject, _)| waits(subject, tview));
        let mut all: Vec<usize> = its.flat_map(|(_, sets)| sets).flat_map(|bag| bag.0.clone()).collect();
        all.sort_unstable();
        all
    }

    #[derive(Clone, Debug)]
    enum Op {
        Change(usize),
        Recompute(usize),
        Flush(BTreeSet<u32>),
        Begin,
        Release,
        Rollback,
    }

    proptest! {
        /// Against a list for each TVIEW of the changes that it has not followed, copied at every savepoint.
        #[test]
        fn each_follows_each_change_once(ops in proptest::collection::vec(prop_oneof![
            4 => (0..RELATIONS.len()).prop_map(Op::Change), 1 => (0..TVIEWS.len()).prop_map(Op::Recompute),
            3 => proptest::collection::btree_set(proptest::sample::select(&TVIEWS[..]), 1..3).prop_map(Op::Flush),
            2 => Just(Op::Begin), 1 => Just(Op::Release), 1 => Just(Op::Rollback)
        ], 0..50)) {
            let mut queue: Queue<Subject, Bag> = Queue::default();
            let mut model: BTreeMap<u32, Vec<usize>> = TVIEWS.into_iter().map(|t| (t, Vec::new())).collect();
            let mut saved = Vec::new();
            for (n, op) in ops.iter().enumerate() {
                let depth = saved.len() as u32 + 1;
                match op {
                    Op::Change(relation) => {
                        let subject = Subject::Relation(RELATIONS[*relation]);
                        model.iter_mut().filter(|(t, _)| waits(&subject, **t)).for_each(|(_, list)| list.push(n));
                        queue.change(depth, subject, |bag| bag.0.push(n));
                    }
                    Op::Recompute(tview) => {
                        queue.change(depth, Subject::Recompute(TVIEWS[*tview]), |bag| bag.0.push(n));
                        model.entry(TVIEWS[*tview]).or_default().push(n);
                    }
                    Op::Flush(tviews) => {
                        let taken = queue.take_some(depth, |subject| fate(subject, tviews, &readers));
                        for (tview, list) in model.iter_mut().filter(|(t, _)| tviews.contains(t)) {
                            prop_assert_eq!(&of(&taken, *tview), &*list);
                            list.clear();
                        }
                        for subject in taken.keys() {
                            let done = followed(subject, tviews, &readers);
                            for tview in TVIEWS {
                                prop_assert_eq!(waits(&done, tview), waits(subject, tview) && tviews.contains(&tview));
                            }
                        }
                    }
                    Op::Begin => saved.push(model.clone()),
                    Op::Release => if saved.pop().is_some() { queue.sub_commit(depth); },
                    Op::Rollback => if let Some(before) = saved.pop() { queue.sub_abort(depth); model = before; },
                }
                for (tview, list) in &model {
                    prop_assert_eq!(&of(&queue.peek(), *tview), list);
                }
            }
        }
    }
}
