//! What a refresh computes anew, decided before it reads the logs.
//!
//! Reading the change rows of a log takes about as long as some queries over their tables do, and is for nothing when the planner's estimates then speak for
//! computing the query. So when a log seems to have many rows, the same comparison is made first, with change sets that only claim their number
//! (`ChangeSet::imagined`). What it cannot tell, the refresh finds out as a flush does.
//! Invariant: only the cost of a refresh depends on it. A log is left out when every reader of it in the TVIEW is computed anew. Called by deferred.

use super::{Guard, prefers_full};
use crate::capture::srf::{self, Offer};
use crate::counters::Counters;
use crate::pg::error::Result;
use crate::pg::guc;
use crate::pg::pinned::Pinned;
use crate::pg::relation::Relation;
use crate::queue::changes::ChangeSet;
use crate::refresh::follow::job::{Changes, Job};
use crate::refresh::follow::ways::Ways;
use crate::refresh::plan::graph::Graph;
use crate::refresh::plan::tview;
use pgrx::pg_sys;
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use tviews_core::choice;
use tviews_core::whole::Whole;

/// The members of a TVIEW and its stages that are to be computed anew, and why the first of them is. `rows`: change rows by relation.
pub fn anew(
    group: &BTreeSet<u32>,
    graph: &Graph,
    rows: &BTreeMap<u32, usize>,
) -> Result<(BTreeSet<u32>, Option<Whole>)> {
    let (mut found, mut why) = (BTreeSet::new(), None);
    let all: usize = rows.values().sum();
    if guc::never_whole() || choice::is_read_unseen(all) {
        return Ok((found, why));
    }
    let _guard = Guard::enter();
    let (mut whole, mut wholes) = (0.0, Vec::new());
    for t in graph.order.iter().filter(|t| group.contains(t)) {
        let Some(rel) = Relation::open(pg_sys::Oid::from(*t), pg_sys::AccessShareLock) else { continue };
        let Foreseen { cost, anew } = foresee(&rel, rows)?;
        whole += cost;
        wholes.extend(anew.map(|why| (*t, why)));
    }
    if choice::logged(all) > whole {
        return Ok((group.clone(), Some(Whole::Cheaper)));
    }
    for (t, because) in wholes {
        found.insert(t);
        why = why.or(Some(because));
    }
    Ok((found, why))
}

struct Foreseen {
    /// Of computing it anew.
    cost: f64,
    anew: Option<Whole>,
}

fn foresee(rel: &Relation, rows: &BTreeMap<u32, usize>) -> Result<Foreseen> {
    let tview = tview::of(rel)?;
    let changed: BTreeSet<u32> =
        tview.decisions.keys().copied().filter(|r| rows.get(r).is_some_and(|n| *n > 0)).collect();
    let imagined = |r: &u32| (*r, vec![Rc::new(ChangeSet::imagined(rows[r]))]);
    let changes: Rc<Changes> = Rc::new(changed.iter().map(imagined).collect());
    srf::offer(Some(Offer { changes: Rc::clone(&changes), dirty: FxHashMap::default() }));
    let mut job = Job {
        tview: &tview,
        rel,
        changed: &changed,
        changes: &changes,
        own: None,
        feed: None,
        keep: false,
        is_last: false,
        again: false,
        only_now: true,
        provisional: false,
        apart: false,
        rows: 0,
        why: None,
        done: Counters::default(),
    };
    let size = job.size();
    let pinned = Pinned::new(tview.owner);
    let known = prefers_full(&tview, rel, &changed, &changes, false);
    let ways = if changed.is_empty() || known.is_some() { Ways::default() } else { Ways::of(&tview, rel, &changed)? };
    pinned.search_path(&tview.search_path);
    let cost = job.cost_of_whole()?;
    let anew = match known {
        _ if changed.is_empty() => None,
        Some(why) => Some(why),
        None => job.foresees_whole(&ways, size, cost)?,
    };
    Ok(Foreseen { cost, anew })
}
