//! The order of a flush: TVIEWs after the TVIEWs they read.
//!
//! Called by flush and by creation (cycle refusal).

use std::collections::{BTreeMap, BTreeSet};

/// Which relations each TVIEW reads. Keys and values are relation ids.
pub type Sources = BTreeMap<u32, BTreeSet<u32>>;

/// The TVIEWs of `sources` in an order in which each comes after the TVIEWs it reads; ties by id.
/// `Err` names a TVIEW on a cycle.
pub fn order(sources: &Sources) -> Result<Vec<u32>, u32> {
    let mut done = BTreeSet::new();
    let mut out = Vec::new();
    while out.len() < sources.len() {
        let ready: Vec<u32> = sources
            .iter()
            .filter(|(t, s)| !done.contains(*t) && s.iter().all(|x| !sources.contains_key(x) || done.contains(x)))
            .map(|(t, _)| *t)
            .collect();
        if ready.is_empty() {
            let stuck = sources.keys().find(|t| !done.contains(*t));
            return Err(stuck.copied().unwrap_or_default());
        }
        done.extend(ready.iter().copied());
        out.extend(ready);
    }
    Ok(out)
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
        assert!(order(&graph(&[(1, &[2]), (2, &[1])])).is_err());
        assert!(order(&graph(&[(1, &[1])])).is_err());
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
        /// Each TVIEW once, after the TVIEWs it reads, in the same order in every backend; or there is a cycle.
        #[test]
        fn after_what_is_read(edges in proptest::collection::btree_set((0..6u32, 0..8u32), 0..9)) {
            let mut sources = Sources::new();
            edges.iter().for_each(|(tview, read)| { sources.entry(*tview).or_default().insert(*read); });
            match order(&sources) {
                Err(tview) => prop_assert!(has_cycle(&sources) && sources.contains_key(&tview)),
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
