//! `pending`: what this transaction has changed and no TVIEW shows yet.

use crate::catalog::stages;
use crate::pg::error::Result;
use crate::pg::function::{Arguments, sql_function};
use crate::queue::{self, Subject};
use crate::refresh::graph;
use pgrx::{IntoDatum, pg_sys};
use std::collections::BTreeSet;

type Row = (pg_sys::Oid, pg_sys::Oid, Option<i64>, Option<i64>);

/// What a function with the rights of somebody else has changed is shown to those who may read it.
fn may_see(relid: u32, tview: u32) -> bool {
    [relid, tview].into_iter().any(|of| {
        let of = stages::root(pg_sys::Oid::from(of));
        // SAFETY: a syscache look-up.
        unsafe { pg_sys::get_rel_relkind(of) != 0 && super::may_select(of) }
    })
}

sql_function!(tviews_pending, pg_finfo_tviews_pending, pending);

fn pending(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    let graph = graph::current()?;
    let mut rows: Vec<Row> = Vec::new();
    for (subject, sets) in queue::peek() {
        let Subject::Relation(relid) = subject else { continue };
        // A truncated table has no counts.
        let mut counts = Some((0, 0));
        for set in &sets {
            counts = match (counts, set.is_everything()) {
                (Some((i, d)), false) => {
                    let (plus, minus) = set.counts();
                    Some((i + plus, d + minus))
                }
                _ => None,
            };
        }
        for tview in graph.affected(&BTreeSet::from([relid])).into_iter().filter(|t| may_see(relid, *t)) {
            rows.push((pg_sys::Oid::from(relid), pg_sys::Oid::from(tview), counts.map(|c| c.0), counts.map(|c| c.1)));
        }
    }
    arguments
        .rows(rows.into_iter().map(|(t, v, i, d)| [t.into_datum(), v.into_datum(), i.into_datum(), d.into_datum()]))
}
