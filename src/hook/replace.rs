//! CREATE OR REPLACE TVIEW: another query, in place.
//!
//! Invariant: the columns that are there keep number, name, type and collation, as columns of a view do (commands/view.c, checkViewColumns); new
//! columns come behind them. Indexes, privileges and dependents stay. Called by create.

use crate::analyze::query::tree::{outputs, type_of};
use crate::build::adopt::adopt;
use crate::build::advice::{advise, explain_full};
use crate::build::{indexes, internal, populate};
use crate::capture::freed::freed;
use crate::catalog::{self, audit, options};
use crate::hook::create::{Planned, report};
use crate::pg::error::{Error, Result};
use crate::pg::relation::{Relation, attname};
use crate::pg::tree::{TargetEntry, Text, Tree};
use crate::pg::{ext, list, name, stored_trees};
use crate::queue;
use crate::refresh::plan::graph;
use crate::tam::{self, state};
use pgrx::pg_sys::{self, Oid};

/// # Safety
/// `into` is a live node of the statement; `completion` is what the server gave to its hook.
pub unsafe fn replace(
    oid: Oid,
    planned: &Planned,
    into: *mut pg_sys::IntoClause,
    completion: *mut pg_sys::QueryCompletion,
) -> Result<()> {
    // SAFETY: `into` is a live node of the statement; `completion` is what the server gave to its hook.
    unsafe {
        let rel = Relation::open(oid, pg_sys::AccessExclusiveLock).ok_or(Error::NoRelation(oid.to_u32()))?;
        if !tam::is_tview_relation(&rel) {
            return Err(Error::NotATview(name::bare(oid)));
        }
        let wanted = columns(planned.query, into)?;
        let more = check(&rel, &wanted)?;
        drop(rel);
        for relid in catalog::unregister(oid) {
            freed(relid);
        }
        state::remove_state_attributes(oid);
        pg_sys::CommandCounterIncrement();
        if wanted.len() > more {
            stored_trees::forget_columns(oid, more);
        }
        state::append_columns(oid, &wanted[more..]);
        ext::store_view_query(oid, ext::copy(planned.query), true);
        pg_sys::CommandCounterIncrement();
        options::replace(oid, &planned.options, (*into).options);
        if !(*into).tableSpaceName.is_null() {
            // Its rows are not worth being copied.
            populate::empty_as(oid, planned.persistence)?;
            internal::set_tablespace(oid, (*into).tableSpaceName);
        }
        adopt(oid)?;
        audit::note(audit::Operation::Replace, oid);
        indexes::drop_ours(oid);
        if planned.populate {
            report(completion, populate::populate(oid, planned.persistence, false)?);
            if graph::current()?.is_read(oid.to_u32()) {
                queue::change_everything(oid);
            }
            explain_full(oid)?;
            advise(oid)?;
        } else {
            populate::empty(oid)?;
        }
        Ok(())
    }
}

/// The columns of a query, with the names that the statement gives them.
///
/// # Safety
/// `query` and `into` are live trees of the server.
unsafe fn columns(query: *mut pg_sys::Query, into: *mut pg_sys::IntoClause) -> Result<Vec<state::Column>> {
    // SAFETY: `query` and `into` are live trees of the server.
    unsafe {
        let given: Vec<*mut pg_sys::String> = list::iter((*into).colNames).collect();
        let outputs = outputs(Tree::new(query));
        if given.len() > outputs.len() {
            return Err(Error::InvalidDefinition("too many column names were specified".into(), None));
        }
        let column = |(i, target): (usize, TargetEntry)| {
            let (typid, typmod, collation) = type_of(target.expr());
            let label = given.get(i).map_or(target.resname(), |n| Text::new((**n).sval)).to_c();
            state::Column { label, typid, typmod, collation }
        };
        Ok(outputs.into_iter().enumerate().map(column).collect())
    }
}

/// How many of the wanted columns are there; an error when the new query changes one of them.
fn check(rel: &Relation, wanted: &[state::Column]) -> Result<usize> {
    let stored: Vec<_> = (0..rel.natts()).map(|i| rel.attribute(i)).filter(|a| !a.attisdropped).collect();
    let title = name::bare(rel.oid());
    if wanted.len() < stored.len() {
        return Err(Error::InvalidDefinition(
            format!("cannot drop columns from TVIEW \"{title}\""),
            Some("Use DROP TVIEW and CREATE TVIEW.".into()),
        ));
    }
    for (old, new) in stored.iter().zip(wanted) {
        let (was, is) = (attname(old), new.label.to_string_lossy().into_owned());
        if was != is {
            return Err(Error::InvalidDefinition(
                format!("cannot change name of column \"{was}\" of TVIEW \"{title}\" to \"{is}\""),
                Some("Use ALTER TVIEW … RENAME COLUMN … to change the name of a column; new columns come last.".into()),
            ));
        }
        if (old.atttypid, old.atttypmod, old.attcollation) != (new.typid, new.typmod, new.collation) {
            return Err(Error::InvalidDefinition(
                format!("cannot change type or collation of column \"{was}\" of TVIEW \"{title}\""),
                Some("Use a cast or COLLATE in the query, or DROP TVIEW and CREATE TVIEW.".into()),
            ));
        }
    }
    Ok(stored.len())
}
