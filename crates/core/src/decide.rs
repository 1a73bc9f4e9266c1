//! How a change of one base relation is followed: strategy, sharing, reason, fallback.
//!
//! The cheapest strategy that is possible is taken, in the order fold, delta, keyed, range, full:
//!
//! | strategy | possible when |
//! |---|---|
//! | fold | all aggregates have inverses, and the weighted rows of the groups' inputs can be told |
//! | delta | there is no key and no state, the output is one row for each row of the join or a sum of such branches, and its weighted rows can be told |
//! | keyed | there is a key, and every place where the relation is read leads to the keys that a change concerns |
//! | range | the output is the first rows of one relation in an order, and shows what they are ordered by |
//! | full | always |
//!
//! Only full is possible where change rows lack something that the query reads, or where the user asks for full. Changes that the cheapest
//! strategy cannot follow (several relations together, groups whose state does not say) are followed by the fallback: keyed where keyed is
//! possible, full elsewhere.
//!
//! Sharing says which locks two writers of the relation need to see each other, where other locks keep apart those of its places in which rows meet.
//! Writers whose weighted rows depend on rows for which nothing can be locked follow one another.
//! Writers of what is ordered follow one another as well, as far as they reach the rows that are shown.
//! Where one output row comes from several rows (groups, partitions, null-extended rows), its key is locked. Else a view row belongs to one
//! row of the relation, on whose lock the two writers have met already.
//!
//! Invariant: the decision depends on its arguments only, and no attempt is made that the decision does not need. Called by the extension's
//! `refresh::plan::decide`, whose attempts write the SQL.

use crate::model::Shape;
use crate::reason::{Because, Reason};
use crate::strategy::{Decision, Sharing, Strategy};
use std::collections::BTreeMap;

/// The facts about the query.
#[derive(Debug, Clone)]
pub struct Query<'a> {
    pub shape: &'a Shape,
    /// Positions of the output columns that are a key; an empty list when there is one row at most.
    pub key: Option<&'a [usize]>,
    /// Whether the state of the query's groups can be kept.
    pub fold: Result<(), Reason>,
    /// The query is a UNION ALL.
    pub is_sum: bool,
    /// The query is about rows of one relation in an order, and shows what they are ordered by: how changes of it are followed.
    pub in_order: Option<Reason>,
    /// The user wants the TVIEW recomputed.
    pub mode_full: bool,
}

/// How a relation is read.
#[derive(Debug, Clone)]
pub struct Read {
    /// In how many places the query reads it.
    pub times: usize,
    /// Why its change rows lack something that the query reads.
    pub hidden: Option<Reason>,
}

/// Keys that changes of a relation lead to.
#[derive(Debug, Clone)]
pub struct Keys {
    /// From how many of the places where it is read.
    pub places: usize,
    /// Two rows of the relation can be parts of one output row.
    pub meet: bool,
}

/// Weighted rows by which changes of a relation change the rows below GROUP BY, or the output.
#[derive(Debug, Clone)]
pub struct Weighted {
    /// The weighted rows depend on other rows of the relation.
    pub flips: bool,
    /// Nothing that could be locked makes two writers see each other.
    pub alone: bool,
    /// The weighted rows are found through the keys of base relations.
    pub anchored: bool,
}

/// Facts that only an attempt to write the SQL can tell.
pub trait Attempts {
    type Error;
    fn keys(&mut self) -> Result<Result<Keys, Reason>, Self::Error>;
    /// The rows that are taken into groups.
    fn taken_in(&mut self) -> Result<Result<Weighted, Reason>, Self::Error>;
    /// The rows that are added to the output and taken away from it.
    fn added(&mut self) -> Result<Result<Weighted, Reason>, Self::Error>;
    /// Where changed rows are in the order of the query.
    fn placed(&mut self) -> Result<Result<(), Reason>, Self::Error>;
}

/// The decision for one relation, and whether its strategy needs the keys of base relations.
pub fn decide<A: Attempts>(query: &Query, read: &Read, attempts: &mut A) -> Result<(Decision, bool), A::Error> {
    if query.mode_full {
        return Ok((Decision::full(Reason::ModeFull), false));
    }
    let decision = match query.key {
        Some([]) if *query.shape == Shape::Rows => Decision::full(Reason::OneValue),
        None | Some([]) => Decision::full(no_key(query.shape)),
        Some(_) => by_key(query, read, attempts)?,
    };
    if read.hidden.is_some() {
        return Ok((decision, false));
    }
    if let Some(reason) = query.in_order {
        return Ok((in_order(attempts.placed()?, reason, decision), false));
    }
    if query.fold.is_ok() {
        return Ok(weighted(attempts.taken_in()?, Strategy::Fold, read, decision));
    }
    if query.key.is_none() && (*query.shape == Shape::Rows || query.is_sum) {
        return Ok(weighted(attempts.added()?, Strategy::Delta, read, decision));
    }
    let of_groups = decision.strategy == Strategy::Keyed && matches!(query.shape, Shape::Groups(_));
    let no_better = query.fold.err().filter(|_| of_groups);
    Ok((Decision { reason: Because { no_better, ..decision.reason }, ..decision }, false))
}

fn by_key<A: Attempts>(query: &Query, read: &Read, attempts: &mut A) -> Result<Decision, A::Error> {
    if let Shape::Opaque(why) = query.shape {
        return Ok(Decision::full(*why));
    }
    if let Some(why) = read.hidden {
        return Ok(Decision::full(why));
    }
    let keys = match attempts.keys()? {
        Err(why) => return Ok(Decision::full(why)),
        Ok(keys) if keys.places < read.times => return Ok(Decision::full(Reason::NotFollowed)),
        Ok(keys) => keys,
    };
    let grouped = *query.shape != Shape::Rows;
    let sharing = if grouped || keys.meet { Sharing::ByKey } else { Sharing::Free };
    let reason = match query.shape {
        Shape::Partitions(_) => Reason::PartitionsRecomputed,
        Shape::Rows => Reason::RowsRecomputed,
        _ => Reason::GroupsRecomputed,
    };
    let repeated = read.times > 1;
    Ok(Decision { strategy: Strategy::Keyed, sharing, repeated, reason: reason.into(), fallback: Strategy::Keyed })
}

/// Fold or delta where the weighted rows can be told, `otherwise` where not.
fn weighted(rows: Result<Weighted, Reason>, strategy: Strategy, read: &Read, otherwise: Decision) -> (Decision, bool) {
    let rows = match rows {
        Ok(rows) => rows,
        Err(why) => {
            let reason = Because { no_better: Some(why), ..otherwise.reason };
            return (Decision { reason, ..otherwise }, false);
        }
    };
    let reason = match (strategy, rows.flips) {
        (Strategy::Fold, false) => Reason::TakenIn,
        (Strategy::Fold, true) => Reason::AffectedTakenIn,
        (_, false) => Reason::Added,
        (_, true) => Reason::AffectedAdded,
    };
    let (sharing, repeated) = (if rows.alone { Sharing::Alone } else { Sharing::ByKey }, read.times > 1);
    (Decision { strategy, sharing, repeated, reason: reason.into(), fallback: otherwise.strategy }, rows.anchored)
}

/// Range where the places of changed rows can be told, `otherwise` where not.
fn in_order(placed: Result<(), Reason>, reason: Reason, otherwise: Decision) -> Decision {
    match placed {
        Err(why) => Decision { reason: Because { no_better: Some(why), ..otherwise.reason }, ..otherwise },
        Ok(()) => Decision { strategy: Strategy::Range, sharing: Sharing::Alone, reason: reason.into(), ..otherwise },
    }
}

/// Why an output has no key.
pub fn no_key(shape: &Shape) -> Reason {
    match shape {
        Shape::Opaque(why) => *why,
        Shape::Groups(g) if g.is_empty() => Reason::OneGroup,
        Shape::Groups(_) => Reason::GroupNotShown,
        Shape::Rows => Reason::NoKey,
        Shape::Partitions(_) => Reason::PartitionWithoutEquality,
        Shape::Distinct => Reason::OutputWithoutEquality,
    }
}

/// Whether groups can be found again, so that it makes sense to keep their state.
pub fn finds_groups(shape: &Shape, key: Option<&[usize]>) -> Result<(), Reason> {
    match (key, shape) {
        (None, Shape::Groups(g)) if !g.is_empty() => Err(no_key(shape)),
        (None, Shape::Distinct) => Err(no_key(shape)),
        _ => Ok(()),
    }
}

/// Whether writers of different relations may go side by side, as far as the rows that they change do not meet.
pub fn may_share(decisions: &BTreeMap<u32, Decision>) -> bool {
    decisions.values().all(|d| d.strategy != Strategy::Full && d.sharing != Sharing::Alone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    /// Answers to the attempts, and which attempts were made.
    #[derive(Clone)]
    struct Given {
        keys: Result<Keys, Reason>,
        taken_in: Result<Weighted, Reason>,
        added: Result<Weighted, Reason>,
        placed: Result<(), Reason>,
        asked: Vec<Strategy>,
    }

    impl Attempts for Given {
        type Error = Infallible;
        fn keys(&mut self) -> Result<Result<Keys, Reason>, Infallible> {
            self.asked.push(Strategy::Keyed);
            Ok(self.keys.clone())
        }
        fn taken_in(&mut self) -> Result<Result<Weighted, Reason>, Infallible> {
            self.asked.push(Strategy::Fold);
            Ok(self.taken_in.clone())
        }
        fn added(&mut self) -> Result<Result<Weighted, Reason>, Infallible> {
            self.asked.push(Strategy::Delta);
            Ok(self.added.clone())
        }
        fn placed(&mut self) -> Result<Result<(), Reason>, Infallible> {
            self.asked.push(Strategy::Range);
            Ok(self.placed)
        }
    }

    fn all_weighted() -> Vec<Result<Weighted, Reason>> {
        let flags = |n: u8| Weighted { flips: n & 1 != 0, alone: n & 2 != 0, anchored: n & 4 != 0 };
        (0..8).map(|n| Ok(flags(n))).chain([Err(Reason::ManyTogether)]).collect()
    }

    /// Every query and every way to read a relation, with every answer to the attempts.
    fn each(mut f: impl FnMut(&Query, &Read, Given)) {
        let shapes = [
            Shape::Rows,
            Shape::Groups(vec![]),
            Shape::Groups(vec![Some(0)]),
            Shape::Distinct,
            Shape::Partitions(vec![0]),
            Shape::Opaque(Reason::Limit),
        ];
        let no_keys = [Err(Reason::WholeRow), Ok(Keys { places: 0, meet: false })];
        let some_keys = [false, true].into_iter().flat_map(|meet| [1, 2].map(|places| Ok(Keys { places, meet })));
        let keys: Vec<_> = no_keys.into_iter().chain(some_keys).collect();
        for shape in &shapes {
            for key in [None, Some(&[][..]), Some(&[0][..])] {
                for fold in [Ok(()), Err(Reason::FloatingSum)] {
                    for flags in 0..4u8 {
                        let (is_sum, mode_full) = (flags & 1 != 0, flags & 2 != 0);
                        let is_in_order = *shape == Shape::Opaque(Reason::Limit) && fold.is_err() && !is_sum;
                        let in_order = is_in_order.then_some(Reason::FirstRows);
                        let query = Query { shape, key, fold, is_sum, in_order, mode_full };
                        for times in [1, 2] {
                            for hidden in [None, Some(Reason::SystemColumn)] {
                                let read = Read { times, hidden };
                                for keys in &keys {
                                    for taken_in in all_weighted() {
                                        for added in all_weighted() {
                                            let (keys, taken_in) = (keys.clone(), taken_in.clone());
                                            let placed = if flags & 1 == 0 { Ok(()) } else { Err(Reason::Unwritten) };
                                            f(&query, &read, Given { keys, taken_in, added, placed, asked: vec![] });
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    fn decided(query: &Query, read: &Read, mut given: Given) -> (Decision, bool, Vec<Strategy>) {
        let Ok((decision, anchored)) = decide(query, read, &mut given);
        (decision, anchored, given.asked)
    }

    /// Which strategies are possible, by the table above.
    fn possible(query: &Query, read: &Read, given: &Given) -> Vec<Strategy> {
        let mut all = vec![Strategy::Full];
        if query.mode_full || read.hidden.is_some() {
            return all;
        }
        let has_key = query.key.is_some_and(|k| !k.is_empty()) && !matches!(query.shape, Shape::Opaque(_));
        if has_key && given.keys.as_ref().is_ok_and(|k| k.places >= read.times) {
            all.push(Strategy::Keyed);
        }
        if query.in_order.is_some() && given.placed.is_ok() {
            all.push(Strategy::Range);
        }
        let plain = *query.shape == Shape::Rows || query.is_sum;
        if query.fold.is_err() && query.key.is_none() && plain && given.added.is_ok() {
            all.push(Strategy::Delta);
        }
        if query.fold.is_ok() && given.taken_in.is_ok() {
            all.push(Strategy::Fold);
        }
        all
    }

    #[test]
    fn the_cheapest_possible_one() {
        each(|query, read, given| {
            let possible = possible(query, read, &given);
            let (decision, anchored, asked) = decided(query, read, given.clone());
            assert_eq!(Some(decision.strategy), possible.iter().copied().min(), "{query:?} {read:?}");
            let recomputing = possible.into_iter().filter(|s| [Strategy::Keyed, Strategy::Full].contains(s)).min();
            assert_eq!(Some(decision.fallback), recomputing, "{query:?} {read:?}");
            assert!(!anchored || decision.strategy <= Strategy::Delta);
            // Nothing is tried in vain, or twice.
            let mut once = asked.clone();
            once.sort();
            once.dedup();
            assert_eq!(once.len(), asked.len());
            assert!(asked.is_empty() || !query.mode_full && read.hidden.is_none());
        });
    }

    #[test]
    fn who_shares_cannot_be_blind() {
        each(|query, read, given| {
            let (decision, ..) = decided(query, read, given.clone());
            let rows = if decision.strategy == Strategy::Fold { &given.taken_in } else { &given.added };
            let needs = match decision.strategy {
                Strategy::Full | Strategy::Range => Sharing::Alone,
                Strategy::Keyed if *query.shape == Shape::Rows && given.keys.as_ref().is_ok_and(|k| !k.meet) => {
                    Sharing::Free
                }
                Strategy::Fold | Strategy::Delta if rows.as_ref().is_ok_and(|w| w.alone) => Sharing::Alone,
                _ => Sharing::ByKey,
            };
            assert_eq!(decision.sharing, needs, "{query:?} {read:?}");
            assert_eq!(decision.repeated, read.times > 1 && decision.strategy < Strategy::Range);
            let twice = decision.repeated || needs == Sharing::Alone;
            assert_eq!(decision.without_meetings().sharing, if twice { Sharing::Alone } else { needs });
        });
    }

    #[test]
    fn the_reason_is_one_for_this_strategy() {
        use Reason::*;
        each(|query, read, given| {
            let (Decision { strategy, reason, .. }, ..) = decided(query, read, given);
            let fits = match strategy {
                Strategy::Fold => [TakenIn, AffectedTakenIn].contains(&reason.what) && reason.no_better.is_none(),
                Strategy::Delta => [Added, AffectedAdded].contains(&reason.what) && reason.no_better.is_none(),
                Strategy::Keyed => [RowsRecomputed, GroupsRecomputed, PartitionsRecomputed].contains(&reason.what),
                Strategy::Range => reason == FirstRows.into(),
                Strategy::Full => query.mode_full == (reason.what == ModeFull),
            };
            assert!(fits, "{strategy:?}: {reason}");
        });
    }
}
