//! Which TVIEWs can be looked at without waiting.
//!
//! Invariant: a view or a function about all TVIEWs waits for no lock that a session may hold for long, as one does that populates a TVIEW or
//! defines it anew, and fails for nothing that is dropped meanwhile: what is locked is left out, or columns about it are NULL. What is free stays
//! so until the transaction ends. Functions that are asked about one TVIEW, or that read its rows, wait. Called by what is about all.

use crate::analyze::query::{load, relations};
use crate::pg::error::Result;
use crate::pg::list;
use crate::pg::relation::Relation;
use crate::pg::tree::Tree;
use crate::refresh::plan::graph;
use crate::tam;
use pgrx::pg_sys;
use std::collections::BTreeSet;

/// Whether a TVIEW exists, and it and all that its query is made from can be opened at once: stages, views, tables with their indexes, and, for their
/// keys, the TVIEWs that it reads with what these are made from.
pub fn is_free(tview: pg_sys::Oid) -> Result<bool> {
    let open = |relid| Relation::open_if_free(relid, pg_sys::AccessShareLock);
    if !open(tview).is_some_and(|rel| tam::is_tview_relation(&rel)) {
        return Ok(false);
    }
    let graph = graph::current()?;
    let mut left = vec![tview.to_u32()];
    let mut seen = BTreeSet::new();
    while let Some(relid) = left.pop() {
        if !seen.insert(relid) {
            continue;
        }
        let Some(rel) = open(pg_sys::Oid::from(relid)) else { return Ok(false) };
        // SAFETY: the relation is open.
        if !list::oids_of(unsafe { pg_sys::RelationGetIndexList(rel.raw()) }).into_iter().all(|i| open(i).is_some()) {
            return Ok(false);
        }
        if tam::is_tview_relation(&rel) {
            left.extend(relations::named(load::stored(&rel)?));
            left.extend(graph.reads.get(&relid).into_iter().flatten());
        } else if rel.relkind() == pg_sys::RELKIND_VIEW {
            // SAFETY: an open view; its query is only read.
            left.extend(relations::named(unsafe { Tree::new(pg_sys::get_view_query(rel.raw())) }));
        }
    }
    Ok(true)
}
