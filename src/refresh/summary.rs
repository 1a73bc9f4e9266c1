//! The strategies of a TVIEW for its base relations, through all of its stages.
//!
//! Called by DDL (NOTICE, `mode = incremental`) and by monitoring.

use super::tview;
use crate::catalog::stages;
use crate::pg::error::Result;
use crate::pg::relation::Relation;
use pgrx::pg_sys;
use std::collections::BTreeMap;
use tviews_core::strategy::{Decision, Strategy};

/// By base relation: the most expensive strategy on the way from it to the TVIEW.
pub fn decisions(oid: pg_sys::Oid) -> Result<BTreeMap<u32, Decision>> {
    let mut out = BTreeMap::new();
    let Some(rel) = Relation::open(oid, pg_sys::AccessShareLock) else { return Ok(out) };
    let tview = tview::of(&rel)?;
    for (relid, decision) in &tview.decisions {
        let source = pg_sys::Oid::from(*relid);
        if !stages::is_stage(source) {
            add(&mut out, *relid, decision.clone());
            continue;
        }
        for (base, inner) in decisions(source)? {
            let worse = if rank(&inner) >= rank(decision) { inner } else { decision.clone() };
            add(&mut out, base, worse);
        }
    }
    Ok(out)
}

fn rank(d: &Decision) -> u8 {
    match d.strategy {
        Strategy::Fold => 0,
        Strategy::Delta => 1,
        Strategy::Keyed => 2,
        Strategy::Full => 3,
    }
}

/// Keeps the most expensive decision for a relation.
pub fn add(out: &mut BTreeMap<u32, Decision>, relid: u32, decision: Decision) {
    match out.get(&relid) {
        Some(known) if rank(known) >= rank(&decision) => {}
        _ => {
            out.insert(relid, decision);
        }
    }
}
