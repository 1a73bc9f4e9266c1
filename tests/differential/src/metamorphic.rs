//! A case run also in other ways that must come to the same: in other batches, without UPDATE, a second time.
//! Invariant: ways are compared only where they leave the same in the tables. Called by `sequential` and `faults`.

use crate::case::{Case, End, Mode};
use crate::properties::Property;
use crate::run::{self, Failure, Outcome};
use crate::server::Session;
use anyhow::Result;

/// Runs a case; now and then also in other ways. Returns the case that failed, or this one.
pub fn run(session: &mut Session, case: &Case, seed: u64, mode: Mode) -> Result<(Case, Outcome)> {
    let mut outcome = run::run(session, case, mode)?;
    if outcome.failure.is_some() || mode.baseline {
        return Ok((case.clone(), outcome));
    }
    if seed.is_multiple_of(9) {
        // the same work in one transaction each, and statement by statement
        let (together, apart) = (case.batches(End::Commit), case.batches(End::Autocommit));
        if let Some(failed) = same_end(session, mode, [&together, &apart], Property::Batching, &mut outcome)? {
            return Ok(failed);
        }
    }
    if seed % 9 == 1
        && let Some(deletes) = case.without_updates()
    {
        let updates = case.batches(End::Commit);
        let pair = [&updates, &deletes];
        if let Some(failed) = same_end(session, mode, pair, Property::UpdateIsDeleteInsert, &mut outcome)? {
            return Ok(failed);
        }
    }
    if seed % 40 == 2 {
        let again = run::run(session, case, mode)?;
        outcome.checks.add(Property::Replay);
        if again.failure.is_some() || again.script != outcome.script {
            let detail = "the same seed does something else the second time".to_string();
            outcome.failure = Some(Failure { kind: "no replay".into(), detail, transaction: 0 });
        }
    }
    Ok((case.clone(), outcome))
}

/// Two ways to do the same, which must leave the same in TVIEWs when they leave the same in tables. Returns a failure on one of the ways.
fn same_end(
    session: &mut Session,
    mode: Mode,
    ways: [&Case; 2],
    property: Property,
    outcome: &mut Outcome,
) -> Result<Option<(Case, Outcome)>> {
    let mut ends = vec![];
    for case in ways {
        let done = run::run(session, case, mode)?;
        if done.failure.is_some() {
            return Ok(Some((case.clone(), done)));
        }
        ends.push(done.fingerprints);
    }
    if let [Some(a), Some(b)] = &ends[..]
        && a.0 == b.0
    {
        outcome.checks.add(property);
        if a.1 != b.1 {
            let detail = format!("{property:?}: the tables have the same contents, the TVIEWs have not");
            outcome.failure =
                Some(Failure { kind: "other end".into(), detail, transaction: ways[0].transactions.len() });
        }
    }
    Ok(None)
}
