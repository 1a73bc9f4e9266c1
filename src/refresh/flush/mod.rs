//! Flush: brings every affected TVIEW up to date, in dependency order, inside the writing transaction.
//!
//! Invariant: when `flush(Commit)` returns, every TVIEW that reads something this transaction changed equals its query
//! under the latest snapshot, with locks held that keep it so until the transaction ends. See README.md here.
//! Called by queue (PRE_COMMIT, PRE_PREPARE), by the hooks before a read, and by `tviews.flush()`.

pub mod deferred;
pub mod defining;
mod foresee;
pub mod lost;
mod names;
mod pending;
mod unused;

use crate::capture::srf::{self, Offer};
use crate::catalog::sentinel;
use crate::counters::Counters;
use crate::counters::watched::{self, How, Way, Work};
use crate::feed;
use crate::pg::callback::{self, Flushing};
use crate::pg::error::{Result, or_raise};
use crate::pg::fault::{self, Fault};
use crate::pg::pinned::{self, Pinned};
use crate::pg::process::process;
use crate::pg::relation::Relation;
use crate::pg::{acl, silent, snapshot};
use crate::queue::changes::ChangeSet;
use crate::queue::{self, Subject};
use crate::refresh::follow::job::{self, Changes, Job, is_large};
use crate::refresh::follow::ways::Ways;
use crate::refresh::follow::{base, provisional, sources};
use crate::refresh::plan::graph::{self, Graph};
use crate::refresh::plan::privileges;
use crate::refresh::plan::tview::{self, Tview};
use lost::is_still_lost;
use pending::Pending;
use pgrx::pg_sys;
use rustc_hash::FxHashMap;
use std::cell::Cell;
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use tviews_core::choice::Size;
use tviews_core::strategy::Strategy;
use tviews_core::whole::Whole;

/// Why a flush happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The transaction is about to commit or to be prepared.
    Commit,
    /// A query of this transaction is about to read a TVIEW, or a user called `tviews.flush()`.
    Read,
}

process! {
    static RUNNING: Cell<bool> = const { Cell::new(false) };
    /// Nesting of the sub-transaction that the flush runs in.
    static LEVEL: Cell<i32> = const { Cell::new(0) };
    /// First command that sees the rows that the last flush of this transaction wrote.
    static LAST: Cell<pg_sys::CommandId> = const { Cell::new(0) };
}

/// Whether a snapshot was taken before the last flush of this transaction.
pub fn is_older(snapshot: pg_sys::Snapshot) -> bool {
    // SAFETY: the snapshot of a query that is about to start.
    unsafe { (*snapshot).curcid < LAST.get() }
}

/// Whether a flush of this backend is on the stack.
pub fn running() -> bool {
    RUNNING.get()
}

/// Marks the flush and takes back its offer, also when an error unwinds.
struct Guard;

impl Guard {
    fn enter() -> Guard {
        RUNNING.set(true);
        // SAFETY: plain getter.
        LEVEL.set(unsafe { silent::GetCurrentTransactionNestLevel() });
        Guard
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        RUNNING.set(false);
        srf::offer(None);
    }
}

/// The state of one flush while it goes through the TVIEWs.
pub struct Flush {
    /// Changes of TVIEWs are added as they are maintained.
    pending: Pending,
    /// The TVIEWs that the flush is about; None: all.
    only: Option<Only>,
    /// In the middle of a transaction that keeps its snapshot: read with this snapshot, and flush again at commit.
    on_transaction_snapshot: bool,
    /// At the end of the transaction.
    is_last: bool,
    /// A refresh of deferred TVIEWs: all is read with one snapshot, and no snapshot shows the state before.
    deferred: bool,
    /// Inside of a statement that writes: the flush sees the rows written so far, and they come once more as change rows.
    inside: bool,
    late: Late,
    /// Why TVIEWs are in `pending.recompute`.
    asked: Whole,
    /// Why everything was recomputed, of the TVIEW or stage for which it was first.
    why: Option<Whole>,
    /// What was done to TVIEWs themselves, stages left out.
    done: Counters,
}

/// TVIEWs that come last, because all of their writers meet in them: they are locked for a moment only. As long as the order of all others is gone
/// through, they are put off.
#[derive(Default)]
struct Late {
    tviews: VecDeque<u32>,
    is_time: bool,
}

/// A flush for a query that reads some TVIEWs.
struct Only {
    read: BTreeSet<u32>,
    /// These TVIEWs, and all TVIEWs that they depend on.
    below: BTreeSet<u32>,
}

/// Brings all affected TVIEWs up to date.
pub fn flush(moment: Moment) {
    flush_some(moment, None);
}

/// Brings some TVIEWs and the TVIEWs they depend on up to date; returns whether changes were pending for them.
pub fn flush_for_read(tviews: &BTreeSet<u32>) -> bool {
    if queue::is_empty() || running() {
        return false;
    }
    let graph = or_raise(graph::current());
    let below = graph.below(tviews);
    let pending = queue::concerns(&below, &|relid| graph.readers(relid));
    if pending {
        flush_some(Moment::Read, Some(Only { read: tviews.clone(), below }));
    }
    pending
}

fn flush_some(moment: Moment, only: Option<Only>) {
    if running() {
        return;
    }
    // The last statement's changes of catalogs, names among them, are visible from here on.
    // SAFETY: inside a transaction.
    unsafe { pg_sys::CommandCounterIncrement() };
    let keep = moment != Moment::Commit && snapshot::transaction_keeps_its_snapshot();
    let inside = queue::in_flight::any();
    let again = inside || !keep && !queue::nothing_applied();
    let apart = again || queue::has_again();
    let graph = or_raise(graph::current());
    let taken = match &only {
        _ if moment == Moment::Commit => queue::take_all(),
        Some(only) => queue::take_for(&only.below, &|relid| graph.readers(relid)),
        None => queue::take(),
    };
    if taken.is_empty() {
        return;
    }
    let guard = Guard::enter();
    let mut pending = Pending::new(again, apart);
    pending.take(taken, &graph, only.as_ref().map(|o| &o.below), keep);
    let recompute = pending.take_deferred(&graph);
    let is_last = moment == Moment::Commit;
    let mut flush = Flush { only, on_transaction_snapshot: keep, is_last, inside, ..Flush::of(pending) };
    or_raise(flush.run(graph));
    drop(guard);
    if recompute.is_empty() {
        return;
    }
    or_raise(deferred::recompute(recompute));
    // TVIEWs that read those have to follow now. What waits for the end of a statement is still pending.
    if !queue::is_empty() && !queue::in_flight::any() {
        let graph = or_raise(graph::current());
        flush_some(moment, flush.only.map(|Only { read, .. }| Only { below: graph.below(&read), read }));
    }
}

impl Flush {
    fn of(pending: Pending) -> Flush {
        let (late, done) = (Late::default(), Counters::default());
        Flush {
            pending,
            only: None,
            on_transaction_snapshot: false,
            is_last: false,
            deferred: false,
            inside: false,
            late,
            asked: Whole::Asked,
            why: None,
            done,
        }
    }

    fn run(&mut self, mut graph: Rc<Graph>) -> Result<()> {
        let mut done = BTreeSet::new();
        let mut at = 0;
        while let Some((tview, is_late)) = self.next_or_late(&graph, &mut at)? {
            let oid = pg_sys::Oid::from(tview);
            // DDL on a TVIEW holds a lock on it: after waiting for this lock, the graph may be another one.
            let rel = Relation::open(oid, pg_sys::RowExclusiveLock);
            let now = graph::current()?;
            if !Rc::ptr_eq(&graph, &now) {
                (graph, at) = (now, 0);
                self.late = Late::default();
                self.pending.forget();
                self.widen(&graph);
                continue;
            }
            at += usize::from(!is_late);
            let follows = |rel: &Relation| rel.class().relispopulated && !defining::is(tview);
            if let Some(rel) = rel.filter(|rel| done.insert(tview) && follows(rel)) {
                let root = graph.root(oid);
                let counted = watched::watched(root, || self.maintain(rel, root, &graph))?;
                // What the clock moves is computed anew in any case.
                if !self.pending.recompute.contains(&tview) {
                    self.done.full_recomputes += counted.full_recomputes;
                }
                if root == oid {
                    self.done.rows_inserted += counted.rows_inserted;
                    self.done.rows_updated += counted.rows_updated;
                    self.done.rows_deleted += counted.rows_deleted;
                }
                if !is_late && self.late.tviews.back() == Some(&tview) {
                    done.remove(&tview);
                }
            }
        }
        // The written rows are visible to the snapshot that the reader takes next.
        // SAFETY: inside a transaction.
        unsafe {
            pg_sys::CommandCounterIncrement();
            LAST.set(silent::current_command());
            if !self.inside {
                base::set(self.only.as_ref().map(|o| &o.below));
            }
        }
        Ok(())
    }

    /// When the TVIEWs being read depend on other TVIEWs than at the start, the flush becomes one of all TVIEWs.
    fn widen(&mut self, graph: &Graph) {
        if !self.deferred && self.only.as_ref().is_some_and(|o| graph.below(&o.read) != o.below) {
            self.only = None;
            self.pending.apart |= queue::has_again();
            self.pending.take(queue::take(), graph, None, self.on_transaction_snapshot);
        }
    }

    /// The next TVIEW, and whether it is one of those that were put off.
    fn next_or_late(&mut self, graph: &Graph, at: &mut usize) -> Result<Option<(u32, bool)>> {
        if let Some(tview) = self.next(graph, at)? {
            return Ok(Some((tview, false)));
        }
        self.late.is_time = true;
        Ok(self.late.tviews.pop_front().map(|tview| (tview, true)))
    }

    /// The next TVIEW that has changes to follow, from place `at` of the order on. TVIEWs that read no relation are in front of the order.
    fn next(&mut self, graph: &Graph, at: &mut usize) -> Result<Option<u32>> {
        let without_sources = self.pending.recompute.iter().filter(|t| !graph.reads.contains_key(t));
        let front: Vec<u32> = without_sources.copied().collect();
        for place in *at..front.len() + graph.order.len() {
            let tview = front.get(place).copied().unwrap_or_else(|| graph.order[place - front.len()]);
            let is_left = self.only.as_ref().is_some_and(|o| !o.below.contains(&tview));
            if is_left || graph.is_deferred(tview) != self.deferred {
                continue;
            }
            if self.pending.recompute.contains(&tview) || !self.pending.of(tview, graph)?.is_empty() {
                *at = place;
                return Ok(Some(tview));
            }
        }
        Ok(None)
    }

    /// Brings one locked TVIEW up to date, or puts it off: then nothing is counted.
    fn maintain(&mut self, rel: Relation, root: pg_sys::Oid, graph: &Graph) -> Result<Work> {
        let oid = rel.oid();
        let owner = rel.class().relowner;
        let mut flushing = names::of(root, oid, owner).map(Flushing::of);
        callback::set_flushing(flushing.clone());
        // Errors about privileges are shown to everybody.
        privileges::check(root)?;
        let hidden = !may_read(owner, root);
        if let Some(flushing) = &mut flushing {
            flushing.hidden = hidden;
        }
        callback::set_flushing(flushing);
        let changes = self.pending.of(oid.to_u32(), graph)?;
        let tview = tview::of(&rel)?;
        if !self.late.is_time && !self.deferred && tview.is_met_by_all() && !graph.is_read(oid.to_u32()) {
            self.late.tviews.push_back(oid.to_u32());
            callback::set_flushing(None);
            return Ok(Work::default());
        }
        let none = BTreeSet::new();
        let held = sources::hold(graph.reads.get(&oid.to_u32()).unwrap_or(&none), self.on_transaction_snapshot)?;
        let lost = !sentinel::alive(oid, rel.class()) && is_still_lost(oid);
        let mut changed: BTreeSet<u32> = tview.decisions.keys().copied().filter(|r| changes.contains_key(r)).collect();
        if fault::on(Fault::SkipSecondRelation) {
            changed = changed.into_iter().take(1).collect();
        }
        srf::offer(Some(Offer { changes: Rc::clone(&changes), dirty: FxHashMap::default() }));
        let why = match self.pending.recompute.contains(&oid.to_u32()) {
            _ if lost => Some(Whole::Lost),
            true => Some(self.asked),
            false => prefers_full(&tview, &rel, &changed, &changes, self.pending.again),
        };
        let everything = why.is_some();
        if lost && tview.notify {
            // The contents before the crash are not known.
            feed::anything(oid);
        }
        let recomputes = self.inside && (everything || tview.adds_changes() || tview.joins());
        let mut job = Job {
            tview: &tview,
            rel: &rel,
            changed: &changed,
            changes: &changes,
            own: graph.is_read(oid.to_u32()).then(ChangeSet::default),
            feed: None,
            keep: self.on_transaction_snapshot,
            is_last: self.is_last,
            again: self.pending.again,
            only_now: self.deferred,
            provisional: recomputes,
            apart: self.pending.apart,
            rows: 0,
            why,
            done: Counters { flushes: 1, ..Counters::default() },
        };
        let size = job.size();
        let may_loop = !everything && job.may_loop(size);
        let unset = may_loop && tview.loops_are_unset(&changed);
        let mut pinned = if unset { Pinned::user(tview.owner) } else { Pinned::new(tview.owner) };
        let loops = if may_loop { tview.loops(&rel, &changed)? } else { None };
        let mut is_followed = false;
        if let Some(loops) = loops.as_ref().filter(|l| l.lock()) {
            if !unset {
                pinned.search_path(&tview.search_path);
            }
            is_followed = job.follow_by_loops(loops)?;
        }
        if !is_followed {
            if loops.is_some() || unset {
                drop(pinned);
                pinned = Pinned::new(tview.owner);
            }
            let ways = if everything { Ways::default() } else { Ways::of(&tview, &rel, &changed)? };
            pinned.search_path(&tview.search_path);
            job.follow(&ways, size)?;
        }
        held.confirm()?;
        if recomputes {
            queue::recompute(oid);
        } else if self.inside {
            changes.iter().for_each(|(relid, sets)| queue::follow_again(oid.to_u32(), *relid, sets));
        }
        drop(pinned);
        if lost {
            sentinel::raise(oid)?;
        }
        let (done, own, rows, why) = (job.done, job.own.take(), job.rows, job.why);
        if done.full_recomputes > 0 {
            self.why = self.why.or(why);
        }
        if let Some(mut own) = own {
            if lost {
                // The contents before the crash are not known, so the difference is not a change that readers can follow.
                own.set_everything();
            }
            self.publish(oid, own, graph);
        }
        callback::set_flushing(None);
        let how = watched::is_asked().then(|| {
            let strategies: BTreeSet<&str> = changed.iter().map(|r| tview.decisions[r].strategy.as_str()).collect();
            let way = match (done.full_recomputes > 0, is_followed) {
                (true, _) => Way::Full,
                (_, true) => Way::NestedLoops,
                _ if Size::of(rows).is_few() => Way::FewRows,
                _ => Way::ManyRows,
            };
            let strategies = if way == Way::Full { "full".into() } else { Vec::from_iter(strategies).join(" and ") };
            How { relation: oid, strategies, way, why, hidden }
        });
        Ok(Work { counters: done, how })
    }

    /// Hands the changes of a TVIEW on to the TVIEWs that read it.
    fn publish(&mut self, oid: pg_sys::Oid, own: ChangeSet, graph: &Graph) {
        use tviews_core::queue::Absorb;
        if own.is_empty() || fault::on(Fault::SkipCascade) {
            return;
        }
        let own = Rc::new(own);
        if graph.is_logged(oid.to_u32()) {
            queue::log_set(oid.to_u32(), Rc::clone(&own));
        }
        if self.on_transaction_snapshot {
            let only = self.only.as_ref().map(|o| &o.below);
            let subject = pending::followed(&Subject::Relation(oid.to_u32()), only, graph);
            queue::applied(subject, std::slice::from_ref(&own));
        }
        if let Some(only) = &self.only {
            let others = &*graph.readers(oid.to_u32()) - &only.below;
            if !others.is_empty() {
                queue::await_by(oid, Rc::new(others), Rc::clone(&own));
            }
        }
        self.pending.publish(oid.to_u32(), own);
    }
}

/// Why everything is computed anew, when the changes themselves say so. `again`: some have been applied before.
fn prefers_full(
    tview: &Tview,
    rel: &Relation,
    changed: &BTreeSet<u32>,
    changes: &Changes,
    again: bool,
) -> Option<Whole> {
    let mut rows = 0;
    // Strategies that add compare costs; others have nothing to choose.
    let mut is_any_size = !again;
    for relid in changed {
        if tview.decisions[relid].strategy == Strategy::Full {
            return Some(Whole::Strategy);
        }
        is_any_size &= tview.decisions[relid].is_any_size();
        for set in &changes[relid] {
            if set.is_everything() {
                return Some(Whole::Everything);
            }
            rows += set.len();
        }
    }
    (!is_any_size && is_large(rel, rows)).then_some(Whole::Many(rows))
}

/// Whether the writing user may read the user's TVIEW that is flushed, or that the flushed stage serves.
fn may_read(owner: pg_sys::Oid, root: pg_sys::Oid) -> bool {
    // SAFETY: the current user, and a look-up of privileges on an existing relation.
    unsafe {
        let user = silent::GetUserId();
        user == owner || acl::may_select(root, user)
    }
}

pub fn end_of_transaction() {
    provisional::end_of_transaction();
    LAST.set(0);
    job::forget();
    base::reset();
    end();
}

/// Before commit: all changes are flushed, and no flush has to be done once more.
pub fn settled() {
    provisional::end_of_transaction();
    job::give_back();
}

/// A sub-transaction inside of a flush, as a function with an exception block begins one, does not end the flush.
pub fn end_of_subtransaction(level: u32) {
    if !running() || level as i32 <= LEVEL.get() {
        end();
    }
}

fn end() {
    pinned::reset();
    RUNNING.set(false);
    srf::offer(None);
    callback::set_flushing(None);
}
