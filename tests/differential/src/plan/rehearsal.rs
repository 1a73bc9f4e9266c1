//! A third of the changes of definitions is rehearsed: done and taken back, by ROLLBACK, ROLLBACK TO or an exception, and then done for real.
//! Invariant: what the model knows is as if the rehearsal had not been, and `Case::batches` leaves it out. Called by `sequence`.

use super::{Planner, step};
use crate::case::{Act, End, Step, Transaction};
use crate::hazards::Hazard;
use std::ops::Range;

fn text(act: &Act) -> Option<&str> {
    match act {
        Act::Sql(sql) | Act::Native(sql) => Some(sql),
        _ => None,
    }
}

/// Whether a step changes a definition, and can be taken back.
fn changes_definitions(step: &Step) -> bool {
    let words = ["ALTER", "CREATE", "DROP", "REFRESH", "GRANT"];
    let statement = text(&step.act).is_some_and(|sql| step.is_ddl || words.iter().any(|word| sql.starts_with(word)));
    statement || matches!(step.act, Act::Create(_) | Act::Drop(_))
}

/// The first steps, one after the other, that change definitions.
fn run_of(steps: &[Step]) -> Option<Range<usize>> {
    let first = steps.iter().position(changes_definitions)?;
    let count = steps[first..].iter().take_while(|s| changes_definitions(s)).count();
    Some(first..first + count)
}

impl Planner<'_> {
    /// Transactions as they were, some of them with a rehearsal before or inside.
    pub fn rehearsed(&mut self, all: Vec<Transaction>) -> Vec<Transaction> {
        let mut out = vec![];
        for mut t in all {
            let range = run_of(&t.steps).filter(|_| self.dice.chance(33));
            if let Some(range) = range {
                out.extend(self.rehearse(&mut t, range));
            }
            out.push(t);
        }
        out
    }

    /// Puts a rehearsal into a transaction, or returns a transaction of its own that comes before.
    fn rehearse(&mut self, t: &mut Transaction, range: Range<usize>) -> Option<Transaction> {
        let last = range.end - 1;
        let mut copy = t.steps[range.clone()].to_vec();
        for step in &mut copy {
            step.hazards.clear();
            step.group = self.group + 1;
            step.is_rehearsal = true;
        }
        let group = self.next_group();
        let in_sql = copy.iter().all(|s| text(&s.act).is_some());
        let inside = t.end != End::Autocommit;
        match self.dice.below(3) {
            0 if in_sql && inside => {
                let name = self.fresh("rehearsal_");
                copy.insert(0, step(Act::Savepoint(name.clone()), &[], group));
                copy.push(step(Act::RollbackTo(name), &[], group));
                t.steps[last].hazards.push(Hazard::RehearsedInSavepoint);
            }
            1 if in_sql => {
                let native = copy.iter().any(|s| matches!(s.act, Act::Native(_)));
                let body: String =
                    copy.iter().filter_map(|s| text(&s.act)).map(|sql| format!("        {sql};\n")).collect();
                let sql = format!(
                    "DO $rehearsal$\nBEGIN\n{body}        RAISE EXCEPTION 'on purpose';\nEXCEPTION WHEN raise_exception THEN\n    NULL;\nEND $rehearsal$"
                );
                copy = vec![step(if native { Act::Native(sql) } else { Act::Sql(sql) }, &[], group)];
                t.steps[last].hazards.push(Hazard::RehearsedInBlock);
            }
            _ => {
                t.steps[last].hazards.push(Hazard::RehearsedInTransaction);
                return Some(Transaction { end: End::Rollback, ..Transaction::new(copy) });
            }
        }
        copy.iter_mut().for_each(|s| (s.is_ddl, s.is_rehearsal) = (true, true));
        t.steps.splice(range.start..range.start, copy);
        None
    }
}
