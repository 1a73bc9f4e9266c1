//! Which sides outer joins null-extend when rows of one side change, so that no key of a null-extended row is missed.
//!
//! When a row of the nullable side S of L ⟕ S comes or goes, a row of L that it is a partner of may have been, or may become, a row with NULLs in
//! the place of S, and of everything that the joins above attach to S. So the keys that a change can concern are those of the rows with the change
//! rows in the place of S, the joins keeping only rows in which these are there, and the same keys with S set to NULL. Several sides can be
//! null-extended at once, some in the old state and some in the new one: every combination of sides is one more set of keys.
//!
//! A side that is null-extended is followed upwards. A join condition that is strict in it (cannot be true when all of the side is NULL) decides: an
//! inner join has no such row, an outer join that preserves the side null-extends its other operand too, and an outer join that does not preserve it
//! null-extends the whole operand, which is a side of its own. A strict condition of WHERE lets no such row pass; other conditions of WHERE on the
//! side are dropped, for they may hide the row with the key.
//!
//! Invariant: the keys are a superset of the keys whose rows differ. Called by the extension's `analyze`, which knows the conditions.

use crate::reason::Reason;
use std::collections::BTreeSet;

/// A join as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Inner,
    Left,
    Right,
    Full,
}

/// The join that keeps, of the rows of a join, those in which one side is there; None when that side always is.
pub fn keeping(kind: Kind, in_left: bool) -> Option<Kind> {
    match (kind, in_left) {
        (Kind::Left, false) | (Kind::Right, true) => Some(Kind::Inner),
        (Kind::Full, true) => Some(Kind::Left),
        (Kind::Full, false) => Some(Kind::Right),
        _ => None,
    }
}

/// The facts about a condition.
#[derive(Debug, Clone)]
pub struct Condition {
    /// Relations that the condition looks at.
    pub mentions: BTreeSet<usize>,
    /// Relations that are not NULL as a whole when the condition is true.
    pub strict: BTreeSet<usize>,
}

/// A join above a side.
#[derive(Debug, Clone)]
pub struct Above {
    pub kind: Kind,
    pub in_left: bool,
    /// Relations of the join's other side.
    pub other: BTreeSet<usize>,
    pub conditions: Vec<Condition>,
}

/// Follows a null-extended side up through the joins above it, the lowest first: the relations null-extended with it; None when such rows never
/// come out.
pub fn survives(
    above: impl IntoIterator<Item = Above>,
    mut side: BTreeSet<usize>,
) -> Result<Option<BTreeSet<usize>>, Reason> {
    for join in above {
        for condition in &join.conditions {
            if condition.mentions.is_disjoint(&side) {
                continue;
            }
            if condition.strict.is_disjoint(&side) {
                return Err(Reason::NullablePasses);
            }
            match (join.kind, join.in_left) {
                (Kind::Inner, _) => return Ok(None),
                (Kind::Left, true) | (Kind::Right, false) => side.extend(&join.other),
                // The whole operand of that join is null-extended then, which is a side of its own.
                (Kind::Left, false) | (Kind::Right, true) => return Ok(None),
                (Kind::Full, _) => return Err(Reason::FullAboveOuter),
            }
        }
    }
    Ok(Some(side))
}

/// WHERE: takes away the sides of which no row passes, and tells which conditions stay.
pub fn pass(conditions: &[Condition], sides: &mut Vec<BTreeSet<usize>>) -> Vec<bool> {
    for c in conditions {
        sides.retain(|side| c.strict.is_disjoint(side));
    }
    conditions.iter().map(|c| sides.iter().all(|side| c.mentions.is_disjoint(side))).collect()
}

/// Every combination of null-extended sides, the empty one first.
pub fn combinations(sides: &[BTreeSet<usize>]) -> Result<Vec<BTreeSet<usize>>, Reason> {
    if sides.len() > 4 {
        return Err(Reason::ManyOuterJoins);
    }
    let mut out: Vec<BTreeSet<usize>> = Vec::new();
    for bits in 0..1usize << sides.len() {
        let chosen = sides.iter().enumerate().filter(|(i, _)| bits & (1 << i) != 0);
        let atoms = chosen.flat_map(|(_, side)| side.iter().copied()).collect();
        if !out.contains(&atoms) {
            out.push(atoms);
        }
    }
    Ok(out)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::tiny::{self, Change, Joined, Query, Table, Tree, query, table};
    use proptest::prelude::*;

    /// The joins on the way to an atom, outermost first: the join above the atom's side, and the side that the join can null-extend.
    fn path(tree: &mut Tree, atom: usize, convert: bool, out: &mut Vec<(Above, Option<BTreeSet<usize>>)>) {
        let atoms = tree.atoms();
        let Tree::Join(kind, left, right, on) = tree else { return };
        let in_left = left.atoms().contains(&atom);
        let (side, other) = if in_left { (left, right) } else { (right, left) };
        let (written, kept) = (*kind, keeping(*kind, in_left));
        if let Some(kept) = kept.filter(|_| convert) {
            *kind = kept;
        }
        let conditions = on.iter().map(|c| c.facts(&atoms)).collect();
        out.push((Above { kind: written, in_left, other: other.atoms(), conditions }, kept.map(|_| side.atoms())));
        path(side, atom, convert, out);
    }

    /// The null-extended sides around an atom; the conditions that could hide them are dropped from the filter.
    fn sides(query: &mut Query, atom: usize, convert: bool, all: &mut Vec<BTreeSet<usize>>) -> Result<(), Reason> {
        let mut joins = Vec::new();
        path(&mut query.tree, atom, convert, &mut joins);
        let mut own = Vec::new();
        for i in (0..joins.len()).rev() {
            if let Some(side) = &joins[i].1 {
                own.extend(survives(joins[..i].iter().rev().map(|(above, _)| above.clone()), side.clone())?);
            }
        }
        let atoms = query.tree.atoms();
        let conditions: Vec<Condition> = query.filter.iter().map(|c| c.facts(&atoms)).collect();
        let mut stays = pass(&conditions, &mut own).into_iter();
        query.filter.retain(|_| stays.next() == Some(true));
        all.extend(own.into_iter().filter(|side| !all.contains(side)).collect::<Vec<_>>());
        Ok(())
    }

    /// The keys that changes can concern: every atom is a part of the key.
    pub fn dirty(query: &Query, changes: &[Change], changed: &[usize]) -> Result<BTreeSet<Joined>, Reason> {
        let mut keys = BTreeSet::new();
        for atom in changed {
            let mut query = query.clone();
            let mut all = Vec::new();
            sides(&mut query, *atom, true, &mut all)?;
            for other in changed.iter().filter(|o| *o != atom) {
                sides(&mut query, *other, false, &mut all)?;
            }
            let tables: Vec<Table> = (0..changes.len())
                .map(|a| {
                    if a == *atom { changes[a].rows() } else { [changes[a].now.clone(), changes[a].deleted()].concat() }
                })
                .collect();
            let rows = query.rows(&tables, None);
            for extended in combinations(&all)? {
                let key = |row: &Joined| {
                    let at = |(a, part): (usize, &Option<tiny::Row>)| part.filter(|_| !extended.contains(&a));
                    row.iter().enumerate().map(at).collect()
                };
                keys.extend(rows.iter().map(key));
            }
        }
        Ok(keys)
    }

    fn counted(query: &Query, tables: &[Table], weight: i64, sums: &mut std::collections::BTreeMap<Joined, i64>) {
        query.rows(tables, None).into_iter().for_each(|row| *sums.entry(row).or_default() += weight);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 6000, ..ProptestConfig::default() })]
        #[test]
        fn no_key_is_missed(
            (query, tables) in (1..5usize).prop_flat_map(|n| (query(n), proptest::collection::vec((table(), table(), any::<bool>()), n))),
        ) {
            let changes: Vec<Change> = tables
                .into_iter()
                .map(|(before, now, changed)| if changed { Change { before, now } } else { Change::none(&before) })
                .collect();
            let changed: Vec<usize> = (0..changes.len()).filter(|a| !changes[*a].rows().is_empty()).collect();
            let before: Vec<Table> = changes.iter().map(|c| c.before.clone()).collect();
            // In one step, and in steps of one relation each, whose keys together are enough, too.
            let mut steps = vec![changes.clone()];
            let small = changed.iter().enumerate().map(|(n, atom)| {
                let at = |a: usize| match changed[..n].contains(&a) {
                    true => Change::none(&changes[a].now),
                    false if a == *atom => changes[a].clone(),
                    false => Change::none(&changes[a].before),
                };
                (0..changes.len()).map(at).collect()
            });
            steps.extend(small);
            let mut seen = before;
            for (n, step) in steps.into_iter().enumerate() {
                let of_step: Vec<usize> = (0..step.len()).filter(|a| !step[*a].rows().is_empty()).collect();
                let now: Vec<Table> = step.iter().map(|c| c.now.clone()).collect();
                let mut sums = std::collections::BTreeMap::new();
                counted(&query, &now, 1, &mut sums);
                counted(&query, &seen, -1, &mut sums);
                if let Ok(keys) = dirty(&query, &step, &of_step) {
                    for (row, _) in sums.iter().filter(|(_, n)| **n != 0) {
                        prop_assert!(keys.contains(row), "{row:?} in {query:?}");
                    }
                }
                if n > 0 {
                    seen = now;
                }
            }
        }

        /// Each combination is a union of sides, each union is there, and once.
        #[test]
        fn all_unions(sides in proptest::collection::vec(proptest::collection::btree_set(0..5usize, 1..3), 0..6)) {
            let Ok(all) = combinations(&sides) else {
                prop_assert!(sides.len() > 4);
                return Ok(());
            };
            let mut unions = BTreeSet::from([BTreeSet::new()]);
            for side in &sides {
                unions.extend(unions.iter().map(|union| union | side).collect::<Vec<_>>());
            }
            prop_assert_eq!(all.len(), unions.len());
            prop_assert!(all[0].is_empty() && all.into_iter().all(|union| unions.contains(&union)));
        }
    }

    fn above(kind: Kind, in_left: bool, mentions: &[usize], strict: &[usize]) -> Above {
        let of = |atoms: &[usize]| atoms.iter().copied().collect();
        let condition = Condition { mentions: of(mentions), strict: of(strict) };
        Above { kind, in_left, other: BTreeSet::from([7]), conditions: vec![condition] }
    }

    #[test]
    fn what_hangs_on_a_side_goes_with_it() {
        let follow = |join| survives([join], BTreeSet::from([1]));
        assert_eq!(follow(above(Kind::Left, true, &[1, 7], &[1, 7])), Ok(Some(BTreeSet::from([1, 7]))));
        assert_eq!(follow(above(Kind::Left, true, &[0, 7], &[0, 7])), Ok(Some(BTreeSet::from([1]))));
        assert_eq!(follow(above(Kind::Inner, true, &[1, 7], &[1, 7])), Ok(None));
        assert_eq!(follow(above(Kind::Inner, true, &[1, 7], &[7])), Err(Reason::NullablePasses));
        assert_eq!(follow(above(Kind::Full, true, &[1, 7], &[1, 7])), Err(Reason::FullAboveOuter));
    }
}
