//! `pending`: changes of this transaction that TVIEWs have not followed yet.

use crate::catalog::stages;
use crate::pg::error::Result;
use crate::pg::function::{Arguments, sql_function};
use crate::queue::changes::ChangeSet;
use crate::queue::{self, Subject};
use crate::refresh::plan::graph;
use pgrx::{IntoDatum, pg_sys};
use std::collections::{BTreeMap, BTreeSet};

/// Rows inserted and deleted.
type Counts = Option<(i64, i64)>;

/// Changes may come from a function with another user's rights: they are shown to users who may read the relation or the TVIEW.
fn may_see(relid: u32, tview: u32) -> bool {
    [relid, tview].into_iter().any(|of| super::may_select(stages::root(pg_sys::Oid::from(of))))
}

sql_function!(tviews_pending, pg_finfo_tviews_pending, pending);

fn pending(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    let graph = graph::current()?;
    let mut rows: BTreeMap<(u32, u32), Counts> = BTreeMap::new();
    for (subject, sets) in queue::peek() {
        let (relid, tviews) = match subject {
            Subject::Relation(relid) => (relid, graph.affected(&BTreeSet::from([relid]))),
            Subject::Awaited(relid, readers) => (relid, &*readers | &graph.affected(&readers)),
            Subject::Recompute(_) => continue,
        };
        let counts = sets.iter().try_fold((0, 0), |counts, set| add(counts, set));
        for tview in tviews.into_iter().filter(|t| may_see(relid, *t)) {
            let row = rows.entry((relid, tview)).or_insert(Some((0, 0)));
            *row = row.zip(counts).map(|(a, b)| (a.0 + b.0, a.1 + b.1));
        }
    }
    arguments.rows(rows.into_iter().map(|((relid, tview), counts)| {
        let of = |oid: u32| pg_sys::Oid::from(oid).into_datum();
        [of(relid), of(tview), counts.map(|c| c.0).into_datum(), counts.map(|c| c.1).into_datum()]
    }))
}

/// A truncated table has no counts.
fn add((inserted, deleted): (i64, i64), set: &ChangeSet) -> Counts {
    let (plus, minus) = set.counts();
    (!set.is_everything()).then_some((inserted + plus, deleted + minus))
}
