//! Which TVIEW reads which relations, and the order of a flush; cached until a TVIEW is created, dropped or changed.

use crate::catalog::{self, cache};
use crate::pg::error::{Error, Result};
use crate::pg::name;
use crate::queue::Readers;
use pgrx::pg_sys;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use tviews_core::graph::{Sources, order};

pub struct Graph {
    /// Without TVIEWs that read no relation.
    pub reads: Sources,
    /// TVIEWs that read relations, each after the TVIEWs that it reads.
    pub order: Vec<u32>,
    readers: BTreeMap<u32, Readers>,
    /// By (TVIEW, relation): the columns that the TVIEW uses. `captured`: by relation, the columns that some TVIEW uses.
    columns: HashMap<(u32, u32), BTreeSet<i16>>,
    captured: HashMap<u32, BTreeSet<i16>>,
    /// Stages: the TVIEWs they serve.
    roots: HashMap<u32, u32>,
}

/// The error about TVIEWs that read each other in a circle. A stage has the name of the TVIEW that it serves.
fn circle(cycle: &[u32], roots: &HashMap<u32, u32>) -> Error {
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

    /// Whether some TVIEW reads this relation.
    pub fn is_read(&self, relid: u32) -> bool {
        self.readers.contains_key(&relid)
    }

    /// The TVIEWs that read this relation.
    pub fn readers(&self, relid: u32) -> Readers {
        self.readers.get(&relid).cloned().unwrap_or_default()
    }

    /// The columns that a TVIEW uses of a relation, as stored in `tviews.source`.
    pub fn columns(&self, tview: u32, relid: u32) -> &BTreeSet<i16> {
        &self.columns[&(tview, relid)]
    }

    /// The columns that TVIEWs use of a relation.
    pub fn captured(&self, relid: u32) -> &BTreeSet<i16> {
        &self.captured[&relid]
    }

    /// These TVIEWs, and the TVIEWs that they read, directly or through other TVIEWs.
    pub fn below(&self, tviews: &BTreeSet<u32>) -> BTreeSet<u32> {
        let mut out = tviews.clone();
        for t in self.order.iter().rev() {
            if out.contains(t) {
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

thread_local! {
    static CACHE: RefCell<Option<(u64, Rc<Graph>)>> = const { RefCell::new(None) };
}

/// Number of TVIEWs in the graph that this session keeps.
pub fn cached() -> usize {
    CACHE.with(|c| c.borrow().as_ref().map_or(0, |(_, graph)| graph.reads.len()))
}

pub fn current() -> Result<Rc<Graph>> {
    let generation = cache::generation();
    let known =
        CACHE.with(|c| c.borrow().as_ref().filter(|(g, _)| *g == generation).map(|(_, graph)| Rc::clone(graph)));
    if let Some(graph) = known {
        return Ok(graph);
    }
    catalog::watch_sources();
    let generation = cache::generation();
    let mut reads = Sources::new();
    let mut readers: BTreeMap<u32, Readers> = BTreeMap::new();
    let mut columns: HashMap<(u32, u32), BTreeSet<i16>> = HashMap::new();
    let mut captured: HashMap<u32, BTreeSet<i16>> = HashMap::new();
    for s in catalog::sources(|_| true) {
        cache::watch(s.tview);
        columns.entry((s.tview.to_u32(), s.relid.to_u32())).or_default().extend(&s.columns);
        captured.entry(s.relid.to_u32()).or_default().extend(&s.columns);
        reads.entry(s.tview.to_u32()).or_default().insert(s.relid.to_u32());
        Rc::make_mut(readers.entry(s.relid.to_u32()).or_default()).insert(s.tview.to_u32());
    }
    let roots: HashMap<u32, u32> = catalog::stages::all().into_iter().map(|(s, t)| (s.to_u32(), t.to_u32())).collect();
    let order = order(&reads).map_err(|cycle| circle(&cycle, &roots))?;
    let graph = Rc::new(Graph { reads, order, readers, columns, captured, roots });
    CACHE.with(|c| *c.borrow_mut() = Some((generation, Rc::clone(&graph))));
    Ok(graph)
}
