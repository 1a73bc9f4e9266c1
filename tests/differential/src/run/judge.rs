//! What an error means, and which hazards a committed transaction has met.
//! Invariant: an error is accepted only when the statement, or the query of a view, fails in the same way without any TVIEW; a hazard is
//! counted when all steps of its group did something and the transaction was committed. Called by `transaction`.

use super::transaction::Progress;
use super::{Failure, Run};
use crate::case::{Act, Transaction};
use crate::hazards::Hazard;
use crate::server::{describe, in_flush, state};
use std::collections::{BTreeMap, BTreeSet};

impl Run<'_> {
    /// Whose fault an error is: nothing when it may happen.
    pub(super) fn judge(&mut self, e: &postgres::Error, what: &str, step: usize) -> Option<Failure> {
        let code = state(e);
        let text = format!("{what}\n{}", describe(e));
        self.out.failed_steps.insert((self.at, step, code.clone()));
        if self.mode.verbose {
            println!("-- {}", describe(e));
        }
        match code.as_str() {
            "closed" => return self.fail("connection closed", text),
            "TV001" => return self.fail("difference within a statement", text),
            // nobody else writes
            "40001" | "40P01" => return self.fail(format!("error {code} without another writer"), text),
            "57014" | "55P03" => return self.fail(format!("error {code}"), text),
            _ if code.starts_with("XX") => return self.fail(format!("error {code}"), text),
            _ => {}
        }
        if self.mode.without_tviews {
            return None;
        }
        let of_query = code.starts_with("21") || code.starts_with("22");
        if in_flush(e) && !of_query {
            return self.fail(format!("flush fails with {code}"), text);
        }
        self.out.errors.add(code.clone());
        if !in_flush(e) && (code.starts_with("23") || code == "22012") {
            return None;
        }
        self.fail(format!("suspicious {code}"), text)
    }

    /// The same without consequences for an open transaction.
    pub(super) fn evaluate_plain_now(&mut self, open: bool) -> Result<(), postgres::Error> {
        if !open {
            self.evaluate_plain();
            return Ok(());
        }
        self.session.client.batch_execute("SAVEPOINT plain")?;
        self.evaluate_plain();
        self.session.client.batch_execute("ROLLBACK TO SAVEPOINT plain; RELEASE SAVEPOINT plain")
    }

    /// Computes all views, which are plain ones: the errors are those of their queries.
    fn evaluate_plain(&mut self) {
        for (view, v) in self.case.views.iter().enumerate() {
            if self.live[view] {
                let sql = format!("SELECT md5(string_agg(v::text, '')) FROM {} AS v", v.name);
                if let Err(e) = self.session.client.batch_execute(&sql) {
                    self.out.failed_steps.insert((self.at, usize::MAX, state(&e)));
                    return;
                }
            }
        }
    }

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
