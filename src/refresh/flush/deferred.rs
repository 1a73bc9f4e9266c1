//! Deferred TVIEWs brought up to date, with one snapshot.
//!
//! A refresh of a TVIEW is one of the deferred TVIEWs below it as well: what belongs together is exact for one snapshot. For each TVIEW, the changes
//! of its relations come from their logs; its stages and the TVIEW itself follow them as in a flush, with two differences. Everything is read with
//! the snapshot of the refresh, so no lock on a relation is needed for two reads to agree. And no snapshot shows the state before: the
//! SQL that needs it tells it from the state now and the change rows (analyze/rules/state_before.rs), or the rows concerned are recomputed.
//! Invariant: refreshes of a TVIEW exclude each other; contents and frontier are written by one transaction, and the contents are the query's result
//! for the frontier's snapshot, clock included. A refresh inside of a statement that writes would see rows that are logged later: it is refused.
//! Called by REFRESH, by the worker, and where a TVIEW must be computed anew.

use crate::capture::install;
use crate::catalog::history::{self, Entry};
use crate::catalog::{deferred, logs, sentinel, wal};
use crate::log::{read, trim, write};
use crate::pg::error::{Error, Result};
use crate::pg::name;
use crate::pg::process::process;
use crate::pg::relation::Relation;
use crate::pg::snapshot::{Active, Fixed};
use crate::queue::changes::ChangeSet;
use crate::queue::{self, in_flight};
use crate::refresh::flush::pending::Pending;
use crate::refresh::flush::{Flush, Guard, Moment, Only, flush, foresee, lost};
use crate::refresh::follow::base;
use crate::refresh::plan::graph::{self, Graph};
use crate::refresh::plan::tview;
use crate::wal::own;
use crate::wal::wait::Before;
use pgrx::pg_sys;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;
use tviews_core::frontier::Frontier;
use tviews_core::whole::Whole;

/// Who wants a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    Statement,
    Schedule,
}

impl By {
    /// So long a refresh waits for the log.
    fn patience(self) -> Duration {
        Duration::from_secs(if self == By::Schedule { 30 } else { 60 })
    }
}

/// Brings a TVIEW and the deferred TVIEWs below it up to date.
/// The number of rows of the log that were followed.
pub fn refresh(tview: pg_sys::Oid, by: By) -> Result<u64> {
    run(tview, false, by).map(|(rows, _)| rows)
}

/// Computes deferred TVIEWs anew, and those below them that are lost.
pub fn recompute(tviews: BTreeSet<u32>) -> Result<()> {
    for tview in tviews {
        // Rows of the statement that are not captured yet would be followed twice.
        let oid = pg_sys::Oid::from(tview);
        let graph = graph::current()?;
        let group = group(oid, &graph);
        if in_flight::any() {
            queue::recompute(oid);
        } else if group.iter().any(|t| reads_uncaptured(*t, &graph)) {
            // Foreign data wrappers have ended their part of a transaction that commits: left to the next refresh.
            deferred::forget(oid);
        } else {
            run(oid, true, By::Statement)?;
        }
    }
    Ok(())
}

/// Computes a TVIEW anew that a crash emptied, unless another session has done so.
pub fn recover(tview: pg_sys::Oid) -> Result<bool> {
    run(tview, false, By::Statement)?;
    Ok(true)
}

fn run(tview: pg_sys::Oid, anew: bool, by: By) -> Result<(u64, Fixed)> {
    if in_flight::any() {
        return Err(Error::InUse {
            what: format!("cannot refresh TVIEW \"{}\" inside of a statement that writes", name::bare(tview)),
            hint: "Refresh it before or after the statement.".into(),
        });
    }
    flush(Moment::Read);
    let (graph, tviews) = lock(tview)?;
    recover_sources(&tviews, &graph)?;
    write::write();
    // Before the snapshot is taken: what is captured by triggers then is so until the refresh has ended (src/wal/switch.rs).
    let before = Before::now();
    let captured = captured(&tviews, &graph);
    let fixed = Fixed::now();
    let unread = match captured.is_empty() || before.is_complete(by.patience()) {
        true => BTreeSet::new(),
        // What is due comes again.
        false if by == By::Schedule => return Ok((0, fixed)),
        false => captured,
    };
    let mut rows = 0;
    for member in tviews {
        rows += follow(member, &graph, anew && member == tview, by, &unread)?;
    }
    Ok((rows, fixed))
}

/// Whether the logs have all that has been written to the relations of a TVIEW by now; waits for what comes from WAL.
pub fn is_logged_by_now(tview: pg_sys::Oid, patience: Duration) -> Result<bool> {
    let graph = graph::current()?;
    let before = Before::now();
    Ok(captured(&below(tview, &graph), &graph).is_empty() || before.is_complete(patience))
}

/// Relations that these TVIEWs read whose changes come from WAL, or still do.
fn captured(tviews: &[pg_sys::Oid], graph: &Graph) -> BTreeSet<u32> {
    let spans = wal::all();
    if spans.is_empty() {
        return BTreeSet::new();
    }
    let spans: BTreeSet<u32> = spans.into_iter().map(|span| span.source.to_u32()).collect();
    let read = tviews.iter().flat_map(|t| sources(&group(*t, graph), graph));
    read.filter(|source| spans.contains(source)).collect()
}

/// Relations that a TVIEW and its stages read, are captured from WAL, or were until a while ago, and have been changed by this transaction.
fn changed_by_itself(group: &BTreeSet<u32>, graph: &Graph) -> Vec<u32> {
    let captured = |source: &u32| wal::of(pg_sys::Oid::from(*source)).is_some();
    sources(group, graph).into_iter().filter(captured).filter(|s| own::has_changed(pg_sys::Oid::from(*s))).collect()
}

/// The contents of a TVIEW are those of a snapshot. What this transaction has done to relations that are captured from WAL comes into the log
/// when it has committed, from before and from after the snapshot: the next refresh computes the TVIEW anew.
pub fn reach(tview: pg_sys::Oid, frontier: &Frontier) -> Result<()> {
    let graph = graph::current()?;
    for source in changed_by_itself(&group(tview, &graph), &graph) {
        queue::log(source, ChangeSet::set_everything);
    }
    // SAFETY: plain getter.
    deferred::reach(tview, frontier, unsafe { pg_sys::GetCurrentTimestamp() })
}

/// So long a look at how far TVIEWs are behind waits for the log.
const TO_SHOW: Duration = Duration::from_secs(1);

process! {
    static FOREIGN: Cell<bool> = const { Cell::new(false) };
}

/// While it lives, foreign tables may be read: the transaction does not end yet.
struct Foreign(());

impl Foreign {
    fn allow() -> Foreign {
        FOREIGN.set(true);
        Foreign(())
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        FOREIGN.set(false);
    }
}

/// Whether a flush may read foreign tables.
pub fn may_read_foreign() -> bool {
    FOREIGN.get()
}

/// TVIEWs that follow at commit and are read by deferred ones: contents that a crash emptied would be read as they are.
fn recover_sources(tviews: &[pg_sys::Oid], graph: &Graph) -> Result<()> {
    let all = tviews.iter().flat_map(|t| sources(&group(*t, graph), graph)).collect::<BTreeSet<u32>>();
    for source in all.into_iter().filter(|s| !graph.is_deferred(*s)) {
        lost::recover(pg_sys::Oid::from(source))?;
    }
    Ok(())
}

/// A TVIEW and its stages.
pub fn group(tview: pg_sys::Oid, graph: &Graph) -> BTreeSet<u32> {
    let mut group = graph.stages(tview);
    group.insert(tview.to_u32());
    group
}

/// Locks a TVIEW and the deferred TVIEWs below it against other refreshes, and before them what they read, as statements do that change
/// a table and what depends on it. The TVIEWs come in the order in which they follow.
fn lock(tview: pg_sys::Oid) -> Result<(Rc<Graph>, Vec<pg_sys::Oid>)> {
    loop {
        let graph = graph::current()?;
        let tviews = below(tview, &graph);
        for source in tviews.iter().flat_map(|t| sources(&group(*t, &graph), &graph)).collect::<BTreeSet<u32>>() {
            // SAFETY: an existing relation, or a lock that is for nothing.
            unsafe { pg_sys::LockRelationOid(pg_sys::Oid::from(source), pg_sys::AccessShareLock as i32) };
        }
        for member in &tviews {
            // SAFETY: an existing relation, or a lock that is for nothing.
            unsafe { pg_sys::LockRelationOid(*member, pg_sys::ShareUpdateExclusiveLock as i32) };
        }
        let now = graph::current()?;
        if Rc::ptr_eq(&graph, &now) {
            return Ok((graph, tviews));
        }
    }
}

/// A deferred TVIEW and those below it, in order; no stages. Those that it also reads through a TVIEW that follows at commit are left out:
/// that one would follow after this one.
pub fn below(tview: pg_sys::Oid, graph: &Graph) -> Vec<pg_sys::Oid> {
    let mut found = BTreeSet::from([tview.to_u32()]);
    for t in graph.order.iter().rev() {
        if graph.is_deferred(*t) && found.contains(&graph.root(pg_sys::Oid::from(*t)).to_u32()) {
            let roots = graph.reads[t].iter().map(|r| graph.root(pg_sys::Oid::from(*r)).to_u32());
            found.extend(roots.filter(|r| graph.is_deferred(*r)));
        }
    }
    let commit: BTreeSet<u32> =
        found.iter().flat_map(|t| sources(&group(pg_sys::Oid::from(*t), graph), graph)).collect();
    let through = graph.below(&commit.into_iter().filter(|s| !graph.is_deferred(*s)).collect());
    let behind: BTreeSet<u32> = through.iter().filter_map(|t| graph.reads.get(t)).flatten().copied().collect();
    found.retain(|t| *t == tview.to_u32() || !behind.contains(t));
    let mut ordered: Vec<_> = graph.order.iter().filter(|t| found.contains(t)).map(|t| pg_sys::Oid::from(*t)).collect();
    // One that reads no relation is in no order.
    if !ordered.contains(&tview) {
        ordered.push(tview);
    }
    ordered
}

fn reads_uncaptured(tview: u32, graph: &Graph) -> bool {
    let reads = graph.reads.get(&tview).into_iter().flatten();
    reads.filter(|r| !graph.is_stage(**r)).any(|r| install::is_uncaptured(pg_sys::Oid::from(*r)))
}

/// Brings one TVIEW up to date, when those below are.
fn follow(tview: pg_sys::Oid, graph: &Rc<Graph>, anew: bool, by: By, unread: &BTreeSet<u32>) -> Result<u64> {
    if !Relation::open(tview, pg_sys::AccessShareLock).is_some_and(|rel| rel.class().relispopulated) {
        return Ok(0);
    }
    // SAFETY: plain getter.
    let started = unsafe { pg_sys::GetCurrentTimestamp() };
    let group = group(tview, graph);
    let reached = deferred::reached(tview);
    let is_unread = sources(&group, graph).iter().any(|source| unread.contains(source));
    let is_of_itself = !changed_by_itself(&group, graph).is_empty();
    let is_lost = group.iter().any(|t| is_lost(*t));
    let everything = anew || reached.is_none() || is_lost || is_unread || is_of_itself;
    let moved: Vec<(u32, Whole)> =
        group.iter().copied().filter_map(|t| moves(t, graph).transpose()).collect::<Result<_>>()?;
    let is_moved = !moved.is_empty();
    let mut asked = match moved.first() {
        _ if anew => Whole::Asked,
        _ if reached.is_none() => Whole::First,
        _ if is_lost => Whole::Lost,
        _ if is_unread => Whole::NotRead,
        _ if is_of_itself => Whole::OfItself,
        Some((_, why)) => *why,
        None => Whole::Asked,
    };
    let mut pending = match everything {
        true => Pending::recompute(group.clone()),
        false => Pending::new(false, false),
    };
    pending.recompute.extend(moved.into_iter().map(|(t, _)| t));
    let mut changed = Changed { everything, ..Changed::default() };
    let snapshot = Active::latest();
    // SAFETY: the snapshot is active.
    let frontier = unsafe { read::frontier(snapshot.raw()) };
    drop(snapshot);
    let mut is_foreseen = false;
    if let Some(reached) = reached.filter(|_| !everything) {
        let estimate = |relid| (relid, read::estimate(pg_sys::Oid::from(relid), &frontier, &reached.frontier));
        let (anew, why) = foresee::anew(&group, graph, &sources(&group, graph).into_iter().map(estimate).collect())?;
        is_foreseen = !anew.is_empty();
        asked = why.filter(|_| !is_moved).unwrap_or(asked);
        let left: BTreeSet<u32> = group.difference(&anew).copied().collect();
        pending.recompute.extend(anew);
        for relid in sources(&left, graph).into_iter().filter(|relid| !group.contains(relid)) {
            let (set, rows, since) = read::changes(pg_sys::Oid::from(relid), &frontier, &reached.frontier);
            changed.rows += rows;
            changed.since = changed.since.into_iter().chain(since).min();
            if set.is_everything() || set.len() > 0 {
                pending.publish(relid, Rc::new(set));
            }
        }
        if changed.rows == 0 && !is_moved && !is_foreseen {
            return Ok(0);
        }
    }
    let (counters, why) = {
        let _guard = Guard::enter();
        let _foreign = Foreign::allow();
        let only = Some(Only { read: BTreeSet::from([tview.to_u32()]), below: group });
        let mut flush = Flush { only, deferred: true, asked, ..Flush::of(pending) };
        flush.run(Rc::clone(graph))?;
        (flush.done, flush.why)
    };
    // For deferred TVIEWs that read this one.
    write::write();
    reach(tview, &frontier)?;
    let is_full = changed.everything || is_foreseen || counters.full_recomputes > 0;
    let entry = Entry {
        started,
        is_scheduled: by == By::Schedule,
        action: if is_full { "full" } else { "incremental" },
        reason: why.filter(|_| is_full),
        rows: [changed.rows, counters.rows_inserted, counters.rows_updated, counters.rows_deleted],
        behind_since: changed.since,
        snapshot: Some(frontier.to_string()),
        error: None,
    };
    // The clock alone is nothing to remember.
    let is_idle = changed.rows == 0 && !everything && !is_foreseen && entry.rows.iter().all(|n| *n == 0);
    if !is_idle {
        history::note(tview, &entry)?;
    }
    Ok(changed.rows)
}

/// The TVIEW and the reason, when it moves without a change in the log: by the clock, or by relations whose changes cannot be captured.
fn moves(tview: u32, graph: &Graph) -> Result<Option<(u32, Whole)>> {
    if reads_uncaptured(tview, graph) {
        return Ok(Some((tview, Whole::NotCaptured)));
    }
    match Relation::open(pg_sys::Oid::from(tview), pg_sys::AccessShareLock) {
        Some(rel) => Ok(tview::of(&rel)?.reads_clock.then_some((tview, Whole::Clock))),
        None => Ok(None),
    }
}

/// What a TVIEW has to follow.
#[derive(Default)]
struct Changed {
    rows: u64,
    since: Option<pg_sys::TimestampTz>,
    everything: bool,
}

/// A TVIEW that is exact for now, while writers are locked out, follows its logs from here on.
pub fn begin(tview: pg_sys::Oid) -> Result<()> {
    if !Relation::open(tview, pg_sys::AccessShareLock).is_some_and(|rel| rel.class().relispopulated) {
        return Ok(());
    }
    write::write();
    let fixed = Fixed::now();
    let snapshot = Active::latest();
    // SAFETY: the snapshot is active.
    let frontier = unsafe { read::frontier(snapshot.raw()) };
    drop((snapshot, fixed));
    reach(tview, &frontier)
}

/// A TVIEW that is exact for now, while writers are locked out, follows at commit from here on.
pub fn end(tview: pg_sys::Oid) -> Result<()> {
    deferred::forget(tview);
    let graph = graph::current()?;
    let group = group(tview, &graph);
    for source in sources(&group, &graph).into_iter().map(pg_sys::Oid::from).filter(|s| wal::captures(*s)) {
        install::install(source)?;
    }
    base::set(Some(&group));
    Ok(())
}

/// Empties the logs of a TVIEW's relations, as far as all their readers have followed.
pub fn trim(tview: pg_sys::Oid) -> Result<()> {
    let graph = graph::current()?;
    trim_of(sources(&group(tview, &graph), &graph), &graph)
}

/// The same for all logs: also of relations whose readers are never refreshed, because they have no contents.
pub fn trim_all() -> Result<()> {
    trim_of(logs::all().into_iter().map(|log| log.source.to_u32()).collect(), &*graph::current()?)
}

fn trim_of(of: BTreeSet<u32>, graph: &Graph) -> Result<()> {
    for source in of {
        let reads = |t: &&u32| graph.is_deferred(**t) && graph.reads[*t].contains(&source);
        let roots: BTreeSet<u32> =
            graph.order.iter().filter(reads).map(|t| graph.root(pg_sys::Oid::from(*t)).to_u32()).collect();
        let frontiers = roots.iter().filter_map(|t| Some(deferred::reached(pg_sys::Oid::from(*t))?.frontier));
        trim::trim(pg_sys::Oid::from(source), &frontiers.collect::<Vec<_>>())?;
    }
    Ok(())
}

/// What a TVIEW has not followed by now; None while a log that it follows is locked: somebody drops it.
pub fn behind(tview: pg_sys::Oid, graph: &Graph) -> Option<read::Behind> {
    let mut found = read::Behind::default();
    let Some(reached) = deferred::reached(tview) else { return Some(found) };
    if !captured(&[tview], graph).is_empty() {
        Before::now().is_complete(TO_SHOW);
    }
    let snapshot = Active::latest();
    for source in sources(&group(tview, graph), graph) {
        // SAFETY: the snapshot is active.
        let is_known =
            unsafe { read::behind(pg_sys::Oid::from(source), snapshot.raw(), &reached.frontier, &mut found) };
        if !is_known {
            return None;
        }
    }
    Some(found)
}

/// Brings a deferred TVIEW up to date, and then does something with the same snapshot.
pub fn with_current<T>(tview: pg_sys::Oid, f: impl FnOnce() -> Result<T>) -> Result<T> {
    let (_, fixed) = run(tview, false, By::Statement)?;
    let result = f();
    drop(fixed);
    result
}

/// The relations that a TVIEW and its stages read, without the stages.
pub fn sources(group: &BTreeSet<u32>, graph: &Graph) -> BTreeSet<u32> {
    let reads = group.iter().filter_map(|t| graph.reads.get(t)).flatten().copied();
    reads.filter(|r| !group.contains(r)).collect()
}

fn is_lost(tview: u32) -> bool {
    let oid = pg_sys::Oid::from(tview);
    Relation::open(oid, pg_sys::AccessShareLock)
        .is_some_and(|rel| rel.class().relispopulated && !sentinel::alive(oid, rel.class()))
}
