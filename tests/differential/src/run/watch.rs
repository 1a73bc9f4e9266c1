//! Which rows of TVIEWs a transaction wrote, and whether it had to.
//! Invariant of the extension: a transaction that changes nothing, or is rolled back, leaves every row where it is; one that changes something
//! writes only rows that differ. Called around each transaction.

use super::transaction::Ended;
use super::{Failure, Run};
use crate::case::{Act, End, Transaction};
use crate::hazards::Hazard;
use crate::oracle::{self, Placed};
use crate::properties::Property;
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};

/// Rows by view.
pub(super) type Watched = BTreeMap<usize, Vec<Placed>>;

impl Run<'_> {
    /// The rows of all TVIEWs, when this transaction is to be watched.
    pub(super) fn watch(&mut self, t: &Transaction) -> Result<Option<Watched>> {
        // a trigger that reads makes a flush of its own
        let wanted = (self.case.watched || t.no_change) && self.readers.is_empty();
        if self.mode.baseline || self.mode.without_tviews || !wanted {
            return Ok(None);
        }
        let mut all = Watched::new();
        for (view, v) in self.case.views.iter().enumerate() {
            if self.live[view] && v.is_tview && !self.case.moves_by_refresh(v) {
                all.insert(view, oracle::places(&mut self.session.checker, v)?);
            }
        }
        Ok(Some(all))
    }

    pub(super) fn compare_watched(
        &mut self,
        t: &Transaction,
        ended: Ended,
        before: Option<Watched>,
    ) -> Result<Option<Failure>> {
        let Some(before) = before else {
            return Ok(None);
        };
        let after = self.watch(t)?.unwrap_or_default();
        let rolled_back = ended == Ended::RolledBack;
        if rolled_back || t.no_change {
            for (view, rows) in &before {
                // recomputed in full, another one of several equal values may stand for them
                let fuzzy = self.case.views[*view].query.columns.iter().any(|c| c.fuzzy);
                let undetermined = fuzzy && self.tells_tables_apart();
                if !(undetermined && t.no_change) && after.get(view).is_some_and(|now| now != rows) {
                    let now = &after[view];
                    let kind = if rolled_back {
                        "rows written by a transaction that was rolled back"
                    } else {
                        "rows written without a change"
                    };
                    let changed: Vec<String> = differing(rows, now);
                    let name = &self.case.views[*view].name;
                    return Ok(self.fail(kind, format!("{name}\n{}", changed.join("\n"))));
                }
            }
            let unused = t.steps.iter().any(|s| s.hazards.contains(&Hazard::UnusedColumn));
            self.out.checks.add(match (rolled_back, unused) {
                (true, _) => Property::Atomic,
                (false, true) => Property::UnusedColumns,
                (false, false) => Property::Idempotent,
            });
            return Ok(None);
        }
        if is_one_flush(t) {
            return Ok(self.only_differences(&before, &after));
        }
        Ok(None)
    }

    /// As many rows were written as there are rows that were not there before.
    fn only_differences(&mut self, before: &Watched, after: &Watched) -> Option<Failure> {
        for (view, rows) in before {
            let v = &self.case.views[*view];
            let Some(now) =
                after.get(view).filter(|_| self.stateless[*view] && v.query.columns.iter().all(|c| !c.fuzzy))
            else {
                continue;
            };
            let places: BTreeSet<&str> = rows.iter().map(|r| r.place.as_str()).collect();
            let written: Vec<&Placed> = now.iter().filter(|r| !places.contains(r.place.as_str())).collect();
            let mut old: BTreeMap<&str, i64> = BTreeMap::new();
            for row in rows {
                *old.entry(&row.content).or_default() += 1;
            }
            let mut new = 0;
            for row in now {
                let left = old.entry(&row.content).or_default();
                *left -= 1;
                new += usize::from(*left < 0);
            }
            if written.len() > new {
                let detail = format!(
                    "{}: {} rows written, of which {new} are new\nbefore: {rows:?}\nwritten: {written:?}",
                    v.name,
                    written.len()
                );
                return self.fail("rows written that did not change", detail);
            }
            self.out.checks.add(Property::Idempotent);
        }
        None
    }
}

fn differing(before: &[Placed], after: &[Placed]) -> Vec<String> {
    let gone = before.iter().filter(|r| !after.contains(r)).map(|r| format!("gone: {r:?}"));
    let new = after.iter().filter(|r| !before.contains(r)).map(|r| format!("new: {r:?}"));
    gone.chain(new).take(20).collect()
}

/// Whether a transaction flushes once, at its end, by the rows that it changed.
pub(super) fn is_one_flush(t: &Transaction) -> bool {
    let quiet = |act: &Act| match act {
        Act::Sql(sql) => {
            let word = sql.split_whitespace().next().unwrap_or("");
            matches!(word, "INSERT" | "UPDATE" | "DELETE" | "MERGE" | "WITH")
        }
        Act::Copy { .. } | Act::Savepoint(_) | Act::RollbackTo(_) | Act::Release(_) => true,
        _ => false,
    };
    (t.end != End::Autocommit || t.steps.len() == 1) && t.steps.iter().all(|s| !s.is_ddl && quiet(&s.act))
}
