//! Breaks one rule of the extension at a time and wants to see it noticed: a test of this test.
//! Invariant: the faults are those that the server offers (builds with the feature `faults`); a case that fails without the fault proves nothing.
//! Called by `main` for `--faults`.

use crate::args::Args;
use crate::case::{Act, Case, End, Mode};
use crate::hazards::Hazard;
use crate::server::{Session, rows};
use crate::{case, case_seed, one};
use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// Hazards without which a fault cannot show: cases that have none of them are not run.
fn shows_in(fault: &str) -> &'static [Hazard] {
    match fault {
        "ignore_truncate" => &[Hazard::TruncateInsert, Hazard::TruncateCascade],
        "ignore_ancestors" => &[Hazard::LeafWrite],
        "capture_unused" => &[Hazard::UnusedColumn],
        "keep_rolled_back" => &[Hazard::SavepointRollback, Hazard::ExceptionBlock],
        "lose_what_a_flush_consumed" => &[Hazard::SavepointFlush, Hazard::ExceptionAfterRead],
        "lose_prepared" => &[Hazard::PreparedCommit],
        "ignore_in_flight" => &[Hazard::PeekInWrite],
        "forget_who_waits" | "one_moment" => &[Hazard::ReadInside],
        "ignore_trees" => &[Hazard::DetachOnly, Hazard::Inherit, Hazard::TriggersOff],
        "ignore_functions" => &[Hazard::BodyReplaced],
        "skip_cascade" => &[Hazard::TviewSource],
        "writers_settings" => &[Hazard::OtherSettings],
        "skip_null_extension" | "skip_partners" => {
            &[Hazard::FirstMatch, Hazard::LastMatch, Hazard::MatchReplaced, Hazard::LeftRowAndMatch]
        }
        "keep_levels" => &[Hazard::LateralOuterJoin],
        "keep_extremum" => &[Hazard::ExtremumDeleted, Hazard::ExtremumUpdated],
        "ignore_filters" => &[Hazard::FilteredAggregate],
        "keep_representative" => &[Hazard::RepresentativeLeaves],
        "remove_one_of_several" => &[Hazard::TableWithoutKey],
        "narrow_range" => &[Hazard::UnconnectedAggregate],
        _ => &[],
    }
}

fn has_any(case: &Case, wanted: &[Hazard]) -> bool {
    let in_steps = || {
        let mut steps = case.transactions.iter().flat_map(|t| &t.steps);
        steps.any(|s| s.hazards.iter().any(|h| wanted.contains(h)))
    };
    let prepared =
        wanted.contains(&Hazard::PreparedCommit) && case.transactions.iter().any(|t| t.end == End::PreparedCommit);
    let settings = case.conditions.odd_settings && wanted.contains(&Hazard::OtherSettings);
    wanted.is_empty()
        || settings
        || prepared
        || case.views.iter().any(|v| v.facts.hazards.iter().any(|h| wanted.contains(h)))
        || case.hazards.iter().any(|h| wanted.contains(h))
        || in_steps()
}

/// Whether the check that would notice is made in a case.
fn can_tell(case: &Case, fault: &str) -> bool {
    // one of several equal keys leaves that a group shows
    let leaves = |(t, c): (usize, usize)| {
        let table = &case.schema.tables[t];
        let sql = format!("DELETE FROM {} WHERE {}::text COLLATE", table.name, table.columns[c].name);
        let mut steps = case.transactions.iter().flat_map(|t| &t.steps);
        steps.any(|s| matches!(&s.act, Act::Sql(text) if text.starts_with(&sql)))
    };
    let shows_key = |v: &case::View| {
        let mut keys = v.query.columns.iter().filter(|c| c.fuzzy).filter_map(|c| c.origin);
        v.is_tview && v.facts.hazards.contains(&Hazard::Foldable) && keys.any(leaves)
    };
    let compares = |v: &case::View| {
        let words = [
            "::bigint < (",
            "::bigint > (",
            "::bigint <= (",
            "::bigint >= (",
            "< (SELECT m",
            "> (SELECT m",
            "= (SELECT m",
        ];
        v.is_tview && words.iter().any(|word| v.query.sql.contains(word))
    };
    match fault {
        "narrow_range" => case.views.iter().any(compares),
        "write_equal" => case.watched,
        "keep_representative" => case.views.iter().any(shows_key),
        _ => true,
    }
}

/// Shorter, since most mistakes show early, and without thousands of rows.
fn brief(mut case: Case) -> Option<Case> {
    if case.schema.large {
        return None;
    }
    case.transactions.truncate(16);
    case.transactions
        .iter_mut()
        .for_each(|t| t.steps.retain(|s| !matches!(&s.act, Act::Native(sql) if sql.starts_with("VACUUM"))));
    Some(case)
}

/// The first case that notices a fault, and how; nothing when none does in the time given.
fn caught(args: &Args, fault: &str, seconds: u64) -> Result<(u64, Option<(u64, String)>)> {
    let dsn = format!("{} options='-c pg_tviews.fault={fault}'", args.dsn);
    let (mut broken, mut whole) = (Session::connect(&dsn)?, Session::connect(&args.dsn)?);
    let started = Instant::now();
    let mut tried = 0;
    for number in 0.. {
        if started.elapsed() > Duration::from_secs(seconds) {
            break;
        }
        let seed = args.case.unwrap_or_else(|| case_seed(args.seed, number));
        let built = case::build(seed, broken.features);
        let Some(case) = brief(built).filter(|c| has_any(c, shows_in(fault)) && can_tell(c, fault)) else {
            continue;
        };
        tried += 1;
        let found = match one(&mut broken, &case, seed, Mode { verbose: args.verbose, ..Mode::default() }) {
            Ok((_, outcome)) => outcome.failure.map(|f| f.kind),
            Err(e) => {
                broken.reconnect()?;
                Some(format!("{e:#}"))
            }
        };
        let Some(kind) = found else {
            continue;
        };
        broken.clean()?;
        if whole.client.is_closed() || whole.checker.is_closed() {
            whole.reconnect()?;
        }
        let innocent = one(&mut whole, &case, seed, Mode::default()).is_ok_and(|(_, o)| o.failure.is_none());
        whole.clean()?;
        if innocent {
            return Ok((tried, Some((seed, kind))));
        }
    }
    Ok((tried, None))
}

pub fn run(args: &Args) -> Result<bool> {
    let mut session = Session::connect(&args.dsn)?;
    session.client.batch_execute("CREATE EXTENSION IF NOT EXISTS pg_tviews")?;
    session.clean()?;
    let sql = "SELECT unnest(enumvals) FROM pg_settings WHERE name = 'pg_tviews.fault'";
    let mut all = rows(&mut session.client, sql)?;
    drop(session);
    all.retain(|f| f != "none" && args.fault.as_ref().is_none_or(|only| only == f));
    if all.is_empty() {
        bail!("this build has no faults: it needs the feature `faults`");
    }
    let (mut passed, mut failed) = (0, 0);
    for fault in &all {
        let started = Instant::now();
        let (tried, found) = caught(args, fault, args.seconds_per_fault)?;
        let seconds = started.elapsed().as_secs_f64();
        match found {
            Some((seed, kind)) => {
                passed += 1;
                println!("ok - {fault}: case {seed}, number {tried}, after {seconds:.0} s: {kind}");
            }
            None => {
                failed += 1;
                println!("not ok - {fault} was not noticed by {tried} cases in {seconds:.0} s");
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    Ok(failed == 0)
}
