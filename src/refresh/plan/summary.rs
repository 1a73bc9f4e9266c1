//! The strategies of a TVIEW for its base relations, through all of its stages.
//!
//! Called by DDL (NOTICE, `mode = incremental`) and by monitoring.

use crate::analyze::query::relations;
use crate::analyze::query::tree::{is_plain, outputs};
use crate::catalog::stages;
use crate::pg::error::Result;
use crate::pg::pinned::Pinned;
use crate::pg::relation::Relation;
use crate::pg::tree::{Query, list, server};
use crate::refresh::plan::tview::{self, Tview};
use pgrx::pg_sys;
use std::collections::{BTreeMap, BTreeSet};
use tviews_core::reason::Reason;
use tviews_core::strategy::{Decision, Strategy};

/// By base relation: the most expensive strategy on the way from it to the TVIEW.
pub fn decisions(oid: pg_sys::Oid) -> Result<BTreeMap<u32, Decision>> {
    let mut out = BTreeMap::new();
    let Some(rel) = Relation::open(oid, pg_sys::AccessShareLock) else { return Ok(out) };
    let tview = tview::of(&rel)?;
    // Which sources of this TVIEW a base relation changes.
    let mut ways: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for (relid, decision) in &tview.decisions {
        let source = pg_sys::Oid::from(*relid);
        if !stages::is_stage(source) {
            ways.entry(*relid).or_default().insert(*relid);
            add(&mut out, *relid, *decision);
            continue;
        }
        let is_row = decision.reason.is(Reason::OneValue) && is_row_of(&tview, &rel, *relid)?;
        for (base, inner) in decisions(source)? {
            ways.entry(base).or_default().insert(*relid);
            let worse = if is_row || inner.strategy >= decision.strategy { inner } else { *decision };
            add(&mut out, base, worse);
        }
    }
    for (base, sources) in ways {
        if sources.len() > 1 && !together(&tview, &rel, &sources)? {
            add(&mut out, base, Decision::full(Reason::SeveralParts));
        }
    }
    Ok(out)
}

/// Whether a TVIEW is the value of the row of a stage, `SELECT (SELECT c1 FROM stage)`: to compute it anew is to read this row.
fn is_row_of(tview: &Tview, rel: &Relation, stage: u32) -> Result<bool> {
    let _pinned = Pinned::new(tview.owner);
    let query = tview::maintained(rel)?;
    let [output] = outputs(query)[..] else { return Ok(false) };
    if !list::is(output.expr(), pg_sys::NodeTag::T_SubLink) || !relations::in_from(query).is_empty() {
        return Ok(false);
    }
    let link = output.expr().cast::<pg_sys::SubLink>();
    let sub: Query = link.subselect().cast();
    let from = relations::in_from(sub);
    let reads = |index: &usize| server::rt_fetch(*index, sub).relid().to_u32() == stage;
    Ok(link.subLinkType() == pg_sys::SubLinkType::EXPR_SUBLINK
        && is_plain(sub)
        && from.len() == 1
        && from.iter().all(reads))
}

/// Whether changes of all these sources together are followed without recomputing the whole TVIEW, or one source needs that anyway.
fn together(tview: &Tview, rel: &Relation, sources: &BTreeSet<u32>) -> Result<bool> {
    if sources.iter().any(|s| tview.decisions[s].strategy == Strategy::Full) {
        return Ok(true);
    }
    let _pinned = Pinned::new(tview.owner);
    Ok((tview.is_fold(sources) && tview.fold_sql(rel, sources)?.is_some())
        || (tview.is_delta(sources) && tview.bag_sql(rel, sources)?.is_some())
        || (tview.is_keyed(sources) && tview.sql(rel, sources)?.is_some()))
}

/// Keeps the most expensive decision for a relation.
pub fn add(out: &mut BTreeMap<u32, Decision>, relid: u32, decision: Decision) {
    match out.get(&relid) {
        Some(known) if known.strategy >= decision.strategy => {}
        _ => {
            out.insert(relid, decision);
        }
    }
}
