//! Keys of TVIEWs that are derived from keys of base tables, when the keys of base tables go.
//!
//! Invariant: after DROP CONSTRAINT, DROP NOT NULL, DROP INDEX or a new inheritance child, every populated TVIEW derives the key that it is
//! stored by: where the derived key is another one, or there is none, the TVIEW follows in another way from the same transaction on. Otherwise a
//! duplicate would later fail in a writer's transaction. An ordinary materialized view lets these keys go, and pg_restore --clean counts on that.

use crate::build::advice::explain_full;
use crate::build::redefine::redefine;
use crate::capture::install;
use crate::catalog::{self, options};
use crate::hook::call::Call;
use crate::pg::error::{Error, Result};
use crate::pg::name;
use crate::pg::relation::Relation;
use crate::refresh::plan::{graph, summary, tview};
use pgrx::pg_sys::{self, panic::ErrorReport};
use pgrx::{PgLogLevel, PgSqlErrorCode};
use std::collections::{BTreeMap, BTreeSet};
use tviews_core::strategy::Strategy;

/// The attributes by which rows are told apart.
#[derive(PartialEq)]
pub struct Key {
    key: Vec<usize>,
    /// The attributes that tell rows apart within window partitions.
    rows: Option<Vec<i16>>,
}

/// Keys by TVIEW, as they were before the statement.
pub type Keys = BTreeMap<u32, Key>;

/// Remembers the keys of the TVIEWs over these relations.
pub fn remember(call: &mut Call, relids: &BTreeSet<u32>) -> Result<()> {
    let mut keys = Keys::new();
    let around: BTreeSet<u32> =
        relids.iter().flat_map(|r| install::covering(pg_sys::Oid::from(*r))).chain(relids.iter().copied()).collect();
    for s in catalog::sources(|s| around.contains(&s.relid.to_u32())) {
        if let Some(key) = current_key(s.tview)? {
            keys.insert(s.tview.to_u32(), key);
        }
    }
    if !keys.is_empty() {
        call.at_last(move || follow(&keys));
    }
    Ok(())
}

fn current_key(oid: pg_sys::Oid) -> Result<Option<Key>> {
    let Some(rel) = Relation::open(oid, pg_sys::AccessShareLock) else { return Ok(None) };
    if !rel.class().relispopulated {
        return Ok(None);
    }
    let tview = tview::of(&rel)?;
    let key = tview.key.as_ref().map(|key| key.iter().map(|k| k.at).collect());
    Ok(key.map(|key| Key { key, rows: tview.row_key.clone() }))
}

/// TVIEWs whose key has changed follow in another way from now on, and so do TVIEWs that read them.
pub fn follow(before: &Keys) -> Result<()> {
    // SAFETY: makes the statement's catalog changes visible.
    unsafe { pg_sys::CommandCounterIncrement() };
    let mut changed = BTreeSet::new();
    for (oid, key) in before {
        let tview = pg_sys::Oid::from(*oid);
        // A TVIEW that the statement dropped by CASCADE is not there any more.
        if name::relation(tview).is_some() && current_key(tview)?.as_ref() != Some(key) {
            changed.insert(*oid);
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    let graph = graph::current()?;
    let around: BTreeSet<u32> = graph.affected(&changed).union(&changed).copied().collect();
    let roots: BTreeSet<u32> = around.iter().map(|t| graph.root(pg_sys::Oid::from(*t)).to_u32()).collect();
    let tviews: Vec<_> = graph.order.iter().filter(|t| roots.contains(t)).map(|t| pg_sys::Oid::from(*t)).collect();
    redefine(tviews.clone())?;
    for tview in tviews {
        if around.intersection(&changed).any(|t| graph.root(pg_sys::Oid::from(*t)) == tview) {
            say(tview)?;
        }
    }
    Ok(())
}

fn say(tview: pg_sys::Oid) -> Result<()> {
    let title = name::bare(tview);
    let full = summary::decisions(tview)?.values().any(|d| d.strategy == Strategy::Full);
    if full && options::stored(tview).mode() == options::Mode::Incremental {
        return Err(Error::Dependent {
            what: format!("the key of TVIEW \"{title}\" depends on what this statement removes"),
            hint: "Without it some changes recompute everything. Use mode = auto to allow that.".into(),
        });
    }
    let what = format!("TVIEW \"{title}\" is followed without the key that this statement removes");
    ErrorReport::new(PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION, what, "say")
        .set_hint("SELECT * FROM tviews.explain(…) shows how.")
        .report(PgLogLevel::NOTICE);
    explain_full(tview)
}
