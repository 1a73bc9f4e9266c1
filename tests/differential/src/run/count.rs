//! Which hazards a committed transaction has met.
//! Invariant: a hazard is counted when all steps of its group did something and the transaction was committed. Called by `transaction`.

use super::Run;
use super::transaction::Progress;
use crate::case::{Act, Transaction};
use crate::hazards::Hazard;
use std::collections::{BTreeMap, BTreeSet};

impl Run<'_> {
    /// Counts what a committed transaction was an example of.
    pub(super) fn count(&mut self, t: &Transaction, p: &Progress) {
        let is_good = |group: &u32| p.good.get(group) == Some(&true);
        let mut hazards: Vec<Hazard> = vec![];
        let read = |act: &Act| matches!(act, Act::Read(_) | Act::ReadAll);
        if t.isolation != "READ COMMITTED" && p.open && p.good.values().any(|g| *g) {
            hazards.push(if t.isolation == "SERIALIZABLE" { Hazard::Serializable } else { Hazard::RepeatableRead });
            if t.steps.iter().any(|s| read(&s.act) && is_good(&s.group)) {
                hazards.push(Hazard::SnapshotRead);
            }
        }
        if t.replica {
            hazards.push(Hazard::Replica);
        }
        let mut tables: BTreeSet<&str> = BTreeSet::new();
        for step in t.steps.iter().filter(|s| is_good(&s.group)) {
            if let Act::Sql(sql) | Act::Copy { sql, .. } = &step.act {
                tables.extend(self.case.schema.written(sql).map(|t| t.name.as_str()));
            }
        }
        for (n, hazard) in [(2, Hazard::TwoTables), (3, Hazard::ManyTables), (4, Hazard::FourTables)] {
            if tables.len() >= n {
                hazards.push(hazard);
            }
        }
        for n in p.most.iter().filter(|(group, _)| is_good(group)).map(|(_, n)| *n) {
            if n > 16 {
                hazards.push(if n > 1000 { Hazard::Batch1000 } else { Hazard::Batch16 });
            }
        }
        let mut last: BTreeMap<u32, usize> = BTreeMap::new();
        for (i, step) in t.steps.iter().enumerate() {
            last.insert(step.group, i);
        }
        for (group, i) in last {
            if is_good(&group) {
                hazards.extend(&t.steps[i].hazards);
            }
        }
        hazards.into_iter().for_each(|h| self.out.counts.add(h));
    }
}
