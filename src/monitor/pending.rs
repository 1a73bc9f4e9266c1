//! `pending`: what this transaction has changed and no TVIEW shows yet.

use crate::pg::error::or_raise;
use crate::queue::{self, Subject};
use crate::refresh::graph;
use pgrx::iter::TableIterator;
use pgrx::{name, pg_extern, pg_sys};
use std::collections::BTreeSet;

type Row = (pg_sys::Oid, pg_sys::Oid, Option<i64>, Option<i64>);

#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn pending() -> TableIterator<
    'static,
    (
        name!(base_table, pg_sys::Oid),
        name!(tview, pg_sys::Oid),
        name!(inserted, Option<i64>),
        name!(deleted, Option<i64>),
    ),
> {
    let graph = or_raise(graph::current());
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
        for tview in graph.affected(&BTreeSet::from([relid])) {
            rows.push((
                pg_sys::Oid::from(relid),
                pg_sys::Oid::from(tview),
                counts.map(|c| c.0),
                counts.map(|c| c.1),
            ));
        }
    }
    TableIterator::new(rows)
}
