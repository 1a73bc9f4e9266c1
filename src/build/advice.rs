//! Indexes that the tables of a TVIEW lack: a changed row finds its partners, and the other rows of its group, by reading all of a table; so do
//! first rows in an order.
//!
//! Only advice: nothing depends on it. Called by DDL (a NOTICE for tables that are large already), and by monitoring.

use crate::analyze::describe::interval;
use crate::analyze::describe::order::{self, Ordered};
use crate::analyze::describe::partners::{self, Search};
use crate::analyze::query::load;
use crate::build::indexes;
use crate::capture::install;
use crate::catalog::{self, stages};
use crate::pg::error::Result;
use crate::pg::pinned::Pinned;
use crate::pg::relation::{Relation, attname};
use crate::pg::{ext, list, name};
use crate::refresh::plan::summary;
use crate::refresh::plan::tview::{self, maintained};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::pg_sys::{self, Oid};
use pgrx::{PgLogLevel, PgSqlErrorCode};
use std::collections::{BTreeMap, BTreeSet};
use tviews_core::reason::Reason;
use tviews_core::strategy::Strategy;

/// One index that is missing.
pub struct Missing {
    /// The relation whose changes are slow.
    pub changed: u32,
    searched: Oid,
    columns: Columns,
    pages: u64,
}

/// What is looked for by an index.
#[derive(Clone)]
enum Columns {
    /// Values in one of these columns.
    Values(BTreeSet<i16>),
    /// The first rows in the order of these columns.
    First(Vec<Ordered>),
    /// The rows around one: equal in so many columns, in the order of the others.
    Around(usize, Vec<Ordered>),
}

/// From this number of pages on, reading a whole table hurts.
const LARGE: u64 = 128;

impl Missing {
    pub fn is_large(&self) -> bool {
        self.pages >= LARGE
    }

    pub fn statement(&self) -> String {
        let columns: Vec<String> =
            Relation::open(self.searched, pg_sys::AccessShareLock).map_or(Vec::new(), |rel| match &self.columns {
                Columns::Values(columns) => {
                    columns.iter().map(|c| name::ident(&attname(rel.attribute(*c as usize - 1)))).collect()
                }
                Columns::First(columns) | Columns::Around(_, columns) => {
                    columns.iter().map(|c| c.in_index(&rel)).collect()
                }
            });
        format!("CREATE INDEX ON {} ({});", relation(self.searched), columns.join(", "))
    }

    pub fn cost(&self) -> String {
        let changed = relation(Oid::from(self.changed));
        let size = match self.pages * u64::from(pg_sys::BLCKSZ) / 1024 {
            kb if kb < 10240 => format!("{kb} kB"),
            kb => format!("{} MB", kb / 1024),
        };
        let within = if matches!(self.columns, Columns::First(_)) { " that comes within LIMIT" } else { "" };
        format!("a changed row of {changed}{within} reads all of {}, now {size}", relation(self.searched))
    }
}

fn relation(oid: Oid) -> String {
    name::relation(oid).unwrap_or_default()
}

/// The indexes that a TVIEW lacks, those of its stages included, by the relation that changes.
pub fn missing(oid: Oid) -> Result<Vec<Missing>> {
    let mut found: BTreeMap<(u32, u32), Columns> = BTreeMap::new();
    collect(oid, &mut found)?;
    let mut missing = Vec::new();
    for ((changed, searched), columns) in found {
        let Some(rel) = Relation::open(Oid::from(searched), pg_sys::AccessShareLock) else { continue };
        let is_there = match &columns {
            Columns::Values(columns) => has_index(&rel, columns),
            Columns::First(columns) => indexes::gives_order(&rel, columns),
            Columns::Around(equal, columns) => {
                let reversed: Vec<Ordered> = columns
                    .iter()
                    .enumerate()
                    .map(|(i, c)| if i < *equal { c.clone() } else { c.reversed() })
                    .collect();
                indexes::gives_order(&rel, columns) || indexes::gives_order(&rel, &reversed)
            }
        };
        if !is_there {
            missing.push(Missing { changed, searched: rel.oid(), columns, pages: pages(rel.oid()) });
        }
    }
    Ok(missing)
}

fn collect(oid: Oid, found: &mut BTreeMap<(u32, u32), Columns>) -> Result<()> {
    let Some(rel) = Relation::open(oid, pg_sys::AccessShareLock) else { return Ok(()) };
    let tview = tview::of(&rel)?;
    {
        let _pinned = Pinned::new(tview.owner);
        let expanded = load::expand(maintained(&rel)?)?;
        let followed = |changed: &u32| tview.decisions.get(changed).is_some_and(|d| d.strategy != Strategy::Full);
        for Search { changed, searched, columns } in partners::searches(expanded) {
            if followed(&changed) && !stages::is_stage(Oid::from(searched)) {
                for base in bases(changed) {
                    found.entry((base, searched)).or_insert_with(|| Columns::Values(columns.clone()));
                }
            }
        }
        if let Some((searched, columns)) = order::of(expanded)
            && tview.decisions.get(&searched.to_u32()).is_some_and(|d| d.strategy == Strategy::Range)
            && !stages::is_stage(searched)
        {
            found.entry((searched.to_u32(), searched.to_u32())).or_insert(Columns::First(columns));
        }
        let in_order = |relid: pg_sys::Oid| {
            let decision = tview.decisions.get(&relid.to_u32());
            decision.is_some_and(|d| [Strategy::Keyed, Strategy::Range].contains(&d.strategy))
        };
        if let Some(of) = interval::of(expanded, &tview::stored_key)
            && let Some((searched, equal, columns)) = order::around(expanded, &of)
            && in_order(searched)
            && !stages::is_stage(searched)
        {
            found.entry((searched.to_u32(), searched.to_u32())).or_insert(Columns::Around(equal, columns));
        }
        let key: Vec<usize> = tview.key.iter().flatten().map(|k| k.at).collect();
        if tview.groups
            && !key.is_empty()
            && let Some((searched, columns)) = partners::table_of(expanded, &key)
            && !stages::is_stage(Oid::from(searched))
        {
            let keyed = tview.decisions.iter().filter(|(_, d)| d.strategy == Strategy::Keyed);
            for base in keyed.flat_map(|(r, _)| bases(*r)) {
                found.entry((base, searched)).or_insert_with(|| Columns::Values(columns.clone()));
            }
        }
    }
    drop(rel);
    stages::of(oid).into_iter().try_for_each(|stage| collect(stage, found))
}

/// The users' relations from which the changes of a relation come, which may be a stage.
fn bases(relid: u32) -> BTreeSet<u32> {
    if !stages::is_stage(Oid::from(relid)) {
        return BTreeSet::from([relid]);
    }
    catalog::sources(|s| s.tview.to_u32() == relid).into_iter().flat_map(|s| bases(s.relid.to_u32())).collect()
}

/// Whether an index begins with one of these columns.
fn has_index(rel: &Relation, columns: &BTreeSet<i16>) -> bool {
    // SAFETY: the relation and its indexes are open.
    unsafe {
        list::oids_of(pg_sys::RelationGetIndexList(rel.raw())).into_iter().any(|index| {
            let Some(index) = Relation::open(index, pg_sys::AccessShareLock) else { return false };
            let form = &*(*index.raw()).rd_index;
            let first = form.indkey.values.as_slice(form.indnatts as usize).first().copied().unwrap_or(0);
            let finds = matches!((*(*index.raw()).rd_rel).relam.to_u32(), BTREE | HASH);
            form.indisvalid
                && finds
                && columns.contains(&first)
                && pg_sys::RelationGetIndexPredicate(index.raw()).is_null()
        })
    }
}

/// catalog/pg_am.dat.
const BTREE: u32 = 403;
const HASH: u32 = 405;

/// Pages of a relation and its inheritance tree.
fn pages(oid: Oid) -> u64 {
    // SAFETY: the server's own look-up; relations that have no storage are left out.
    unsafe {
        let has_storage = |rel: &Relation| {
            rel.relkind() != pg_sys::RELKIND_PARTITIONED_TABLE && rel.relkind() != pg_sys::RELKIND_FOREIGN_TABLE
        };
        ext::find_all_inheritors(oid, pg_sys::AccessShareLock as i32)
            .into_iter()
            .filter_map(|o| Relation::open(o, pg_sys::AccessShareLock).filter(has_storage))
            .map(|rel| u64::from(pg_sys::RelationGetNumberOfBlocksInFork(rel.raw(), pg_sys::ForkNumber::MAIN_FORKNUM)))
            .sum()
    }
}

/// Tells the user at once which changes recompute everything, and why.
pub fn explain_full(oid: pg_sys::Oid) -> Result<()> {
    let mut reasons: BTreeSet<(String, String)> = BTreeSet::new();
    for (relid, d) in &summary::decisions(oid)? {
        if d.strategy == Strategy::Full && !d.reason.is(Reason::ModeFull) {
            reasons.insert((name::bare(pg_sys::Oid::from(*relid)), d.reason.to_string()));
        }
    }
    for s in catalog::sources(|s| s.tview == oid).into_iter().filter(|s| install::is_uncaptured(s.relid)) {
        reasons.insert((name::bare(s.relid), "it cannot be captured, so each refresh compares".into()));
    }
    if !reasons.is_empty() {
        let detail: Vec<String> =
            reasons.iter().map(|(t, why)| format!("A change of \"{t}\" recomputes it: {why}.")).collect();
        pgrx::ereport!(
            NOTICE,
            pgrx::PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION,
            format!("TVIEW \"{}\" will be recomputed in full by some changes", name::bare(oid)),
            detail.join("\n")
        );
    }
    Ok(())
}

/// Names the indexes that tables lack which are large already.
pub fn advise(oid: pg_sys::Oid) -> Result<()> {
    for missing in missing(oid)?.into_iter().filter(Missing::is_large) {
        ErrorReport::new(
            PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION,
            format!("TVIEW \"{}\": {}", name::bare(oid), missing.cost()),
            "advise",
        )
        .set_hint(missing.statement())
        .report(PgLogLevel::NOTICE);
    }
    Ok(())
}
