//! `verify`, `verify_all`, `rebuild`, `flush`: whether a TVIEW is right, and making it right.
//!
//! Verification compares as multisets both ways; columns whose type has no equality are compared as text, many columns as one
//! row. Nothing is written, so verification works on a standby, where unlogged TVIEWs cannot be read: `verify_all` says so of each. It runs as
//! the TVIEW's owner under the pinned settings, like maintenance. `verify_all` holds no lock of a TVIEW that it has compared, unless it had to bring
//! that one up to date: who changes tables in another order does not meet it.

use super::{check_select, hold, open};
use crate::build::{populate, rebuild};
use crate::catalog;
use crate::pg::acl::maintains;
use crate::pg::error::{Error, Result, or_raise};
use crate::pg::function::{Arguments, sql_function};
use crate::pg::original::Told;
use crate::pg::pinned::Pinned;
use crate::pg::snapshot::Active;
use crate::pg::spi::{Plan, Session};
use crate::pg::{name, subtransaction};
use crate::refresh::flush::{self, Moment, deferred, lost};
use crate::refresh::follow::sources;
use crate::refresh::plan::{graph, privileges, tview};
use crate::tam;
use pgrx::{FromDatum, IntoDatum, pg_sys};

/// From so many columns on, all columns are compared as one row: the planner's time for EXCEPT grows with the third power of their number.
const MANY: usize = 100;

/// TVIEW, missing, extra.
type Row = (pg_sys::Oid, i64, i64);

sql_function!(tviews_verify, pg_finfo_tviews_verify, verify);

fn verify(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    let oid = arguments.relation();
    if tam::is_tview(oid) && super::may_select(oid) {
        lock(oid)?;
    }
    open(oid)?;
    check_select(oid);
    let (t, missing, extra) = compare(oid)?;
    arguments.rows([[t.into_datum(), missing.into_datum(), extra.into_datum(), (missing + extra == 0).into_datum()]])
}

sql_function!(tviews_verify_all, pg_finfo_tviews_verify_all, verify_all);

fn verify_all(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    flush::flush(Moment::Read);
    let mut rows = Vec::new();
    for tview in tviews().into_iter().filter(|tview| super::may_select(*tview)) {
        // Each TVIEW in a sub-transaction: an error of one is reported, and the others are compared.
        let compared = subtransaction::told_of_reading(Told::is_of_limits, || {
            or_raise(lock(tview));
            // Dropped meanwhile, or no TVIEW any more.
            let is_populated = open(tview).is_ok_and(|rel| rel.class().relispopulated);
            is_populated.then(|| or_raise(compare(tview)))
        });
        match compared {
            Ok(None) => {}
            Ok(Some((t, missing, extra))) => rows.push((t, Some(missing), Some(extra), missing + extra == 0, None)),
            Err(told) => rows.push((tview, None, None, false, Some(told.to_string()))),
        }
    }
    arguments.rows(rows.into_iter().map(|(t, missing, extra, ok, message)| {
        [t.into_datum(), missing.into_datum(), extra.into_datum(), ok.into_datum(), message.into_datum()]
    }))
}

/// All TVIEWs, by name.
pub fn tviews() -> Vec<pg_sys::Oid> {
    let mut oids = catalog::stored();
    oids.retain(|o| !catalog::stages::is_stage(pg_sys::Oid::from(*o)));
    let mut named: Vec<(String, pg_sys::Oid)> = oids
        .into_iter()
        .filter_map(|o| name::relation(pg_sys::Oid::from(o)).map(|n| (n, pg_sys::Oid::from(o))))
        .collect();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    named.into_iter().map(|(_, o)| o).collect()
}

/// Locks what is going to be read: before a refresh, what it locks.
fn lock(tview: pg_sys::Oid) -> Result<()> {
    let graph = graph::current()?;
    if graph.is_deferred(tview.to_u32()) {
        hold::hold(&deferred::below(tview, &graph));
    } else {
        hold::hold(&[tview]);
    }
    Ok(())
}

fn compare(relid: pg_sys::Oid) -> Result<Row> {
    if graph::current()?.is_deferred(relid.to_u32()) {
        // What it would be for the snapshot that it is exact for cannot be computed any more.
        // SAFETY: raises an error, or does nothing.
        unsafe { pg_sys::PreventCommandIfReadOnly(c"tviews.verify() of a deferred TVIEW".as_ptr()) };
        return deferred::with_current(relid, || compare_now(relid));
    }
    flush::flush(Moment::Read);
    lost::recover(relid)?;
    compare_now(relid)
}

fn compare_now(relid: pg_sys::Oid) -> Result<Row> {
    let rel = open(relid)?;
    if !rel.class().relispopulated {
        return Err(Error::WrongState {
            what: format!("TVIEW \"{}\" has not been populated", name::bare(relid)),
            hint: Some("Use the REFRESH MATERIALIZED VIEW command.".into()),
        });
    }
    privileges::check(relid)?;
    let tview = tview::of(&rel)?;
    let pinned = Pinned::new(tview.owner);
    pinned.search_path(&tview.search_path);
    let keep = sources::reads_kept_snapshot();
    let graph = graph::current()?;
    let tables = deferred::sources(&deferred::group(relid, &graph), &graph);
    let held = sources::hold(&tables, keep)?;
    let _snapshot = if keep { Active::of_transaction() } else { Active::latest() };
    let n = tview.columns.len();
    let all = |prefix: &str, k: usize| (1..=k).map(|i| format!("{prefix}{i}")).collect::<Vec<_>>().join(", ");
    let mut of_query = Vec::new();
    let mut of_tview = Vec::new();
    for (i, column) in tview.columns.iter().enumerate() {
        let cast = if name::equality(rel.attribute(i).atttypid).is_some() { "" } else { "::pg_catalog.text" };
        of_query.push(format!("q.c{}{cast}", i + 1));
        of_tview.push(format!("v.{column}{cast}"));
    }
    let select = |columns: &[String]| match columns.join(", ") {
        row if n >= MANY => format!("SELECT ROW({row})"),
        list => format!("SELECT {list}"),
    };
    let named = if n == 0 { String::new() } else { format!("({})", all("c", n)) };
    let query = format!("{} FROM ({}) q{named}", select(&of_query), tview.original);
    let stored = format!("{} FROM {} v", select(&of_tview), tview.name);
    let sql = format!(
        "SELECT (SELECT count(*) FROM ({query} EXCEPT ALL {stored}) m), \
                (SELECT count(*) FROM ({stored} EXCEPT ALL {query}) e)"
    );
    let session = Session::open();
    let rows = session.query(&Plan::prepare(&session, &sql, &tview.callees)?);
    // SAFETY: both columns are bigint.
    let count = |col| rows.get(0, col).and_then(|d| unsafe { i64::from_datum(d, false) }).unwrap_or(-1);
    let (missing, extra) = (count(0), count(1));
    held.confirm()?;
    Ok((relid, missing, extra))
}

sql_function!(tviews_rebuild, pg_finfo_tviews_rebuild, rebuild);

fn rebuild(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    // SAFETY: these raise errors, or do nothing.
    unsafe {
        pg_sys::PreventCommandIfReadOnly(c"tviews.rebuild()".as_ptr());
        pg_sys::PreventCommandDuringRecovery(c"tviews.rebuild()".as_ptr());
    }
    let rel = open(arguments.relation())?;
    let oid = rel.oid();
    if !maintains(oid) {
        // SAFETY: an existing relation.
        unsafe {
            pg_sys::aclcheck_error(
                pg_sys::AclResult::ACLCHECK_NOT_OWNER,
                pg_sys::ObjectType::OBJECT_MATVIEW,
                pg_sys::get_rel_name(oid),
            )
        }
    }
    let populated = rel.class().relispopulated;
    drop(rel);
    if populated {
        rebuild::rebuild(oid)?;
    } else {
        populate::populate(oid, populate::persistence(oid), false)?;
    }
    Ok(Some(pg_sys::Datum::from(0usize)))
}

sql_function!(tviews_flush, pg_finfo_tviews_flush, flush);

fn flush(_: &Arguments) -> Result<Option<pg_sys::Datum>> {
    flush::flush(Moment::Read);
    Ok(Some(pg_sys::Datum::from(0usize)))
}
