//! `health`: whether settings, triggers, indexes, privileges and contents are as TVIEWs need them.

use super::capture;
use super::free::is_free;
use super::verify;
use crate::build::advice;
use crate::capture::install::{covering, has_triggers, installed, is_subscribed, needing, needs};
use crate::catalog::{self, jobs, options, sentinel};
use crate::counters::{SLOTS, table};
use crate::log::board;
use crate::pg::error::Result;
use crate::pg::function::{Arguments, sql_function};
use crate::pg::relation::Relation;
use crate::pg::syscatalog::{EXTENSION_BY_OID, EXTENSION_VERSION};
use crate::pg::{acl, guc, list, locks, name, shmem};
use crate::refresh::flush::deferred;
use crate::refresh::plan::graph;
use crate::refresh::plan::privileges::{self, Lack};
use crate::schedule::control;
use crate::tam;
use pgrx::{IntoDatum, pg_sys};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering::Relaxed;

type Row = (String, String, String, Option<String>);

fn row(check: &str, good: bool, detail: String, hint: &str) -> Row {
    let status = if good { "ok" } else { "error" };
    (check.into(), status.into(), detail, (!good).then(|| hint.to_string()))
}

sql_function!(tviews_health, pg_finfo_tviews_health, health);

fn health(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    let (tviews, locked) = tviews()?;
    let rows = [
        preload(),
        version(),
        syntax(),
        triggers(),
        indexes(&tviews),
        partners(&tviews)?,
        with_locked(contents(&tviews), &locked),
        schedules(&tviews)?,
        capture::row(),
        privileges(&tviews)?,
        catalog(),
        statistics(),
    ];
    arguments.rows(rows.into_iter().map(|(check, status, detail, hint)| {
        [check.into_datum(), status.into_datum(), detail.into_datum(), hint.into_datum()]
    }))
}

/// The TVIEWs that can be looked at without waiting, and the names of the others that are still there.
fn tviews() -> Result<(Vec<pg_sys::Oid>, Vec<String>)> {
    let (mut free, mut locked) = (Vec::new(), Vec::new());
    for tview in verify::tviews() {
        if is_free(tview)? {
            free.push(tview);
        } else {
            locked.extend(name::relation(tview));
        }
    }
    Ok((free, locked))
}

/// A row that also says what it does not say anything about.
fn with_locked(row: Row, locked: &[String]) -> Row {
    if locked.is_empty() {
        return row;
    }
    let (check, status, detail, hint) = row;
    let detail = format!("{detail}; locked by other sessions, and not looked at: {}", locked.join(", "));
    (check, status, detail, hint)
}

fn preload() -> Row {
    let good = tam::PRELOADED.load(Relaxed);
    let detail =
        if good { "pg_tviews is in shared_preload_libraries" } else { "pg_tviews was loaded by this session only" };
    row("preload", good, detail.into(), "Add pg_tviews to shared_preload_libraries and restart the server.")
}

/// The schema is of an older version than the library until somebody updates the extension.
fn version() -> Row {
    // SAFETY: looks the name up.
    let extension = unsafe { pg_sys::get_extension_oid(c"pg_tviews".as_ptr(), true) };
    let found = EXTENSION_BY_OID.text(&[extension], EXTENSION_VERSION).unwrap_or_default();
    let library = env!("CARGO_PKG_VERSION");
    if found == library {
        return row("version", true, format!("library and extension are {library}"), "");
    }
    let detail = format!("the library is {library}, the extension {found}");
    let hint = "Run ALTER EXTENSION pg_tviews UPDATE in this database.";
    ("version".into(), "warning".into(), detail, Some(hint.into()))
}

fn statistics() -> Row {
    let used = table().used();
    if used == SLOTS {
        let hint = "Drop TVIEWs that are not used.";
        let detail = format!("all {SLOTS} entries of tviews.stat are taken; further TVIEWs are not counted");
        return ("statistics".into(), "warning".into(), detail, Some(hint.into()));
    }
    if shmem::area().is_some() {
        return row("statistics", true, format!("{used} of {SLOTS} entries of tviews.stat are in use"), "");
    }
    let detail = "tviews.stat counts the flushes of this session only";
    let hint = "Add pg_tviews to shared_preload_libraries and restart the server.";
    ("statistics".into(), "warning".into(), detail.into(), Some(hint.into()))
}

fn syntax() -> Row {
    let good = guc::SYNTAX_WORKS.load(Relaxed);
    if good {
        return row("native syntax", true, "CREATE TVIEW is accepted".into(), "");
    }
    let detail = "CREATE TVIEW is not accepted; CREATE MATERIALIZED VIEW … WITH (incremental) is".to_string();
    let hint = if cfg!(feature = "native_syntax") {
        "Set pg_tviews.native_syntax to on and restart; the server log says if the parser could not be extended."
    } else {
        "The library was built without the feature native_syntax."
    };
    ("native syntax".into(), "warning".into(), detail, Some(hint.into()))
}

fn triggers() -> Row {
    let (mut bad, mut locked) = (BTreeSet::new(), Vec::new());
    let mut tables = BTreeMap::new();
    let by_trigger = needing();
    for s in catalog::sources(|_| true) {
        let tree = covering(s.relid);
        let needed = if is_subscribed(&tree) { 5 } else { 4 };
        for relid in tree.into_iter().filter(|r| needs(pg_sys::Oid::from(*r), &by_trigger)) {
            let most = tables.entry(relid).or_insert(needed);
            *most = needed.max(*most);
        }
    }
    for (relid, needed) in &tables {
        let relid = pg_sys::Oid::from(*relid);
        let Some(rel) = Relation::open_if_free(relid, pg_sys::AccessShareLock) else {
            locked.extend(name::relation(relid));
            continue;
        };
        if !has_triggers(&rel) {
            continue;
        }
        let present = installed(&rel);
        if present.len() < *needed || present.iter().any(|t| !t.enabled) {
            bad.insert(name::relation(relid).unwrap_or_default());
        }
    }
    let detail = if bad.is_empty() {
        format!("{} tables are captured", tables.len())
    } else {
        format!("missing or disabled on {}", bad.into_iter().collect::<Vec<_>>().join(", "))
    };
    let good = !detail.starts_with("missing");
    let hint = "Use ALTER TABLE … ENABLE ALWAYS TRIGGER, then tviews.rebuild() for the TVIEWs concerned.";
    with_locked(row("triggers", good, detail, hint), &locked)
}

fn indexes(tviews: &[pg_sys::Oid]) -> Row {
    let mut bad = Vec::new();
    for tview in tviews.iter().copied() {
        let Some(rel) = Relation::open(tview, pg_sys::AccessShareLock) else { continue };
        // SAFETY: the relation is open.
        for index in list::oids_of(unsafe { pg_sys::RelationGetIndexList(rel.raw()) }) {
            let Some(index) = Relation::open_if_free(index, pg_sys::AccessShareLock) else { continue };
            // SAFETY: rd_index of an open index.
            if !unsafe { (*(*index.raw()).rd_index).indisvalid } {
                bad.push(name::relation(index.oid()).unwrap_or_default());
            }
        }
    }
    let good = bad.is_empty();
    let detail = if good { "all indexes of TVIEWs are valid".into() } else { format!("invalid: {}", bad.join(", ")) };
    row("indexes", good, detail, "Use REINDEX INDEX CONCURRENTLY, or DROP INDEX.")
}

/// TVIEWs with a schedule: whether a worker is there, and none is paused or late.
fn schedules(tviews: &[pg_sys::Oid]) -> Result<Row> {
    let graph = graph::current()?;
    let (mut n, mut paused, mut late) = (0, Vec::new(), Vec::new());
    for tview in tviews.iter().copied() {
        let Some(schedule) = options::stored(tview).schedule() else { continue };
        n += 1;
        let title = name::relation(tview).unwrap_or_default();
        if jobs::of(tview).paused {
            paused.push(format!("{title} is paused"));
            continue;
        }
        let since = deferred::behind(tview, &graph).and_then(|found| found.since);
        // SAFETY: plain getter.
        let now = unsafe { pg_sys::GetCurrentTimestamp() };
        if let Some((since, bound)) = since.zip(schedule.bound()).filter(|(since, bound)| now - since > *bound) {
            late.push(format!("{title} is {} s behind, more than {} s", (now - since) / 1_000_000, bound / 1_000_000));
        }
    }
    if n == 0 {
        return Ok(row("schedules", true, "no TVIEW has a schedule".into(), ""));
    }
    // SAFETY: a plain global.
    let place = board::of(unsafe { pg_sys::MyDatabaseId }.to_u32());
    if place.is_none_or(|p| p.pid() == 0) {
        let detail = format!("no worker refreshes the {n} TVIEWs that have a schedule");
        let hint = "It takes some seconds to start. It needs pg_tviews in shared_preload_libraries, and a free slot of max_worker_processes.";
        return Ok(row("schedules", false, detail, hint));
    }
    if paused.is_empty() && late.is_empty() {
        let mut detail = vec![format!("{n} TVIEWs are refreshed by schedule")];
        detail.extend(at_work());
        return Ok(row("schedules", true, detail.join("; "), ""));
    }
    let hint = "tviews.refresh_history has errors and durations; tviews.resume() ends a pause.";
    paused.extend(late);
    paused.extend(at_work());
    Ok(("schedules".into(), "warning".into(), paused.join("; "), Some(hint.into())))
}

/// What workers are doing.
fn at_work() -> impl Iterator<Item = String> {
    let title = |tview| name::relation(tview).unwrap_or_default();
    control::at_work().into_iter().map(move |(tview, pid)| format!("process {pid} refreshes {}", title(tview)))
}

/// Tables that are read as a whole for one changed row.
fn partners(tviews: &[pg_sys::Oid]) -> Result<Row> {
    let (mut bad, mut statements) = (Vec::new(), BTreeSet::new());
    for tview in tviews.iter().copied() {
        for missing in advice::missing(tview)?.iter().filter(|m| m.is_large()) {
            bad.push(format!("{}: {}", name::relation(tview).unwrap_or_default(), missing.cost()));
            statements.insert(missing.statement());
        }
    }
    if bad.is_empty() {
        return Ok(row("missing indexes", true, "no large table is read for one changed row".into(), ""));
    }
    let hint = statements.into_iter().collect::<Vec<_>>().join(" ");
    Ok(("missing indexes".into(), "warning".into(), bad.join("; "), Some(hint)))
}

/// Privileges that owners of TVIEWs lack: writes to the tables of these TVIEWs fail.
fn privileges(tviews: &[pg_sys::Oid]) -> Result<Row> {
    let (mut bad, mut grants) = (Vec::new(), BTreeSet::new());
    let mut n = 0;
    for tview in tviews.iter().copied() {
        let lacking = privileges::lacking(tview)?;
        n += 1;
        if !lacking.is_empty() {
            let what: Vec<String> = lacking.iter().map(Lack::what).collect();
            let (owner, tview) = (acl::owner_name(tview), name::relation(tview).unwrap_or_default());
            bad.push(format!("role \"{owner}\", the owner of TVIEW {tview}, lacks {}", what.join(", ")));
            grants.extend(lacking.into_iter().map(|l| l.grant));
        }
    }
    let good = bad.is_empty();
    let detail = if good { format!("the owners of {n} TVIEWs have what these need") } else { bad.join("; ") };
    let grants: Vec<String> = grants.into_iter().collect();
    Ok(row("privileges", good, detail, &grants.join("; ")))
}

/// Rows of another server come with a physical copy of its files, or with tools that write below SQL.
fn catalog() -> Row {
    let strangers = catalog::strangers();
    if strangers.is_empty() {
        return row("catalog", true, "all entries are about relations of this database".into(), "");
    }
    let detail = format!("{} entries are not about TVIEWs of this database and are ignored", strangers.len());
    let hint = "They do no harm; DROP EXTENSION and CREATE EXTENSION would remove them.";
    ("catalog".into(), "warning".into(), detail, Some(hint.into()))
}

fn contents(tviews: &[pg_sys::Oid]) -> Row {
    let mut bad = Vec::new();
    let mut left = Vec::new();
    let mut n = 0;
    let mut unreadable = 0;
    for tview in tviews.iter().copied() {
        let Some(rel) = Relation::open(tview, pg_sys::AccessShareLock) else { continue };
        n += 1;
        let is_unlogged = rel.class().relpersistence as u8 == pg_sys::RELPERSISTENCE_UNLOGGED;
        unreadable += u32::from(is_unlogged && sentinel::is_standby());
        if options::stored(tview).is_catching_up() {
            // What a session is populating is nobody's trouble.
            if !locks::is_held(tview, pg_sys::ShareUpdateExclusiveLock) {
                left.push(name::relation(tview).unwrap_or_default());
            }
        } else if !rel.class().relispopulated {
            bad.push(format!("{} is not populated", name::relation(tview).unwrap_or_default()));
        } else if !sentinel::alive(tview, rel.class()) {
            bad.push(format!("{} lost its contents in a crash", name::relation(tview).unwrap_or_default()));
        }
    }
    if !left.is_empty() {
        let what = format!("{} was not populated to the end, and keeps the logs of its tables", left.join(", "));
        bad.push(what);
        let hint = "REFRESH TVIEW … CONCURRENTLY goes on, DROP TVIEW ends it. What a procedure that ends with _concurrently has left (…_ccnew) goes \
                    when it is called again.";
        return ("contents".into(), "warning".into(), bad.join("; "), Some(hint.into()));
    }
    if bad.is_empty() && unreadable > 0 {
        let detail =
            format!("{n} TVIEWs are populated, {unreadable} of them are unlogged and cannot be read on a standby");
        return row("contents", true, detail, "");
    }
    if bad.is_empty() {
        return row("contents", true, format!("{n} TVIEWs are populated"), "");
    }
    let hint = "REFRESH MATERIALIZED VIEW populates; lost contents are rebuilt by the first read or write.";
    ("contents".into(), "warning".into(), bad.join("; "), Some(hint.into()))
}
