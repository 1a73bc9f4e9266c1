//! The change sets of one flush, by the TVIEWs that have to follow them.
//!
//! The meaning of "now" and "before": a TVIEW is exact for the state of the transaction at a moment of its own. Pending for it are the changes of
//! its sources, TVIEWs included, since that moment; "before" is the state at the moment, "now" the state behind the last change. A flush takes all
//! change sets of a TVIEW at once, together with those of the TVIEWs below it, and brings the TVIEWs below up to date first. So all change sets of
//! one TVIEW are about the same two moments, whenever other readers of its sources are flushed: a set that some readers have followed stays
//! pending for the others (`Subject::Awaited`), which share it.
//! Invariant: `of(t)` is the changes since t's moment of columns that t uses (unused.rs). It is called when all TVIEWs below t are up to date.
//! Called by the flush.

use crate::pg::error::Result;
use crate::queue::changes::ChangeSet;
use crate::queue::{self, Readers, Subject};
use crate::refresh::flush::unused;
use crate::refresh::follow::job::Changes;
use crate::refresh::plan::graph::Graph;
use pgrx::pg_sys;
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::rc::Rc;
use tviews_core::subject;

struct Sets {
    relid: u32,
    /// None: all TVIEWs that read the relation.
    readers: Option<Readers>,
    sets: Vec<Rc<ChangeSet>>,
}

#[derive(Default)]
pub struct Pending {
    all: Vec<Sets>,
    /// TVIEWs to recompute, whatever changed.
    pub recompute: BTreeSet<u32>,
    /// Some changes have been applied before: only strategies that recompute may be followed.
    pub again: bool,
    /// Some changes have been looked at before: sets are not summed with each other.
    pub apart: bool,
    /// Results of `of`, by TVIEW.
    known: FxHashMap<u32, Rc<Changes>>,
}

impl Pending {
    pub fn new(again: bool, apart: bool) -> Pending {
        Pending { again, apart, ..Pending::default() }
    }

    /// TVIEWs to recompute, and no change sets.
    pub fn recompute(tviews: BTreeSet<u32>) -> Pending {
        Pending { recompute: tviews, ..Pending::new(true, true) }
    }

    /// Adds change sets taken from the queue. `keep`: the TVIEWs in `only` have to follow them once more at commit.
    pub fn take(&mut self, pending: queue::Pending, graph: &Graph, only: Option<&BTreeSet<u32>>, keep: bool) {
        self.known.clear();
        for (subject, sets) in pending {
            if keep {
                queue::applied(followed(&subject, only, graph), &sets);
            }
            match subject {
                Subject::Recompute(tview) => {
                    self.recompute.insert(tview);
                }
                Subject::Relation(relid) => self.all.push(Sets { relid, readers: None, sets }),
                Subject::Awaited(relid, readers) => self.all.push(Sets { relid, readers: Some(readers), sets }),
            }
        }
    }

    /// Takes out the deferred TVIEWs that are to be recomputed: those that stages serve.
    pub fn take_deferred(&mut self, graph: &Graph) -> BTreeSet<u32> {
        let all = self.recompute.extract_if(.., |t| graph.is_deferred(*t));
        all.map(|t| graph.root(pg_sys::Oid::from(t)).to_u32()).collect()
    }

    /// Adds the changes of a TVIEW.
    pub fn publish(&mut self, tview: u32, set: Rc<ChangeSet>) {
        self.all.push(Sets { relid: tview, readers: None, sets: vec![set] });
    }

    /// After the graph has changed.
    pub fn forget(&mut self) {
        self.known.clear();
    }

    /// The changes that a TVIEW has to follow.
    pub fn of(&mut self, tview: u32, graph: &Graph) -> Result<Rc<Changes>> {
        if let Some(known) = self.known.get(&tview) {
            return Ok(Rc::clone(known));
        }
        let mut changes = Changes::default();
        if let Some(reads) = graph.reads.get(&tview) {
            let concerns =
                |s: &&Sets| reads.contains(&s.relid) && s.readers.as_ref().is_none_or(|r| r.contains(&tview));
            for sets in self.all.iter().filter(concerns) {
                changes.entry(sets.relid).or_default().extend(sets.sets.iter().cloned());
            }
        }
        for (relid, sets) in changes.iter_mut() {
            *sets = unused::without(std::mem::take(sets), self.apart, tview, *relid, graph)?;
        }
        changes.retain(|_, sets| !sets.is_empty());
        let changes = Rc::new(changes);
        self.known.insert(tview, Rc::clone(&changes));
        Ok(changes)
    }
}

/// The subject that a flush of the TVIEWs in `only` has followed.
pub fn followed(subject: &Subject, only: Option<&BTreeSet<u32>>, graph: &Graph) -> Subject {
    match only {
        Some(only) => subject::followed(subject, only, &|relid| graph.readers(relid)),
        None => subject.clone(),
    }
}
