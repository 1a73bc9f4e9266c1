//! The lock plan: which things a flush of one TVIEW locks, in which mode, in which order.
//!
//! Two modes say what a writer did with a thing: ROW EXCLUSIVE "I changed rows of it", SHARE "I computed rows from it". The two modes conflict
//! with each other but not with themselves. A writer that did both takes SHARE ROW EXCLUSIVE, at once: two writers that hold a thing in the
//! first mode would both wait for the second one. EXCLUSIVE is for things that only one writer may have. Of a side, which nearly all writers compute
//! from and few change as a whole, ROW EXCLUSIVE says "computed" and SHARE "changed": the server takes the weaker mode without its shared table.
//!
//! | thing | writers that lock it |
//! |---|---|
//! | relation | those that recompute the query; where nothing is known about how relations meet, all writers |
//! | query | instead of the relations: a writer that recomputes the query, alone; all other writers, side by side |
//! | side of a pair of relations | instead of the relations: those that changed it, with too many values or none; those that changed the other |
//! | meeting | a value by which rows of a pair meet: those that changed rows with this value, on one side, on the other, on both |
//! | values | by which change rows find their partners, each by one writer at a time, or all of them |
//! | keys | of rows that are written, each by one writer at a time, or all of them |
//!
//! Two writers that change different relations see each other, or do not meet; two that change one relation lock what they both write to.
//!
//! A relation that is read in two places is two relations here, and who changed it has changed both. Where the values of one side are those of rows
//! between the two relations of a pair, they are looked for after the nearer pairs are locked: these are the rows that no other writer changes then.
//!
//! Invariant: what a flush locks ascends in the order of `What`, each once, so writers that lock nothing else do not wait for each other in a
//! circle. (A flush that finds no other way starts again with the whole query; a gate that is held alone is passed again.)
//! Called by the extension's `refresh::follow::locks`, which has the server's locks, and by `refresh::follow::meetings`.

use crate::strategy::{Decision, Sharing};
use std::collections::{BTreeMap, BTreeSet};

/// The things of a TVIEW that can be locked, in the order in which they are locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    Relation(u32),
    Query,
    /// Of the pairs that have so many relations between them.
    Pair(u8, OfPair),
    /// In front of all values.
    Values,
    Value(u32),
    /// In front of all keys.
    Keys,
    Key(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OfPair {
    /// Twice the number of a pair, and one more for its second side.
    Side(u32),
    Meeting(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    RowExclusive,
    Share,
    ShareRowExclusive,
    Exclusive,
}

impl Mode {
    /// As for the server's modes of these names.
    pub fn conflicts(self, other: Mode) -> bool {
        !matches!((self, other), (Mode::RowExclusive, Mode::RowExclusive) | (Mode::Share, Mode::Share))
    }

    /// The mode that conflicts with every mode that one of the two conflicts with.
    pub fn and(self, other: Mode) -> Mode {
        match (self, other) {
            (Mode::Exclusive, _) | (_, Mode::Exclusive) => Mode::Exclusive,
            (a, b) if a == b => a,
            _ => Mode::ShareRowExclusive,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lock {
    pub what: What,
    pub mode: Mode,
}

impl Lock {
    pub const ALL_VALUES: Lock = Lock { what: What::Values, mode: Mode::Exclusive };
    pub const ALL_KEYS: Lock = Lock { what: What::Keys, mode: Mode::Exclusive };
    /// Keeps out writers that recompute everything, where pairs of relations are locked.
    pub const INCREMENTAL: Lock = Lock { what: What::Query, mode: Mode::RowExclusive };
}

pub type Decisions = BTreeMap<u32, Decision>;

/// Locks for recomputing everything; `paired`: other writers lock pairs of relations.
pub fn whole(decisions: &Decisions, changed: &BTreeSet<u32>, paired: bool, mut lock: impl FnMut(Lock)) {
    for relid in decisions.keys() {
        let mode = if changed.contains(relid) { Mode::ShareRowExclusive } else { Mode::Share };
        lock(Lock { what: What::Relation(*relid), mode });
    }
    if paired {
        lock(Lock { what: What::Query, mode: Mode::Exclusive });
    }
    lock(Lock::ALL_VALUES);
    lock(Lock::ALL_KEYS);
}

/// Locks for changes that come behind the rows that are shown: against `whole`, and not against one another.
pub fn behind(changed: &BTreeSet<u32>, mut lock: impl FnMut(Lock)) {
    changed.iter().for_each(|relid| lock(Lock { what: What::Relation(*relid), mode: Mode::RowExclusive }));
}

/// Locks for following changes, where relations are locked.
pub fn relations(decisions: &Decisions, changed: &BTreeSet<u32>, mut lock: impl FnMut(Lock)) {
    for (relid, decision) in decisions {
        let mode = if !changed.contains(relid) {
            Mode::Share
        } else if changed.len() > 1 || decision.sharing == Sharing::Alone {
            // The relation is both changed and computed from.
            Mode::ShareRowExclusive
        } else {
            Mode::RowExclusive
        };
        lock(Lock { what: What::Relation(*relid), mode });
    }
}

/// What a writer has changed on one side of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touched {
    Nothing,
    /// Rows whose values are locked.
    Values,
    /// Rows whose values are not known, or too many.
    Whole,
}

/// Locks the sides of a pair: a writer that changed one side computes from the other, and says so to writers that changed the other as a whole.
/// `between`: how many relations are between the two.
pub fn sides(between: u8, pair: u32, touched: [Touched; 2], mut lock: impl FnMut(Lock)) {
    for side in 0..2 {
        let changed = (touched[side] == Touched::Whole).then_some(Mode::Share);
        let computed = (touched[1 - side] != Touched::Nothing).then_some(Mode::RowExclusive);
        let mode = match (changed, computed) {
            (Some(a), Some(b)) => Some(a.and(b)),
            (one, other) => one.or(other),
        };
        if let Some(mode) = mode {
            lock(Lock { what: What::Pair(between, OfPair::Side(2 * pair + side as u32)), mode });
        }
    }
}

/// Whether a thing is there once for all rows, so that nearly all writers lock it, side by side.
pub fn is_gate(what: What) -> bool {
    !matches!(what, What::Key(_) | What::Value(_) | What::Pair(_, OfPair::Meeting(_)))
}

/// Numbers of gates are above those of relations, unless a server has used up half of all numbers.
pub const GATES: u32 = 1 << 31;

/// The number of a gate: `class` tells kinds of things apart, `number` things of one kind. Gates that get the same number exclude each other's
/// writers without need, when one of these locks a gate alone.
pub fn gate(tview: u32, class: u16, number: u32) -> u32 {
    // The finalizer of splitmix64 (Steele, Lea, Flood 2014): each bit of the input changes half of the output's.
    let mix = |mut z: u64| {
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let all = mix(mix(u64::from(tview) << 32 | u64::from(number)) ^ u64::from(class));
    GATES | (all >> 33) as u32
}

/// Modes by value, as hashes.
pub type Meetings = BTreeMap<u32, Mode>;

/// Adds a value of rows that were changed on one side of a pair.
pub fn meet(meetings: &mut Meetings, hash: u32, side: usize) {
    let own = if side == 0 { Mode::RowExclusive } else { Mode::Share };
    meetings.entry(hash).and_modify(|mode| *mode = mode.and(own)).or_insert(own);
}

/// The lock on a value by which rows of a pair meet.
pub fn meeting(between: u8, hash: u32, mode: Mode) -> Lock {
    Lock { what: What::Pair(between, OfPair::Meeting(hash)), mode }
}

/// A side whose mode says that rows of it were changed.
pub fn side_of(mode: Mode) -> usize {
    usize::from(mode == Mode::Share)
}

/// Whether it is worth looking for the values of so many changed rows, when at most so many values are locked one by one.
pub fn is_worth_counting(rows: usize, most: usize) -> bool {
    rows <= worth_counting(most)
}

/// In how many rows it is worth looking for values.
pub fn worth_counting(most: usize) -> usize {
    most.max(1).saturating_mul(16)
}

/// Whether a flush of these changes has to lock the keys of the rows that it recomputes.
pub fn needs_keys(decisions: &Decisions, changed: &BTreeSet<u32>) -> bool {
    changed.iter().any(|r| decisions[r].sharing == Sharing::ByKey)
}

/// Whether a flush has to lock all values, where pairs of relations are locked (else the relations are). `alone`: nothing tells on which values
/// the weighted rows depend that the flush adds; None when it adds none. Then all values are locked if other flushes add weighted rows for
/// changes of one of the relations, for these values are not known here either.
pub fn needs_all_values(decisions: &Decisions, changed: &BTreeSet<u32>, paired: bool, alone: Option<bool>) -> bool {
    paired && alone.unwrap_or_else(|| changed.iter().any(|r| decisions[r].adds()))
}

/// Whether change rows of one moment can meet rows of another one in the SQL of a flush: several relations have changed, or one that is read twice.
pub fn mixes_moments(decisions: &Decisions, changed: &BTreeSet<u32>) -> bool {
    changed.len() > 1 || changed.iter().any(|r| decisions[r].repeated || decisions[r].sharing == Sharing::Alone)
}

/// Adds the hash of a value or key that will be locked. More hashes than would be locked one by one are not remembered.
pub fn note(hashes: &mut BTreeSet<u32>, hash: u32, most: usize) {
    if hashes.len() <= most {
        hashes.insert(hash);
    }
}

/// Locks values one by one, or all of them when there are more than `most`.
pub fn values(hashes: &BTreeSet<u32>, most: usize, lock: impl FnMut(Lock)) {
    one_by_one(hashes, most, Lock::ALL_VALUES, What::Value, lock);
}

/// Locks keys one by one, or all of them when there are more than `most`.
pub fn keys(hashes: &BTreeSet<u32>, most: usize, lock: impl FnMut(Lock)) {
    one_by_one(hashes, most, Lock::ALL_KEYS, What::Key, lock);
}

fn one_by_one(hashes: &BTreeSet<u32>, most: usize, all: Lock, one: fn(u32) -> What, mut lock: impl FnMut(Lock)) {
    if hashes.len() > most {
        return lock(all);
    }
    lock(Lock { what: all.what, mode: Mode::RowExclusive });
    hashes.iter().for_each(|hash| lock(Lock { what: one(*hash), mode: Mode::Exclusive }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Reason;
    use crate::strategy::Strategy;
    use Touched::{Nothing, Values, Whole};

    const RELATIONS: [u32; 3] = [11, 12, 13];
    /// The last two have a relation between them.
    const PAIRS: [[usize; 2]; 3] = [[0, 1], [1, 2], [0, 2]];
    const BETWEEN: [u8; 3] = [0, 0, 1];
    const MODES: [Mode; 4] = [Mode::RowExclusive, Mode::Share, Mode::ShareRowExclusive, Mode::Exclusive];
    const MOST: usize = 2;

    fn decisions(sharing: [Sharing; 3]) -> Decisions {
        let decision = |sharing| Decision {
            strategy: Strategy::Keyed,
            sharing,
            repeated: sharing == Sharing::Alone,
            reason: Reason::RowsRecomputed.into(),
            fallback: Strategy::Keyed,
        };
        RELATIONS.into_iter().zip(sharing.map(decision)).collect()
    }

    fn subsets() -> Vec<BTreeSet<u32>> {
        (0..8).map(|bits| (0..3).filter(|i| bits & (1 << i) != 0).map(|i| RELATIONS[i]).collect()).collect()
    }

    /// A plan; what it locks ascends.
    fn plan(f: impl FnOnce(&mut dyn FnMut(Lock))) -> Vec<Lock> {
        let mut all: Vec<Lock> = Vec::new();
        f(&mut |lock| all.push(lock));
        assert!(all.windows(2).all(|two| two[0].what < two[1].what), "{all:?}");
        all
    }

    fn conflict(a: &[Lock], b: &[Lock]) -> bool {
        a.iter().any(|x| b.iter().any(|y| x.what == y.what && x.mode.conflicts(y.mode)))
    }

    /// What a writer has changed of each relation: the values of all of its columns, or more than are counted.
    #[derive(Clone, Debug, PartialEq)]
    struct Writer([Option<Option<BTreeSet<u32>>>; 3]);

    impl Writer {
        fn all() -> Vec<Writer> {
            let sets = [vec![1], vec![2], vec![1, 2]].map(|values| Some(Some(BTreeSet::from_iter(values))));
            let of: Vec<_> = [None, Some(None)].into_iter().chain(sets).collect();
            let mut out = Vec::new();
            for a in &of {
                for b in &of {
                    for c in &of {
                        out.push(Writer([a.clone(), b.clone(), c.clone()]));
                    }
                }
            }
            out.retain(|w| w.0.iter().any(Option::is_some));
            out
        }

        /// The plan that locks pairs instead of relations.
        fn paired(&self) -> Vec<Lock> {
            plan(|mut lock| {
                lock(Lock::INCREMENTAL);
                for between in [0, 1] {
                    let mut met = Meetings::new();
                    for (number, pair) in (0..).zip(PAIRS).filter(|(number, _)| BETWEEN[*number as usize] == between) {
                        let touched = pair.map(|r| match &self.0[r] {
                            None => Nothing,
                            Some(None) => Whole,
                            Some(Some(_)) => Values,
                        });
                        sides(between, number, touched, &mut lock);
                        for (side, r) in pair.into_iter().enumerate() {
                            let values = self.0[r].iter().flatten().flatten();
                            values.for_each(|value| meet(&mut met, 8 * number + value, side));
                        }
                    }
                    met.into_iter().for_each(|(hash, mode)| lock(meeting(between, hash, mode)));
                }
            })
        }

        /// Whether rows of different relations that the two have changed can be parts of one row.
        fn meets(&self, other: &Writer) -> bool {
            let both = |a: usize, b: usize| match (&self.0[a], &other.0[b]) {
                (Some(Some(x)), Some(Some(y))) => !x.is_disjoint(y),
                (Some(_), Some(_)) => true,
                _ => false,
            };
            PAIRS.iter().any(|[a, b]| both(*a, *b) || both(*b, *a))
        }

        fn changed(&self) -> BTreeSet<u32> {
            (0..3).filter(|r| self.0[*r].is_some()).map(|r| RELATIONS[r]).collect()
        }
    }

    /// All writers of three relations, by values that they meet by.
    #[test]
    fn writers_conflict_where_they_meet_and_nowhere_else() {
        let decisions = decisions([Sharing::ByKey; 3]);
        let writers: Vec<(Writer, Vec<Lock>)> = Writer::all().into_iter().map(|w| (w.clone(), w.paired())).collect();
        for (a, locks) in &writers {
            for (b, others) in &writers {
                assert_eq!(conflict(locks, others), a.meets(b), "{a:?} {b:?}");
            }
            let all = plan(|lock| whole(&decisions, &a.changed(), true, lock));
            assert!(conflict(locks, &all) && conflict(&all, &all), "who recomputes the query excludes all others");
        }
    }

    /// All writers of three relations, by relation.
    #[test]
    fn writers_of_one_relation_go_side_by_side_unless_it_is_read_twice() {
        use Sharing::{Alone, ByKey, Free};
        for sharing in [Free, ByKey, Alone]
            .into_iter()
            .flat_map(|a| [Free, ByKey, Alone].into_iter().flat_map(move |b| [Free, ByKey, Alone].map(|c| [a, b, c])))
        {
            let decisions = decisions(sharing);
            for mine in subsets().into_iter().filter(|s| !s.is_empty()) {
                let locks = plan(|lock| relations(&decisions, &mine, lock));
                for theirs in subsets().into_iter().filter(|s| !s.is_empty()) {
                    let others = plan(|lock| relations(&decisions, &theirs, lock));
                    let one = mine == theirs && mine.len() == 1 && mine.iter().all(|r| decisions[r].sharing != Alone);
                    assert_eq!(conflict(&locks, &others), !one, "{sharing:?} {mine:?} {theirs:?}");
                    let all = plan(|lock| whole(&decisions, &theirs, false, lock));
                    assert!(conflict(&locks, &all), "{mine:?} {theirs:?}");
                }
                // A relation that is both changed and computed from is read at two moments, and its writer goes alone.
                let own = locks.iter().filter(|l| mine.iter().any(|r| l.what == What::Relation(*r)));
                let alone = own.clone().any(|l| l.mode == Mode::ShareRowExclusive);
                assert_eq!(mixes_moments(&decisions, &mine), alone, "{sharing:?} {mine:?}");
                let by_key = mine.iter().any(|r| decisions[r].sharing == ByKey);
                assert_eq!(needs_keys(&decisions, &mine), by_key);
            }
        }
    }

    /// A writer that recomputes rows which others add, by values that are not known here, excludes all of them.
    #[test]
    fn all_values_where_none_are_known() {
        use Strategy::{Delta, Fold, Full, Keyed};
        for first in [Fold, Delta, Keyed, Full] {
            let mut decisions = decisions([Sharing::ByKey; 3]);
            decisions.entry(RELATIONS[0]).and_modify(|d| d.strategy = first);
            for changed in subsets() {
                let others_add = changed.contains(&RELATIONS[0]) && first <= Delta;
                assert_eq!(needs_all_values(&decisions, &changed, true, None), others_add);
                for alone in [false, true] {
                    assert_eq!(needs_all_values(&decisions, &changed, true, Some(alone)), alone);
                    assert!(!needs_all_values(&decisions, &changed, false, Some(alone)));
                }
            }
        }
    }

    /// All sets of four values, for values and for keys.
    #[test]
    fn equal_values_are_locked_by_one_writer_at_a_time() {
        let sets = || (0..16u32).map(|bits| (0..4).filter(move |i| bits & (1 << i) != 0).collect::<Vec<u32>>());
        let noted = |all: &[u32]| {
            let mut hashes = BTreeSet::new();
            all.iter().for_each(|hash| note(&mut hashes, *hash, MOST));
            hashes
        };
        for mine in sets() {
            for theirs in sets() {
                let meet = mine.iter().any(|v| theirs.contains(v));
                let many = mine.len() > MOST || theirs.len() > MOST;
                let of_values = |hashes: &[u32]| plan(|lock| values(&noted(hashes), MOST, lock));
                let of_keys = |hashes: &[u32]| plan(|lock| keys(&noted(hashes), MOST, lock));
                assert_eq!(conflict(&of_values(&mine), &of_values(&theirs)), meet || many, "{mine:?} {theirs:?}");
                assert_eq!(conflict(&of_keys(&mine), &of_keys(&theirs)), meet || many, "{mine:?} {theirs:?}");
                assert!(!conflict(&of_keys(&mine), &of_values(&mine)));
            }
        }
    }

    /// Gates of a database with 1,000 TVIEWs: 2 of 20,000 numbers of 31 bits are equal once in ten times, by chance.
    #[test]
    fn gates_have_numbers_of_their_own() {
        let things =
            |tview: u32| (0..5u16).flat_map(move |class| (0..4).map(move |number| gate(tview, 0x7401 + class, number)));
        let all: Vec<u32> = (16_400..17_400).flat_map(things).collect();
        assert!(all.iter().all(|number| *number >= GATES));
        let apart: BTreeSet<u32> = all.iter().copied().collect();
        assert!(apart.len() + 2 >= all.len(), "{} of {}", apart.len(), all.len());
    }

    #[test]
    fn together_modes_conflict_with_what_one_of_them_does() {
        for a in MODES {
            for b in MODES {
                assert_eq!(a.conflicts(b), b.conflicts(a));
                for other in MODES {
                    assert_eq!(a.and(b).conflicts(other), a.conflicts(other) || b.conflicts(other));
                }
            }
            assert_eq!(a.and(a), a);
        }
    }
}
