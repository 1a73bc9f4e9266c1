//! Population: the whole contents of a TVIEW into fresh storage, frozen and batched, then its indexes.
//!
//! Invariant: the TVIEW is locked ACCESS EXCLUSIVE; a writer that has flushed before us holds ROW EXCLUSIVE on it until
//! its commit, so the snapshot taken here sees its changes; a writer that has not flushed yet will flush after us. At creation the
//! triggers were installed first, under a lock that waits for all writers in flight.
//! Called by the DDL hooks.

use crate::analyze::query::load;
use crate::analyze::refuse::bodies;
use crate::build::{indexes, progress};
use crate::catalog::{self, deferred, options, sentinel};
use crate::feed;
use crate::log::{read, write};
use crate::pg::error::{Error, Result};
use crate::pg::pinned::Pinned;
use crate::pg::relation::Relation;
use crate::pg::snapshot::{self, Active, Fixed};
use crate::pg::spi::{Plan, Session};
use crate::pg::{ext, guc, name};
use crate::queue;
use crate::refresh::flush::defining::Defining;
use crate::refresh::flush::lost::recover;
use crate::refresh::flush::{Moment, deferred as refresh, flush};
use crate::refresh::follow::{base, sources};
use crate::refresh::plan::tview::{self, Tview};
use crate::refresh::plan::{decide, graph, privileges, summary};
use crate::tam::bulk::BulkWriter;
use crate::tam::{state, storage};
use pgrx::pg_sys;
use std::collections::BTreeSet;
use std::rc::Rc;
use tviews_core::choice::Size;
use tviews_core::strategy::Strategy;

/// After how many rows the progress is shown.
const SHOWN: usize = 500;

/// Fills a TVIEW; returns the number of rows. `fresh`: its storage was created by the current command and is empty.
pub fn populate(oid: pg_sys::Oid, persistence: u8, fresh: bool) -> Result<u64> {
    if snapshot::is_behind() {
        return Err(Error::Behind(name::bare(oid)));
    }
    let _defining = Defining::new(&[oid]);
    flush(Moment::Read);
    let is_deferred = graph::current()?.is_deferred(oid.to_u32());
    // Stages and TVIEW are read with one snapshot, and no log is emptied that has changes behind it.
    let _fixed = if is_deferred && !Fixed::is() { Some(fix(oid)?) } else { None };
    let reached = is_deferred.then(|| {
        let snapshot = Active::latest();
        // SAFETY: the snapshot is active.
        unsafe { read::frontier(snapshot.raw()) }
    });
    privileges::check(catalog::stages::root(oid))?;
    populate_stages(oid)?;
    for source in graph::current()?.reads.get(&oid.to_u32()).into_iter().flatten() {
        check_source(pg_sys::Oid::from(*source))?;
    }
    add_state(oid)?;
    let rel = open(oid)?;
    if !fresh || rel.class().relpersistence as u8 != persistence {
        // SAFETY: locked ACCESS EXCLUSIVE.
        unsafe { storage::replace_storage(rel.raw(), persistence) };
    }
    drop(rel);
    let rel = open(oid)?;
    let tview = tview::of(&rel)?;
    check_mode(&tview)?;
    check_bodies(&tview, &rel)?;
    let rows = fill(&tview, &rel)?;
    if tview.notify && !fresh {
        feed::anything(oid);
    }
    // SAFETY: locked; indexes are rebuilt before anybody can use them.
    unsafe {
        storage::rebuild_indexes(oid, persistence);
        ext::set_matview_populated(rel.raw(), true);
        pg_sys::CommandCounterIncrement();
        if rel.class().reltuples < 0.0 {
            storage::set_row_count(rel.raw(), rows);
            pg_sys::CommandCounterIncrement();
        }
    }
    drop(rel);
    sentinel::raise(oid)?;
    indexes::create(oid)?;
    if is_deferred && !fresh && graph::current()?.is_read(oid.to_u32()) && !catalog::stages::is_stage(oid) {
        // Its readers know the contents of another snapshot.
        queue::change_everything(oid);
    }
    if let Some(frontier) = reached.filter(|_| !catalog::stages::is_stage(oid)) {
        refresh::reach(oid, &frontier)?;
    }
    base::set(None);
    Ok(rows)
}

/// One snapshot for a deferred TVIEW, of a moment at which its logs have all that it sees.
fn fix(oid: pg_sys::Oid) -> Result<Fixed> {
    let graph = graph::current()?;
    let group = refresh::group(graph.root(oid), &graph);
    for source in refresh::sources(&group, &graph) {
        read::hold(pg_sys::Oid::from(source));
    }
    write::write();
    Ok(Fixed::now())
}

/// Populates the stages of a TVIEW that are not populated.
pub fn populate_stages(oid: pg_sys::Oid) -> Result<()> {
    for stage in catalog::stages::of(oid) {
        if !fresh_enough(stage) {
            populate(stage, pg_sys::RELPERSISTENCE_UNLOGGED, false)?;
        }
    }
    Ok(())
}

/// Whether a stage is populated and alive: its rows are exact then.
fn fresh_enough(stage: pg_sys::Oid) -> bool {
    Relation::open(stage, pg_sys::AccessShareLock)
        .is_some_and(|r| r.class().relispopulated && sentinel::alive(stage, r.class()))
}

/// Empties a TVIEW, as REFRESH … WITH NO DATA does.
pub fn empty(oid: pg_sys::Oid) -> Result<()> {
    refuse_if_read(oid, "emptied")?;
    let persistence = open(oid)?.class().relpersistence as u8;
    empty_as(oid, persistence)
}

/// Empties a TVIEW and gives it storage of another persistence.
pub fn empty_as(oid: pg_sys::Oid, persistence: u8) -> Result<()> {
    let rel = open(oid)?;
    // SAFETY: locked ACCESS EXCLUSIVE.
    unsafe {
        storage::replace_storage(rel.raw(), persistence);
        storage::rebuild_indexes(oid, persistence);
        ext::set_matview_populated(rel.raw(), false);
        pg_sys::CommandCounterIncrement();
    }
    sentinel::lower(oid);
    deferred::forget(oid);
    drop(rel);
    for stage in catalog::stages::of(oid) {
        empty_as(stage, pg_sys::RELPERSISTENCE_UNLOGGED)?;
    }
    Ok(())
}

fn open(oid: pg_sys::Oid) -> Result<Relation> {
    Relation::open(oid, pg_sys::AccessExclusiveLock)
        .ok_or_else(|| Error::Internal(format!("relation {} does not exist", oid.to_u32())))
}

/// A TVIEW that other TVIEWs are computed from must stay populated and maintained.
pub fn refuse_if_read(oid: pg_sys::Oid, what: &str) -> Result<()> {
    let graph = graph::current()?;
    let reader = graph.order.iter().find(|t| graph.reads[t].contains(&oid.to_u32()));
    match reader {
        None => Ok(()),
        Some(reader) => Err(Error::WrongState {
            what: format!("TVIEW \"{}\" cannot be {what}", name::bare(oid)),
            hint: Some(format!(
                "TVIEW \"{}\" reads it; drop that one first.",
                name::bare(catalog::stages::root(pg_sys::Oid::from(*reader)))
            )),
        }),
    }
}

/// A source that is a TVIEW must be populated and alive.
fn check_source(source: pg_sys::Oid) -> Result<()> {
    recover(source)?;
    Ok(())
}

/// Gives the TVIEW the state attributes that its strategy needs.
fn add_state(oid: pg_sys::Oid) -> Result<()> {
    let rel = open(oid)?;
    let wanted = wanted_state(&rel)?;
    if let Some(types) = wanted {
        drop(rel);
        // SAFETY: the relation is locked ACCESS EXCLUSIVE.
        unsafe {
            state::remove_state_attributes(oid);
            state::add_state_attributes(oid, &types);
            pg_sys::CommandCounterIncrement();
        }
    }
    Ok(())
}

/// The types of the state that a TVIEW needs, when its rows have another state.
fn wanted_state(rel: &Relation) -> Result<Option<Vec<pg_sys::Oid>>> {
    // SAFETY: a private copy of the stored query, under the settings of its owner.
    unsafe {
        let _pinned = Pinned::new(rel.class().relowner);
        let wanted = decide::state_types(rel)?;
        Ok((!state::has_layout(rel.tupdesc(), &wanted)).then_some(wanted))
    }
}

/// Computes a TVIEW anew whose rows lack the state that its strategy needs, as after a change of its options.
pub fn restore_state(oid: pg_sys::Oid) -> Result<()> {
    let lacks = match Relation::open(oid, pg_sys::AccessShareLock) {
        Some(rel) => rel.class().relispopulated && wanted_state(&rel)?.is_some(),
        None => false,
    };
    if lacks {
        let persistence = open(oid)?.class().relpersistence as u8;
        populate(oid, persistence, false)?;
    }
    Ok(())
}

/// `mode = incremental` refuses a query that would be recomputed in full.
fn check_mode(tview: &Tview) -> Result<()> {
    if options::stored(tview.oid).mode() != options::Mode::Incremental {
        return Ok(());
    }
    for (relid, decision) in &summary::decisions(tview.oid)? {
        if decision.strategy == Strategy::Full {
            let table = name::bare(pg_sys::Oid::from(*relid));
            return Err(Error::Unsupported {
                what: format!("TVIEW {} cannot be maintained incrementally", tview.name),
                detail: Some(format!("A change of \"{table}\" recomputes it in full: {}.", decision.reason)),
                hint: Some("Use mode = auto to allow that.".into()),
                at: -1,
            });
        }
    }
    Ok(())
}

/// As `check_bodies`, for a TVIEW that calls a function which has changed.
pub fn check_functions(oid: pg_sys::Oid) -> Result<()> {
    match Relation::open(oid, pg_sys::AccessShareLock) {
        Some(rel) if rel.class().relispopulated => check_bodies(&*tview::of(&rel)?, &rel),
        _ => Ok(()),
    }
}

/// Whether the functions of the query find their names, which nobody asks when there are no rows.
fn check_bodies(tview: &Tview, rel: &Relation) -> Result<()> {
    let pinned = Pinned::new(tview.owner);
    pinned.search_path(&tview.search_path);
    // SAFETY: a private copy of the stored query; settings and path are those of maintenance.
    bodies::check(load::expand(load::stored(rel)?)?)
}

fn fill(tview: &Tview, rel: &Relation) -> Result<u64> {
    let pinned = Pinned::new(tview.owner);
    pinned.search_path(&tview.search_path);
    let (graph, none) = (graph::current()?, BTreeSet::new());
    let held = sources::hold(graph.reads.get(&rel.oid().to_u32()).unwrap_or(&none), false)?;
    let _snapshot = Active::latest();
    let session = Session::open();
    let plan = match tview.sums_exactly() {
        true => Rc::new(Plan::parallel(&session, &tview.query, &tview.callees)?),
        false => tview.plan(&session, &tview.query, Size::WHOLE)?,
    };
    let natts = rel.natts();
    let mut row = vec![pg_sys::Datum::from(0usize); natts];
    let mut is_null = vec![true; natts];
    // SAFETY: the storage is new and nobody else can see it; one value per attribute. While workers run, the transaction gets no number.
    unsafe {
        pg_sys::GetCurrentTransactionId();
        let mut writer = BulkWriter::open(rel.raw());
        let mut shown = 0;
        session.each(&plan, &mut |values, nulls| {
            row[..values.len()].copy_from_slice(values);
            is_null[..nulls.len()].copy_from_slice(nulls);
            writer.insert(&row, &is_null);
            shown += 1;
            if shown % SHOWN == 0 {
                progress::add(SHOWN);
            }
        });
        progress::add(shown % SHOWN);
        held.confirm()?;
        Ok(writer.finish())
    }
}

/// The persistence that the options ask for.
pub fn persistence(oid: pg_sys::Oid) -> u8 {
    let logged = options::stored(oid).logged().unwrap_or_else(|| {
        let stored = Relation::open(oid, pg_sys::NoLock).map(|r| r.class().relpersistence as u8);
        stored.map_or(!guc::UNLOGGED_BY_DEFAULT.get(), |p| p == pg_sys::RELPERSISTENCE_PERMANENT)
    });
    if logged { pg_sys::RELPERSISTENCE_PERMANENT } else { pg_sys::RELPERSISTENCE_UNLOGGED }
}
