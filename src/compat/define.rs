//! `pg_tviews_create`: CREATE TVIEW, or another query for a TVIEW that is there.
//!
//! Invariant: a TVIEW that is given another query keeps owner, privileges, comments and users' indexes. While the columns that it has stay, that
//! is CREATE OR REPLACE; otherwise it is made anew, which the server refuses when something depends on it.

use super::names::{self, Place};
use super::statement::{self, Select};
use crate::catalog;
use crate::pg::acl::owns;
use crate::pg::error::{Error, Result, or_raise};
use crate::pg::function::{Arguments, sql_function};
use crate::pg::relation::{Relation, attname};
use crate::pg::{name, subtransaction};
use crate::tam;
use pgrx::{IntoDatum, pg_sys};

sql_function!(pg_tviews_create, pg_finfo_pg_tviews_create, create);

fn create(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    let [name, query]: [String; 2] = [0, 1].map(|n| arguments.get(n).unwrap_or_default());
    let place = names::place(&name);
    let query = statement::select(&query)?;
    let Some(oid) = place.taken_by else {
        statement::run(&format!("CREATE MATERIALIZED VIEW {} WITH (incremental) AS {}", place.name, query.text))?;
        return Ok(format!("TVIEW {} has been created", place.name).into_datum());
    };
    let replaced = replace(oid, &place, &query)?;
    Ok(replaced.into_datum())
}

fn replace(oid: pg_sys::Oid, place: &Place, query: &Select) -> Result<String> {
    let rel = Relation::open(oid, pg_sys::AccessShareLock).ok_or(Error::NoRelation(oid.to_u32()))?;
    if !tam::is_tview_relation(&rel) {
        return Err(Error::Taken(name::bare(oid)));
    }
    if !owns(oid) {
        let (not_owner, kind) = (pg_sys::AclResult::ACLCHECK_NOT_OWNER, pg_sys::ObjectType::OBJECT_MATVIEW);
        // SAFETY: an existing relation.
        unsafe { pg_sys::aclcheck_error(not_owner, kind, pg_sys::get_rel_name(oid)) }
    }
    let logged = rel.class().relpersistence as u8 == pg_sys::RELPERSISTENCE_PERMANENT;
    let options = format!("incremental, logged = {logged}");
    let keeps = keeps_columns(&rel, query);
    drop(rel);
    let (title, query) = (&place.name, &query.text);
    if keeps {
        let stored = catalog::options::stored(oid);
        let ours = stored.iter().filter(|(name, _)| *name != "logged");
        let shown = |name: &str, value: &str| format!(", {name} = {}", name::literal(value));
        let kept: String = ours.map(|(name, value)| shown(&name::ident(name), value)).collect();
        let storage = catalog::options::all_storage_parameters(oid);
        let kept = kept + &storage.iter().map(|(name, value)| shown(name, value)).collect::<String>();
        let options = format!("{options}{kept}, tviews.or_replace = true");
        statement::run(&format!("CREATE MATERIALIZED VIEW {title} WITH ({options}) AS {query}"))?;
        return Ok(format!("TVIEW {title} has another query"));
    }
    let belongings = statement::texts(&format!("SELECT tviews.belongings({}::oid)", oid.to_u32()))?;
    statement::run(&format!("DROP MATERIALIZED VIEW {title}"))?;
    // Empty until its indexes are there: the first contents bring an index only when there is none that fits.
    statement::run(&format!("CREATE MATERIALIZED VIEW {title} WITH ({options}) AS {query}\nWITH NO DATA"))?;
    let mut lost = Vec::new();
    for sql in belongings {
        if let Err(told) = subtransaction::told(|_| false, || or_raise(statement::run(&sql))) {
            lost.push(format!("; not carried over: {sql} ({})", told.message));
        }
    }
    statement::run(&format!("REFRESH MATERIALIZED VIEW {title}"))?;
    Ok(format!("TVIEW {title} has been made anew, with other columns{}", lost.concat()))
}

/// Whether the query begins with the columns that the TVIEW has.
fn keeps_columns(rel: &Relation, query: &Select) -> bool {
    let stored = (0..rel.natts()).map(|i| rel.attribute(i)).filter(|a| !a.attisdropped);
    let mut wanted = query.columns.iter();
    stored.into_iter().all(|a| {
        wanted.next().is_some_and(|c| {
            (&*attname(a), a.atttypid, a.atttypmod, a.attcollation) == (&*c.name, c.typid, c.typmod, c.collation)
        })
    })
}
