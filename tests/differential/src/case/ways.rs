//! Other ways to do the work of a case, or some of it: in other batches, without UPDATE, by several sessions.
//! Invariant: no write is added that the plan did not make; where two ways leave the same in the tables, TVIEWs must be the same, too.
//! Called by `metamorphic` and `concurrent`.

use super::{Act, Case, End, Transaction};
use crate::dice::Dice;
use crate::plan;

/// Other transactions over the schema of a case, for several sessions: without changes of definitions, and without TRUNCATE, after which PostgreSQL
/// itself shows older snapshots an empty table.
pub fn for_sessions(case: &Case, dice: &mut Dice) -> Vec<Transaction> {
    let mut all = plan::transactions(dice, &case.schema, &case.views, None);
    all.retain(|t| {
        t.steps.iter().all(|s| {
            !s.is_ddl
                && !matches!(s.act, Act::Create(_) | Act::Drop(_) | Act::Native(_))
                && !matches!(&s.act, Act::Sql(sql) if sql.contains("TRUNCATE"))
        })
    });
    all
}

impl Case {
    /// The same work without savepoints and rollbacks, one transaction each, or one for each statement.
    pub fn batches(&self, end: End) -> Case {
        let mut case = self.clone();
        case.transactions
            .retain(|t| matches!(t.end, End::Commit | End::PreparedCommit | End::Autocommit) && !t.no_change);
        for t in &mut case.transactions {
            t.steps.retain(|s| matches!(s.act, Act::Sql(_) | Act::Copy { .. }) && !s.is_rehearsal);
            t.end = end;
        }
        case.transactions.retain(|t| !t.steps.is_empty());
        case
    }

    /// The same work with every UPDATE as DELETE and INSERT, if there is one.
    pub fn without_updates(&self) -> Option<Case> {
        let mut case = self.batches(End::Commit);
        let mut any = false;
        for step in case.transactions.iter_mut().flat_map(|t| &mut t.steps) {
            if let Some(sql) = step.as_delete_insert.take() {
                step.act = Act::Sql(sql);
                any = true;
            }
        }
        any.then_some(case)
    }
}
