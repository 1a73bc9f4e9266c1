//! The delta equation: which occurrences of relations change rows replace, with which sign, and in which state all others are read.
//!
//! A block below its GROUP BY is a multiset of rows Q. It is linear in a relation when that relation is on no side that an outer join can
//! null-extend. For changed occurrences T1 … Tn that are linear, in this order,
//!
//! ΔQ = Σᵢ Q(T1ᵒ, …, Tᵢ₋₁ᵒ, ΔTᵢ, Tᵢ₊₁, …, Tn)
//!
//! where ΔT are the change rows, T the rows that are there now and Tᵒ = T − ΔT the rows that were there before. Two occurrences of one relation
//! count as two. ΔT comes by sign, inserted rows and deleted rows, each as often as its weight says, so Tᵒ is a sum again and each term has one
//! weight: Q(Tᵒ) = Q(T) − Q(inserted) + Q(deleted). The last term has all other occurrences as they were; it is read in the state before instead,
//! where that can be read.
//!
//! One more occurrence, T on the nullable side S of an outer join L ⟕ S, may be the last in that order, all others being as they were. Rows of L
//! with a partner are L ⋈ S, which is linear: Q(…, ΔT) with the join keeping only these rows. To them come the rows of L that have no partner now,
//! minus the rows of L that had none before; both are looked for among the rows of L that a change row of T is a partner of, now or before, for
//! all other rows of L are the same in both states.
//!
//! Invariant: the sum is exact, or refused with a reason. Called by the extension's `analyze::rules::delta`, which writes each term as a SELECT.

use crate::reason::Reason;
use std::collections::{BTreeMap, BTreeSet};

/// Change rows in the place of an occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Inserted,
    Deleted,
}

const CHANGES: [(i64, Part); 2] = [(1, Part::Inserted), (-1, Part::Deleted)];

/// The change rows in the place of some occurrences. Other occurrences are read as they are, at the term's moment.
pub type Parts = BTreeMap<usize, Part>;

/// The moment at which occurrences that are not replaced by change rows are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    Now,
    /// Before the changes.
    Before,
}

/// Which rows of the block a term has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// All; the term follows the change of this occurrence.
    All(usize),
    /// Rows in which the nullable side is there.
    Partnered,
    /// Rows of the other side that a change row is a partner of, but that have no partner.
    Alone,
}

/// The states that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum States {
    NowAndBefore,
    /// No command of this transaction has made the changes.
    Now,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    pub weight: i64,
    pub rows: Rows,
    pub parts: Parts,
    pub moment: Moment,
}

/// The occurrences of changed relations, each an atom of the block.
#[derive(Debug, Default)]
pub struct Changed {
    linear: Vec<usize>,
    /// Each with the atoms of the nullable side that it is on.
    nullable: Vec<(usize, BTreeSet<usize>)>,
}

impl Changed {
    /// Adds an occurrence; `sides` are the sides around it that an outer join can null-extend.
    pub fn add(&mut self, atom: usize, sides: impl IntoIterator<Item = BTreeSet<usize>>) -> Result<(), Reason> {
        let mut sides = sides.into_iter();
        match (sides.next(), sides.next()) {
            (None, _) => self.linear.push(atom),
            (Some(side), None) => self.nullable.push((atom, side)),
            _ => return Err(Reason::TwoOuterJoins),
        }
        Ok(())
    }

    pub fn linear(&self) -> &[usize] {
        &self.linear
    }

    /// The terms, in the order of the equation.
    pub fn terms(&self, states: States) -> Result<Vec<Term>, Reason> {
        let Changed { linear, nullable } = self;
        if states == States::Now && !nullable.is_empty() {
            return Err(Reason::NoStateBefore);
        }
        if nullable.len() > 1 {
            return Err(Reason::SeveralNullable);
        }
        if linear.len() > 4 {
            return Err(Reason::ManyTogether);
        }
        if nullable.iter().any(|(_, side)| linear.iter().any(|a| side.contains(a))) {
            return Err(Reason::BothSides);
        }
        let mut out = Vec::new();
        for (i, atom) in linear.iter().enumerate() {
            let rows = Rows::All(*atom);
            let is_last = i > 0 && i + 1 == linear.len() && nullable.is_empty() && states == States::NowAndBefore;
            for (sign, part) in CHANGES {
                if is_last {
                    out.push(Term { weight: sign, rows, parts: Parts::from([(*atom, part)]), moment: Moment::Before });
                    continue;
                }
                for (weight, mut parts) in old_states(&linear[..i]) {
                    parts.insert(*atom, part);
                    out.push(Term { weight: sign * weight, rows, parts, moment: Moment::Now });
                }
            }
        }
        for (atom, _) in nullable {
            for (weight, part) in CHANGES {
                let parts = Parts::from([(*atom, part)]);
                out.push(Term { weight, rows: Rows::Partnered, parts, moment: Moment::Before });
            }
            for (weight, parts) in old_states(linear) {
                out.push(Term { weight, rows: Rows::Alone, parts, moment: Moment::Now });
            }
            out.push(Term { weight: -1, rows: Rows::Alone, parts: Parts::new(), moment: Moment::Before });
        }
        Ok(out)
    }

    /// Whether rows without a partner come and go only by the values by which the change rows of the nullable side find their partners. Not so
    /// when other relations change too and the side has several: another row of the side may have been joined to the changed row before.
    pub fn values_tell(&self) -> bool {
        self.linear.is_empty() || self.nullable.iter().all(|(atom, side)| *side == BTreeSet::from([*atom]))
    }
}

/// The old state of some occurrences as a sum: each is its rows, plus the deleted ones, minus the inserted ones.
fn old_states(atoms: &[usize]) -> Vec<(i64, Parts)> {
    let mut out = vec![(1, Parts::new())];
    for atom in atoms {
        let taken_back = CHANGES.iter().flat_map(|(sign, part)| {
            out.iter().map(move |(weight, parts)| {
                let mut parts = parts.clone();
                parts.insert(*atom, *part);
                (-sign * weight, parts)
            })
        });
        let taken_back: Vec<_> = taken_back.collect();
        out.extend(taken_back);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiny::{Change, Joined, Query, Special, Table, query, table};
    use proptest::prelude::*;

    type Sums = BTreeMap<Joined, i64>;

    /// The rows of a term, by its definition.
    fn add_term(
        query: &Query,
        term: &Term,
        changes: &[Change],
        place: Option<(usize, &BTreeSet<usize>)>,
        sums: &mut Sums,
    ) {
        let tables: Vec<Table> = (0..changes.len())
            .map(|a| match (term.parts.get(&a), term.moment) {
                (Some(Part::Inserted), _) => changes[a].inserted(),
                (Some(Part::Deleted), _) => changes[a].deleted(),
                (None, Moment::Now) => changes[a].now.clone(),
                (None, Moment::Before) => changes[a].before.clone(),
            })
            .collect();
        let special = place.and_then(|(atom, side)| match term.rows {
            Rows::All(_) => None,
            Rows::Partnered => Some(Special { side, alone: None }),
            Rows::Alone => Some(Special { side, alone: Some((atom, changes[atom].rows())) }),
        });
        for row in query.rows(&tables, special.as_ref()) {
            *sums.entry(row).or_default() += term.weight;
        }
    }

    /// The delta by the equation; None where the equation is refused.
    fn delta(query: &Query, changes: &[Change], states: States) -> Option<Sums> {
        let mut changed = Changed::default();
        for atom in (0..changes.len()).filter(|a| changes[*a].before != changes[*a].now) {
            changed.add(atom, query.tree.nullable_sides(atom)).ok()?;
        }
        let place = changed.nullable.first().map(|(atom, side)| (*atom, side));
        let mut sums = Sums::new();
        for term in changed.terms(states).ok()? {
            assert!(states == States::NowAndBefore || term.moment == Moment::Now);
            add_term(query, &term, changes, place, &mut sums);
        }
        sums.retain(|_, n| *n != 0);
        Some(sums)
    }

    fn recomputed(query: &Query, changes: &[Change]) -> Sums {
        let mut sums = Sums::new();
        let tables = |of: fn(&Change) -> &Table| changes.iter().map(|c| of(c).clone()).collect::<Vec<_>>();
        for (tables, weight) in [(tables(|c| &c.now), 1), (tables(|c| &c.before), -1)] {
            query.rows(&tables, None).into_iter().for_each(|row| *sums.entry(row).or_default() += weight);
        }
        sums.retain(|_, n| *n != 0);
        sums
    }

    /// The same change as steps of one occurrence each.
    fn steps(changes: &[Change]) -> Vec<Vec<Change>> {
        (0..changes.len())
            .map(|step| {
                let at = |a: usize| match a.cmp(&step) {
                    std::cmp::Ordering::Less => Change::none(&changes[a].now),
                    std::cmp::Ordering::Equal => changes[a].clone(),
                    std::cmp::Ordering::Greater => Change::none(&changes[a].before),
                };
                (0..changes.len()).map(at).collect()
            })
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]
        #[test]
        fn is_what_recomputation_says(
            (query, tables) in (1..5usize).prop_flat_map(|n| (query(n), proptest::collection::vec((table(), table(), 0..3u8), n))),
            twice in any::<bool>(),
        ) {
            let mut changes: Vec<Change> = tables
                .into_iter()
                .map(|(before, now, kept)| if kept == 0 { Change::none(&before) } else { Change { before, now } })
                .collect();
            if twice && changes.len() > 1 {
                // Two occurrences of one relation.
                changes[1] = changes[0].clone();
            }
            let all = recomputed(&query, &changes);
            for states in [States::NowAndBefore, States::Now] {
                if let Some(delta) = delta(&query, &changes, states) {
                    prop_assert_eq!(&delta, &all, "in one step, {:?}: {:?}", states, query);
                }
            }
            let small: Option<Vec<Sums>> = steps(&changes).iter().map(|step| delta(&query, step, States::NowAndBefore)).collect();
            if let Some(small) = small {
                let mut sum = Sums::new();
                small.into_iter().flatten().for_each(|(row, n)| *sum.entry(row).or_default() += n);
                sum.retain(|_, n| *n != 0);
                prop_assert_eq!(&sum, &all, "in steps: {:?}", query);
            }
        }
    }

    #[test]
    fn two_together_are_counted_once() {
        let mut changed = Changed::default();
        changed.add(0, []).unwrap();
        changed.add(1, []).unwrap();
        assert_eq!(changed.terms(States::Now).map(|t| t.len()), Ok(2 + 2 * 3));
        let terms = changed.terms(States::NowAndBefore).unwrap();
        assert_eq!(
            terms.len(),
            4,
            "each has its change rows by sign, the second one beside the old state of the first"
        );
        assert!(
            terms[..2].iter().all(|t| t.moment == Moment::Now) && terms[2..].iter().all(|t| t.moment == Moment::Before)
        );
    }

    #[test]
    fn refused() {
        let both = || [BTreeSet::from([0]), BTreeSet::from([0, 1])];
        assert_eq!(Changed::default().add(0, both()), Err(Reason::TwoOuterJoins));
        let mut changed = Changed::default();
        changed.add(0, [BTreeSet::from([0, 1])]).unwrap();
        assert!(changed.values_tell(), "nothing else of the side changes");
        changed.add(1, []).unwrap();
        assert_eq!(changed.terms(States::NowAndBefore), Err(Reason::BothSides));
        changed.add(2, [BTreeSet::from([2])]).unwrap();
        assert_eq!(changed.terms(States::NowAndBefore), Err(Reason::SeveralNullable));
        let mut changed = Changed::default();
        (0..5).for_each(|a| changed.add(a, []).unwrap());
        assert_eq!(changed.terms(States::NowAndBefore), Err(Reason::ManyTogether));
    }
}
