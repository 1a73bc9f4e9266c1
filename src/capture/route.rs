//! Routes for the rows of a captured statement: from the table that the statement names to the base relations of TVIEWs.
//!
//! A table that a TVIEW reads gets its own rows; a partition or child also feeds the relations above it, mapped to
//! their row type by column name; a table above a base relation cannot tell its rows apart, so a write through it marks
//! the base relation as changed entirely. A TVIEW that reads tableoid of an inheritance tree is recomputed after every write to
//! the tree; other TVIEWs on the tree follow the rows. Cached per backend until a relation involved is invalidated.

use crate::catalog::{self, cache, deferred, logs, wal};
use crate::pg::ext;
use crate::pg::fault::{self, Fault};
use crate::pg::process::process;
use crate::pg::relation::{self, Relation, TABLEOID, attname};
use crate::pg::syscatalog::{INHERITS_BY_CHILD, INHERITS_PARENT};
use pgrx::pg_sys;
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

/// For one base relation: the attributes that are kept, and the attribute of the captured row that each comes from.
pub struct Target {
    pub relid: pg_sys::Oid,
    /// By attribute of the base relation, from 0: attribute of the captured row from 0, None for "NULL".
    pub from: Vec<Option<usize>>,
    /// The captured row is already the image.
    pub identical: bool,
}

pub struct Routes {
    /// For TVIEWs that follow at commit.
    pub targets: Vec<Target>,
    /// For the log.
    pub logged: Vec<Target>,
    /// Base relations that are logged as changed entirely.
    pub logged_entirely: Vec<pg_sys::Oid>,
    /// Base relations below the named table, marked as changed entirely.
    pub everything: Vec<pg_sys::Oid>,
    /// Those among them that are captured from WAL, row by row: only TVIEWs that follow at commit are to know.
    pub unlogged: Vec<pg_sys::Oid>,
    /// TVIEWs that read tableoid of an inheritance tree: change rows do not have it.
    pub recompute: Vec<pg_sys::Oid>,
}

#[derive(Default)]
struct Cache {
    generation: u64,
    routes: FxHashMap<u32, Rc<Routes>>,
}

process! {
    static CACHE: RefCell<Cache> = RefCell::new(Cache::default());
}

/// Number of tables whose routes this session keeps.
pub fn cached() -> usize {
    CACHE.with(|c| c.borrow().routes.len())
}

/// Routes of statements that name `rel`.
pub fn of(rel: pg_sys::Relation) -> Rc<Routes> {
    // SAFETY: the trigger's relation is open.
    let relid = unsafe { (*rel).rd_id };
    let generation = cache::generation();
    let known = CACHE.with(|c| {
        let mut c = c.borrow_mut();
        if c.generation != generation {
            *c = Cache { generation, routes: FxHashMap::default() };
        }
        c.routes.get(&relid.to_u32()).cloned()
    });
    if let Some(routes) = known {
        return routes;
    }
    cache::watch(relid);
    let is_watched = catalog::watch_sources() && logs::watch();
    let routes = Rc::new(build(relid));
    CACHE.with(|c| {
        let mut c = c.borrow_mut();
        if is_watched && c.generation == cache::generation() {
            c.routes.insert(relid.to_u32(), Rc::clone(&routes));
        }
    });
    routes
}

fn build(relid: pg_sys::Oid) -> Routes {
    let sources = catalog::sources(|_| true);
    let read: BTreeSet<u32> = sources.iter().map(|s| s.relid.to_u32()).collect();
    let mut targets = Vec::new();
    let (mut logged, mut logged_entirely) = (Vec::new(), Vec::new());
    let mut everything = Vec::new();
    let mut recompute = Vec::new();
    let deferred = deferred::all(&sources);
    let above = if fault::on(Fault::IgnoreAncestors) { Vec::new() } else { ancestors(relid) };
    for base in std::iter::once(relid).chain(above).filter(|r| read.contains(&r.to_u32())) {
        cache::watch(base);
        let is_tree = has_children(base);
        let from_wal = wal::captures(base);
        let mut columns: Option<BTreeSet<i16>> = None;
        let mut later: Option<BTreeSet<i16>> = None;
        for s in sources.iter().filter(|s| s.relid == base) {
            let is_deferred = deferred.contains(&s.tview.to_u32());
            // A row that moves to another table of the tree would cancel out, although its tableoid has changed.
            match is_tree && s.columns.contains(&TABLEOID) {
                _ if is_deferred && from_wal => {}
                true if is_deferred => logged_entirely.push(base),
                true => recompute.push(s.tview),
                false if is_deferred => later.get_or_insert_default().extend(&s.columns),
                false => columns.get_or_insert_default().extend(&s.columns),
            }
        }
        targets.extend(columns.and_then(|c| target(relid, base, &c)));
        logged.extend(later.and_then(|c| target(relid, base, &c)));
    }
    let below = ext::find_all_inheritors(relid, pg_sys::NoLock as i32);
    everything.extend(below.into_iter().filter(|r| *r != relid && read.contains(&r.to_u32())));
    let unlogged = everything.iter().copied().filter(|r| wal::captures(*r)).collect();
    Routes { targets, logged, logged_entirely, everything, unlogged, recompute }
}

fn has_children(relid: pg_sys::Oid) -> bool {
    ext::find_all_inheritors(relid, pg_sys::NoLock as i32).len() > 1
}

fn target(from: pg_sys::Oid, base: pg_sys::Oid, columns: &BTreeSet<i16>) -> Option<Target> {
    let captured = Relation::open(from, pg_sys::NoLock)?;
    let wanted = Relation::open(base, if from == base { pg_sys::NoLock } else { pg_sys::AccessShareLock })?;
    let whole = columns.contains(&0) || fault::on(Fault::CaptureUnused);
    let mut map = Vec::new();
    for i in 0..wanted.natts() {
        let att = wanted.attribute(i);
        // A virtual generated column (18) is computed when it is read: rows do not have it.
        let stored = att.attgenerated as u8 != b'v';
        let keep = !att.attisdropped && stored && (whole || columns.contains(&att.attnum));
        map.push(if keep { position(&captured, &attname(att)) } else { None });
    }
    let identical = from == base && (0..wanted.natts()).all(|i| map[i] == Some(i));
    Some(Target { relid: base, from: map, identical })
}

fn position(rel: &Relation, name: &str) -> Option<usize> {
    (0..rel.natts()).find(|i| {
        let att = rel.attribute(*i);
        !att.attisdropped && relation::attname(att) == name
    })
}

/// All relations that a relation inherits from, directly or not.
pub fn ancestors(relid: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    let mut found = Vec::new();
    let mut todo = vec![relid];
    while let Some(child) = todo.pop() {
        for parent in parents(child) {
            if !found.contains(&parent) {
                found.push(parent);
                todo.push(parent);
            }
        }
    }
    found
}

fn parents(child: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    INHERITS_BY_CHILD.find(&[child], &[INHERITS_PARENT]).into_iter().map(|row| row[0]).collect()
}
