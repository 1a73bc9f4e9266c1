//! Which TVIEW reads which relations, and the order of a flush; cached until a TVIEW is created, dropped or changed.

use crate::catalog::{self, cache, deferred};
use crate::pg::error::{Error, Result};
use crate::pg::name;
use crate::pg::process::process;
use crate::queue::Readers;
use pgrx::pg_sys;
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use tviews_core::graph::{Sources, order, units};

pub struct Graph {
    /// Without TVIEWs that read no relation.
    pub reads: Sources,
    /// TVIEWs that read relations, each after the TVIEWs that it reads.
    pub order: Vec<u32>,
    /// TVIEWs that follow at commit, by relation.
    readers: BTreeMap<u32, Readers>,
    /// The other TVIEWs: they follow a log, and stages their TVIEW.
    deferred: BTreeSet<u32>,
    /// Relations that are read by any TVIEW.
    read: BTreeSet<u32>,
    /// By (TVIEW, relation): the columns that the TVIEW uses. `captured`: by (relation, whether for deferred TVIEWs), the columns that are captured.
    columns: FxHashMap<(u32, u32), BTreeSet<i16>>,
    captured: FxHashMap<(u32, bool), BTreeSet<i16>>,
    /// Stages: the TVIEWs they serve.
    roots: FxHashMap<u32, u32>,
}

/// The error about TVIEWs that read each other in a circle. A stage has the name of the TVIEW that it serves.
fn circle(cycle: &[u32], roots: &FxHashMap<u32, u32>) -> Error {
    let mut names = Vec::new();
    for tview in cycle {
        let mut at = *tview;
        while let Some(above) = roots.get(&at) {
            at = *above;
        }
        let name = name::bare(pg_sys::Oid::from(at));
        if names.last() != Some(&name) {
            names.push(name);
        }
    }
    if names.len() > 1 && names.first() == names.last() {
        names.pop();
    }
    Error::Circle(names)
}

impl Graph {
    /// The user's TVIEW that a stage serves; a TVIEW that is no stage itself.
    pub fn root(&self, tview: pg_sys::Oid) -> pg_sys::Oid {
        let mut at = tview.to_u32();
        while let Some(above) = self.roots.get(&at) {
            at = *above;
        }
        pg_sys::Oid::from(at)
    }

    pub fn is_stage(&self, relid: u32) -> bool {
        self.roots.contains_key(&relid)
    }

    /// TVIEWs in units that have nothing to do with each other, by the least TVIEW of each.
    pub fn units(&self) -> BTreeMap<u32, u32> {
        units(&self.reads)
    }

    /// Whether some TVIEW reads this relation.
    pub fn is_read(&self, relid: u32) -> bool {
        self.read.contains(&relid)
    }

    /// Whether a TVIEW, or the TVIEW that a stage serves, follows later than at commit.
    pub fn is_deferred(&self, tview: u32) -> bool {
        self.deferred.contains(&tview)
    }

    /// Whether changes of a relation are logged: for a deferred TVIEW that it is no stage of.
    pub fn is_logged(&self, relid: u32) -> bool {
        let reads = |t: &u32| self.reads.get(t).is_some_and(|r| r.contains(&relid));
        !self.deferred.is_empty() && !self.is_stage(relid) && self.deferred.iter().any(reads)
    }

    /// The stages of a TVIEW.
    pub fn stages(&self, tview: pg_sys::Oid) -> BTreeSet<u32> {
        self.roots.keys().copied().filter(|s| self.root(pg_sys::Oid::from(*s)) == tview).collect()
    }

    /// The TVIEWs that read this relation and follow at commit.
    pub fn readers(&self, relid: u32) -> Readers {
        self.readers.get(&relid).cloned().unwrap_or_default()
    }

    /// The columns that a TVIEW uses of a relation, as stored in `tviews.source`.
    pub fn columns(&self, tview: u32, relid: u32) -> &BTreeSet<i16> {
        &self.columns[&(tview, relid)]
    }

    /// The columns of a relation that are captured for a TVIEW and for others like it.
    pub fn captured(&self, tview: u32, relid: u32) -> &BTreeSet<i16> {
        &self.captured[&(relid, self.is_deferred(tview))]
    }

    /// These TVIEWs, and the TVIEWs that they read, directly or through other TVIEWs, as far as they follow at commit.
    pub fn below(&self, tviews: &BTreeSet<u32>) -> BTreeSet<u32> {
        let mut out = tviews.clone();
        for t in self.order.iter().rev() {
            if out.contains(t) && !self.is_deferred(*t) {
                out.extend(self.reads[t].iter().filter(|s| self.reads.contains_key(s)));
            }
        }
        out
    }

    /// Whether a relation is a TVIEW that reads relations.
    pub fn reads_others(&self, relid: u32) -> bool {
        self.reads.contains_key(&relid)
    }

    /// TVIEWs that read any of `relids`, directly or through other TVIEWs.
    pub fn affected(&self, relids: &BTreeSet<u32>) -> BTreeSet<u32> {
        let mut out: BTreeSet<u32> = BTreeSet::new();
        for t in &self.order {
            if self.reads[t].iter().any(|s| relids.contains(s) || out.contains(s)) {
                out.insert(*t);
            }
        }
        out
    }
}

/// What is known as of a generation of the caches. Without the extension that is a graph of nothing, and its coming moves no generation.
struct Known {
    generation: u64,
    is_watched: bool,
    graph: Rc<Graph>,
}

process! {
    static CACHE: RefCell<Option<Known>> = const { RefCell::new(None) };
}

/// Number of TVIEWs in the graph that this session keeps.
pub fn cached() -> usize {
    CACHE.with(|c| c.borrow().as_ref().map_or(0, |known| known.graph.reads.len()))
}

pub fn current() -> Result<Rc<Graph>> {
    let generation = cache::generation();
    let known = CACHE.with(|c| {
        let known = c.borrow();
        known.as_ref().filter(|k| k.generation == generation).map(|k| (k.is_watched, Rc::clone(&k.graph)))
    });
    if let Some((_, graph)) = known.filter(|(is_watched, _)| *is_watched || !catalog::watch_sources()) {
        return Ok(graph);
    }
    let is_watched = catalog::watch_sources();
    let generation = cache::generation();
    let mut reads = Sources::new();
    let mut readers: BTreeMap<u32, Readers> = BTreeMap::new();
    let mut columns: FxHashMap<(u32, u32), BTreeSet<i16>> = FxHashMap::default();
    let mut captured: FxHashMap<(u32, bool), BTreeSet<i16>> = FxHashMap::default();
    let mut read = BTreeSet::new();
    let sources = catalog::sources(|_| true);
    let mut deferred = deferred::all(&sources);
    for s in sources {
        cache::watch(s.tview);
        let (tview, relid) = (s.tview.to_u32(), s.relid.to_u32());
        let is_deferred = deferred.contains(&tview);
        columns.entry((tview, relid)).or_default().extend(&s.columns);
        captured.entry((relid, is_deferred)).or_default().extend(&s.columns);
        reads.entry(tview).or_default().insert(relid);
        read.insert(relid);
        if !is_deferred {
            Rc::make_mut(readers.entry(relid).or_default()).insert(tview);
        }
    }
    let roots: FxHashMap<u32, u32> =
        catalog::stages::all().into_iter().map(|(s, t)| (s.to_u32(), t.to_u32())).collect();
    // Stages that read no relation, too.
    let of_deferred = |stage: &u32| {
        let mut at = *stage;
        while let Some(above) = roots.get(&at) {
            at = *above;
        }
        deferred.contains(&at)
    };
    let inner: Vec<u32> = roots.keys().copied().filter(of_deferred).collect();
    deferred.extend(inner);
    let order = order(&reads).map_err(|cycle| circle(&cycle, &roots))?;
    let graph = Rc::new(Graph { reads, order, readers, deferred, read, columns, captured, roots });
    CACHE.with(|c| *c.borrow_mut() = Some(Known { generation, is_watched, graph: Rc::clone(&graph) }));
    Ok(graph)
}
