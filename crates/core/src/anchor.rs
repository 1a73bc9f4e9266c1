//! Now minus before, through the rows of one relation: the delta of a block that is not linear in the changed relations.
//!
//! Let A be an atom that is a part of every row of the block Q, and D a set of its keys that contains the keys of all rows of Q that differ.
//! Rows with other keys are the same in both states, so
//!
//! ΔQ = Q(now | A in D) − Q(before | A in D)
//!
//! D is found like dirty keys (null_extension.rs), the key of A being the key. A must be on no nullable side, its key never NULL, and its rows must
//! not depend on other rows, or some rows of Q would have no key to be found by. The changed relation itself is the finest anchor. Other columns of A will do
//! in the place of a key, if the NULLs among them count as a value: fewer anchors are told apart then.
//!
//! Two writers can be blind to each other here. But the keys that the changes of one lead to do not depend on rows that the other changes: where
//! they do, rows of two places meet, and other locks keep the writers apart (locks.rs). So it is enough to lock these keys. Who
//! has changed several relations locks what writers of each of them lock, too: these may have no need of anchors, or have others.
//! Called by the extension's `analyze::rules::anchor`, when the delta equation is refused.

use crate::delta::Moment;
use crate::model::Description;
use std::collections::BTreeSet;

/// The weight of the rows that are computed in each state.
pub const TERMS: [(i64, Moment); 2] = [(1, Moment::Now), (-1, Moment::Before)];

/// An atom and one of its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate<'a> {
    pub atom: usize,
    pub relid: u32,
    pub key: &'a [i16],
}

/// Atoms and keys that can be an anchor for changes of some relations, the finest first.
pub fn candidates<'a>(d: &'a Description, changed: &BTreeSet<u32>) -> Vec<Candidate<'a>> {
    let nullable = d.join.nullable();
    let mut atoms: Vec<usize> = (0..d.atoms.len()).filter(|a| !nullable.contains(a)).collect();
    atoms.sort_by_key(|a| !d.atoms[*a].relid.is_some_and(|r| changed.contains(&r)));
    let mut out = Vec::new();
    for atom in atoms {
        let of = &d.atoms[atom];
        let Some(relid) = of.relid.filter(|_| of.depends.is_empty()) else { continue };
        let lasts = |key: &&Vec<i16>| !key.is_empty() && key.iter().all(|c| of.not_null.contains(c));
        out.extend(of.keys.iter().filter(lasts).map(|key| Candidate { atom, relid, key }));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Atom, Join, OuterKind, Shape};
    use crate::null_extension::tests::dirty;
    use crate::tiny::{Change, Joined, Table, query, table};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Sums = BTreeMap<Joined, i64>;

    fn add(sums: &mut Sums, rows: Vec<Joined>, weight: i64) {
        rows.into_iter().for_each(|row| *sums.entry(row).or_default() += weight);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]
        /// Through each atom that no join can null-extend; its whole row is its key.
        #[test]
        fn is_what_recomputation_says(
            (query, tables) in (1..5usize).prop_flat_map(|n| (query(n), proptest::collection::vec((table(), table(), any::<bool>()), n))),
        ) {
            let changes: Vec<Change> = tables
                .into_iter()
                .map(|(before, now, changed)| if changed { Change { before, now } } else { Change::none(&before) })
                .collect();
            let changed: Vec<usize> = (0..changes.len()).filter(|a| !changes[*a].rows().is_empty()).collect();
            let Ok(keys) = dirty(&query, &changes, &changed) else { return Ok(()) };
            let in_state = |moment: Moment| -> Vec<Joined> {
                let of = |c: &Change| if moment == Moment::Now { c.now.clone() } else { c.before.clone() };
                query.rows(&changes.iter().map(of).collect::<Vec<Table>>(), None)
            };
            let mut all = Sums::new();
            TERMS.iter().for_each(|(weight, moment)| add(&mut all, in_state(*moment), *weight));
            for atom in (0..changes.len()).filter(|a| query.tree.nullable_sides(*a).is_empty()) {
                let found: BTreeSet<_> = keys.iter().map(|key| key[atom]).collect();
                let mut sums = Sums::new();
                for (weight, moment) in TERMS {
                    let rows = in_state(moment).into_iter().filter(|row| found.contains(&row[atom]));
                    add(&mut sums, rows.collect(), weight);
                }
                all.retain(|_, n| *n != 0);
                sums.retain(|_, n| *n != 0);
                prop_assert_eq!(&sums, &all, "through {} in {:?}", atom, query);
            }
        }
    }

    #[test]
    fn the_changed_relation_first_and_no_nullable_one() {
        let atom =
            |relid| Atom { relid: Some(relid), keys: vec![vec![1], vec![2]], not_null: vec![1], ..Atom::default() };
        let outer = Join::Outer(OuterKind::Left, Box::new(Join::Atom(0)), Box::new(Join::Atom(2)), Vec::new());
        let d = Description {
            atoms: vec![atom(10), atom(11), atom(12)],
            join: Join::Inner(vec![outer, Join::Atom(1)], Vec::new()),
            shape: Shape::Rows,
            outputs: Vec::new(),
            comparable: Vec::new(),
        };
        let found: Vec<u32> = candidates(&d, &BTreeSet::from([11, 12])).iter().map(|c| c.relid).collect();
        assert_eq!(found, [11, 10], "a key that can be NULL is none");
    }
}
