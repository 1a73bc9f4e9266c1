//! Population: the whole contents of a TVIEW into fresh storage, frozen and batched, then its indexes.
//!
//! Invariant: the TVIEW is locked ACCESS EXCLUSIVE; a writer that has flushed before us holds ROW EXCLUSIVE on it until
//! its commit, so the snapshot taken here sees it; a writer that has not flushed yet will, after us. At creation the
//! triggers were installed first, under a lock that no writer in flight survives.
//! Called by the DDL hooks.

use super::tview::{self, Size, Tview};
use super::{flush, graph, recover, Moment};
use crate::analyze::{describe, load};
use crate::catalog::{self, options, sentinel};
use crate::pg::error::{Error, Result};
use crate::pg::pinned::{Pinned, Superuser};
use crate::pg::relation::Relation;
use crate::pg::snapshot::Active;
use crate::pg::spi::Session;
use crate::pg::{ext, list};
use crate::tam::{bulk::BulkWriter, state, storage};
use pgrx::pg_sys;
use tviews_core::model::Shape;
use tviews_core::strategy::Strategy;

/// Fills a TVIEW; returns the number of rows. `fresh`: its storage was created by the current command and is empty.
pub fn populate(oid: pg_sys::Oid, persistence: u8, fresh: bool) -> Result<u64> {
    flush(Moment::Read);
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
    let rows = fill(&tview, &rel)?;
    // SAFETY: locked; indexes are rebuilt before anybody can use them.
    unsafe {
        storage::rebuild_indexes(oid, persistence);
        ext::set_matview_populated(rel.raw(), true);
        pg_sys::CommandCounterIncrement();
    }
    drop(rel);
    sentinel::raise(oid)?;
    create_key_index(oid)?;
    super::base::set();
    Ok(rows)
}

/// Populates the stages of a TVIEW that are not.
pub fn populate_stages(oid: pg_sys::Oid) -> Result<()> {
    for stage in catalog::stages::of(oid) {
        if !fresh_enough(stage) {
            populate(stage, pg_sys::RELPERSISTENCE_UNLOGGED, false)?;
        }
    }
    Ok(())
}

/// Whether a stage is populated and alive: it is exact then.
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

/// What other TVIEWs are computed from must stay populated and maintained.
pub fn refuse_if_read(oid: pg_sys::Oid, what: &str) -> Result<()> {
    let graph = graph::current()?;
    let reader = graph.order.iter().find(|t| graph.reads[t].contains(&oid.to_u32()));
    match reader {
        None => Ok(()),
        Some(reader) => Err(Error::WrongState {
            what: format!("TVIEW \"{}\" cannot be {what}", crate::pg::name::bare(oid)),
            hint: Some(format!(
                "TVIEW \"{}\" reads it; drop that one first.",
                crate::pg::name::bare(pg_sys::Oid::from(*reader))
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
    let owner = rel.class().relowner;
    // SAFETY: a private copy of the stored query; the relation is locked.
    unsafe {
        let _pinned = Pinned::new(owner);
        let wanted = tview::state_types(&rel)?;
        let right = state::has_layout(rel.tupdesc(), &wanted);
        drop(rel);
        if !right {
            state::remove_state_attributes(oid);
            state::add_state_attributes(oid, &wanted);
            pg_sys::CommandCounterIncrement();
        }
    }
    Ok(())
}

/// `mode = incremental` refuses what would be recomputed in full.
fn check_mode(tview: &Tview) -> Result<()> {
    if options::stored(tview.oid).get("mode").map(String::as_str) != Some("incremental") {
        return Ok(());
    }
    for (relid, decision) in &super::summary::decisions(tview.oid)? {
        if decision.strategy == Strategy::Full {
            let table = crate::pg::name::bare(pg_sys::Oid::from(*relid));
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

fn fill(tview: &Tview, rel: &Relation) -> Result<u64> {
    let pinned = Pinned::new(tview.owner);
    pinned.search_path(&tview.search_path);
    let _snapshot = Active::latest();
    let session = Session::open();
    let plan = tview.plan(&session, &tview.query, Size::WHOLE)?;
    let natts = rel.natts();
    let mut values = vec![pg_sys::Datum::from(0usize); natts];
    let mut nulls = vec![true; natts];
    // SAFETY: the storage is new and nobody else can see it; one value per attribute.
    unsafe {
        let mut writer = BulkWriter::open(rel.raw());
        session.stream(&plan, |rows| {
            for row in 0..rows.len() {
                rows.deform(row, &mut values, &mut nulls);
                writer.insert(&values, &nulls);
            }
        });
        Ok(writer.finish())
    }
}

/// Creates an index on the derived key unless there is a suitable one.
fn create_key_index(oid: pg_sys::Oid) -> Result<()> {
    let Some(rel) = Relation::open(oid, pg_sys::NoLock) else { return Ok(()) };
    let tview = tview::of(&rel)?;
    if tview.decisions.values().any(|d| d.strategy == Strategy::Delta) {
        return create_hash_index(rel, &tview);
    }
    let Some(key) = tview.key.as_ref().filter(|k| !k.is_empty()) else { return Ok(()) };
    let used = tview.decisions.values().any(|d| d.strategy != Strategy::Full);
    let wanted: Vec<i16> = key.iter().map(|k| k.at as i16 + 1).collect();
    if !used || has_index(&rel, &wanted) {
        return Ok(());
    }
    let columns: Vec<&str> = key.iter().map(|k| tview.columns[k.at].as_str()).collect();
    // Not UNIQUE NULLS NOT DISTINCT: from 18 on the planner takes such a key to determine the row even where an outer join
    // null-extends it (remove_useless_groupby_columns), and gives wrong groups.
    let unique = if tview.region || key.iter().any(|k| k.nullable) { "" } else { "UNIQUE " };
    let sql = match index_columns(&rel, &tview) {
        None => format!("CREATE {unique}INDEX ON {} ({})", tview.name, columns.join(", ")),
        Some(short) => format!("CREATE INDEX ON {} {short}", tview.name),
    };
    drop(rel);
    create_index(&tview, &sql)
}

/// As the owner, who may create nothing in the schema of stages: those get theirs from us. Expressions are evaluated as the
/// owner in any case (index_build).
fn create_index(tview: &Tview, sql: &str) -> Result<()> {
    let _pinned = Pinned::new(tview.owner);
    let _superuser = catalog::stages::is_stage(tview.oid).then(Superuser::new);
    Session::open().run(sql)
}

/// Creates the index by which rows without a key are found, unless there is an index on an expression like it.
fn create_hash_index(rel: Relation, tview: &Tview) -> Result<()> {
    // SAFETY: the relation is open.
    let present = unsafe {
        list::oids(pg_sys::RelationGetIndexList(rel.raw()))
            .into_iter()
            .filter_map(|i| Relation::open(i, pg_sys::AccessShareLock))
            .any(|index| *(*(*index.raw()).rd_index).indkey.values.as_ptr() == 0)
    };
    if present || tview.columns.is_empty() {
        return Ok(());
    }
    let expression = super::bag::hash_expression(&rel, tview, "");
    drop(rel);
    create_index(tview, &format!("CREATE INDEX ON {} (({expression}))", tview.name))
}

/// A key of DISTINCT over wide columns may not fit into a btree entry: index what does.
fn index_columns(rel: &Relation, tview: &Tview) -> Option<String> {
    let key = tview.key.as_ref()?;
    // SAFETY: a private copy of the stored query.
    let shape = unsafe {
        let _pinned = Pinned::new(tview.owner);
        let query = load::expand(load::maintained(rel).ok()?).ok()?;
        describe::describe(query, &super::tview::stored_key).description.shape
    };
    if shape != Shape::Distinct {
        return None;
    }
    let fixed: Vec<&str> = key
        .iter()
        .filter(|k| rel.attribute(k.at).attlen > 0 || rel.attribute(k.at).atttypid == pg_sys::NUMERICOID)
        .map(|k| tview.columns[k.at].as_str())
        .collect();
    if fixed.len() == key.len() {
        None
    } else if fixed.is_empty() {
        let first = &key[0];
        // SAFETY: type cache look-up.
        let hashable = unsafe {
            let entry = pg_sys::lookup_type_cache(first.typid, pg_sys::TYPECACHE_HASH_PROC as i32);
            (*entry).hash_proc != pg_sys::InvalidOid
        };
        hashable.then(|| format!("USING hash ({})", tview.columns[first.at]))
    } else {
        Some(format!("({})", fixed.join(", ")))
    }
}

/// Whether an index can find rows by exactly these columns.
fn has_index(rel: &Relation, wanted: &[i16]) -> bool {
    // SAFETY: the relation is open.
    unsafe {
        list::oids(pg_sys::RelationGetIndexList(rel.raw()))
            .into_iter()
            .filter_map(|i| Relation::open(i, pg_sys::AccessShareLock))
            .any(|index| {
                let form = &*(*index.raw()).rd_index;
                let mut columns: Vec<i16> =
                    (0..form.indnkeyatts as usize).map(|i| *form.indkey.values.as_ptr().add(i)).collect();
                let mut wanted = wanted.to_vec();
                columns.sort_unstable();
                wanted.sort_unstable();
                form.indisvalid && columns == wanted && pg_sys::RelationGetIndexPredicate(index.raw()).is_null()
            })
    }
}
