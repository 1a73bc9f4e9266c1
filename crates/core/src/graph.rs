//! The order of a flush: TVIEWs after the TVIEWs they read.
//!
//! Called by flush and by creation (cycle refusal).

use std::collections::{BTreeMap, BTreeSet};

/// Which relations each TVIEW reads. Keys and values are relation ids.
pub type Sources = BTreeMap<u32, BTreeSet<u32>>;

/// The TVIEWs of `sources` in an order in which each comes after the TVIEWs it reads; ties by id.
/// `Err` is a cycle: each TVIEW reads the next one, and the last one the first.
pub fn order(sources: &Sources) -> Result<Vec<u32>, Vec<u32>> {
    let mut done = BTreeSet::new();
    let mut out = Vec::new();
    while out.len() < sources.len() {
        let ready: Vec<u32> = sources
            .iter()
            .filter(|(t, s)| !done.contains(*t) && s.iter().all(|x| !sources.contains_key(x) || done.contains(x)))
            .map(|(t, _)| *t)
            .collect();
        if ready.is_empty() {
            return Err(cycle(sources, &done));
        }
        done.extend(ready.iter().copied());
        out.extend(ready);
    }
    Ok(out)
}

/// The TVIEWs of `sources` in units that have nothing to do with each other: TVIEWs of one unit read each other, directly or through others of it.
/// A unit is called by its least TVIEW. Tables that TVIEWs of two units read do not join them: a refresh changes TVIEWs only.
pub fn units(sources: &Sources) -> BTreeMap<u32, u32> {
    let mut units: BTreeMap<u32, u32> = sources.keys().map(|t| (*t, *t)).collect();
    let edges = sources.iter().flat_map(|(t, reads)| reads.iter().map(move |read| (*t, *read)));
    for (tview, read) in edges.filter(|(_, read)| sources.contains_key(read)) {
        let (one, other) = (units[&tview], units[&read]);
        let (least, most) = (one.min(other), one.max(other));
        units.values_mut().filter(|unit| **unit == most).for_each(|unit| *unit = least);
    }
    units
}

/// A cycle among the TVIEWs that are not `done`, each of which reads another such one.
fn cycle(sources: &Sources, done: &BTreeSet<u32>) -> Vec<u32> {
    let is_left = |t: &&u32| sources.contains_key(t) && !done.contains(*t);
    let mut way: Vec<u32> = Vec::new();
    let mut at = sources.keys().find(is_left).copied();
    while let Some(tview) = at {
        if let Some(first) = way.iter().position(|t| *t == tview) {
            way.drain(..first);
            let smallest = (0..way.len()).min_by_key(|i| way[*i]).unwrap_or_default();
            way.rotate_left(smallest);
            break;
        }
        way.push(tview);
        at = sources[&tview].iter().find(is_left).copied();
    }
    way
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn graph(edges: &[(u32, &[u32])]) -> Sources {
        edges.iter().map(|(t, s)| (*t, s.iter().copied().collect())).collect()
    }

    #[test]
    fn diamond() {
        let g = graph(&[(4, &[2, 3]), (3, &[1, 100]), (2, &[1]), (1, &[100])]);
        assert_eq!(order(&g), Ok(vec![1, 2, 3, 4]));
    }

    #[test]
    fn cycle() {
        assert_eq!(order(&graph(&[(1, &[2]), (2, &[1])])), Err(vec![1, 2]));
        assert_eq!(order(&graph(&[(1, &[1])])), Err(vec![1]));
        assert_eq!(order(&graph(&[(1, &[5]), (5, &[3, 100]), (3, &[4]), (4, &[5])])), Err(vec![3, 4, 5]));
    }

    #[test]
    fn units_by_what_they_read() {
        let g = graph(&[(1, &[100]), (2, &[1]), (3, &[100]), (4, &[2, 100]), (5, &[101])]);
        assert_eq!(units(&g), BTreeMap::from([(1, 1), (2, 1), (3, 3), (4, 1), (5, 5)]));
    }

    /// Whether a TVIEW reads itself, directly or through others.
    fn has_cycle(sources: &Sources) -> bool {
        let mut reached = sources.clone();
        for _ in 0..sources.len() {
            for (tview, reads) in reached.clone() {
                let further: Vec<u32> = reads.iter().filter_map(|r| sources.get(r)).flatten().copied().collect();
                reached.entry(tview).or_default().extend(further);
            }
        }
        reached.iter().any(|(tview, reads)| reads.contains(tview))
    }

    proptest! {
        /// Who reads whom is in one unit; a unit is called by its least TVIEW, and cannot be taken apart.
        #[test]
        fn units_are_components(edges in proptest::collection::btree_set((0..8u32, 0..10u32), 0..12)) {
            let mut sources = Sources::new();
            edges.iter().for_each(|(tview, read)| { sources.entry(*tview).or_default().insert(*read); });
            let units = units(&sources);
            let joins = |(t, read): &&(u32, u32)| t != read && sources.contains_key(read);
            for (tview, read) in edges.iter().filter(joins) {
                prop_assert_eq!(units[tview], units[read]);
            }
            for (tview, unit) in &units {
                prop_assert_eq!(units[unit], *unit);
                let mut reached = BTreeSet::from([*unit]);
                for _ in 0..sources.len() {
                    for (t, read) in edges.iter().filter(joins) {
                        if reached.contains(t) || reached.contains(read) {
                            reached.extend([*t, *read]);
                        }
                    }
                }
                prop_assert!(reached.contains(tview) && reached.iter().all(|t| unit <= t));
            }
        }

        /// Each TVIEW once, after the TVIEWs it reads, in the same order in every backend; or there is a cycle.
        #[test]
        fn after_what_is_read(edges in proptest::collection::btree_set((0..6u32, 0..8u32), 0..9)) {
            let mut sources = Sources::new();
            edges.iter().for_each(|(tview, read)| { sources.entry(*tview).or_default().insert(*read); });
            match order(&sources) {
                Err(cycle) => {
                    prop_assert!(has_cycle(&sources) && !cycle.is_empty());
                    for (i, tview) in cycle.iter().enumerate() {
                        prop_assert!(sources[tview].contains(&cycle[(i + 1) % cycle.len()]));
                    }
                }
                Ok(all) => {
                    prop_assert!(!has_cycle(&sources));
                    prop_assert_eq!(all.iter().copied().collect::<BTreeSet<_>>(), sources.keys().copied().collect());
                    prop_assert_eq!(all.len(), sources.len());
                    let at = |t: u32| all.iter().position(|x| *x == t);
                    for (tview, read) in edges.iter().filter(|(_, read)| sources.contains_key(read)) {
                        prop_assert!(at(*read) < at(*tview));
                    }
                }
            }
        }
    }
}
