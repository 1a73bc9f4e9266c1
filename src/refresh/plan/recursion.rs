//! Recursive queries: their strategy and SQL.
//!
//! Dirty are all rows that a change can reach: from the rows that changed rows make (analyze/rules/recursion.rs), on by the step. These rows are computed anew:
//! each as often as the base gives it, and the step from stored rows that are not dirty, and then what the step makes of them. So a row that has lost one of
//! several ways to it stays, and rows that held each other in a circle go. Invariant: what the step makes of a dirty row is dirty.
//! The key is all columns, and names as many rows as there are equal ones. Writers follow one another: a way can go through the rows of both.
//! Called by decide and keyed.

use crate::analyze::describe::describe;
use crate::analyze::query::load;
use crate::analyze::query::printed;
use crate::analyze::query::recursion::{Own, Recursion, mark};
use crate::analyze::query::relations;
use crate::analyze::rules::forms::{Forms, union_all};
use crate::analyze::rules::recursion::seeds;
use crate::pg::error::Result;
use crate::pg::fault::{self, Fault};
use crate::pg::memory;
use crate::pg::name;
use crate::pg::relation::Relation;
use crate::pg::tree::{Query, lsyscache};
use crate::refresh::plan::decide::{Decided, hidden};
use crate::refresh::plan::keyed::KeyedSql;
use crate::refresh::plan::lookup;
use crate::refresh::plan::sql;
use crate::refresh::plan::tview::{KeyColumn, Tview, maintained, stored_key};
use pgrx::pg_sys;
use std::collections::{BTreeMap, BTreeSet};
use tviews_core::model::Shape;
use tviews_core::reason::Reason;
use tviews_core::strategy::{Decision, Sharing, Strategy};

/// What the rows that are gone on from are called: no name of the server's.
const ROWS: &str = "tviews_rows";

/// Strategies for an expanded query that is a recursion.
pub fn decide(query: Query, recursion: &Recursion, mode_full: bool) -> Result<Decided> {
    let positions = recursion.by_use();
    let whole = if mode_full { Some(Reason::ModeFull) } else { unfit(recursion)? };
    let (mut decisions, mut unwritten) = (BTreeMap::new(), BTreeSet::new());
    for (relid, usage) in &relations::of(query) {
        let changed = BTreeSet::from([*relid]);
        let failures = printed::unwritten();
        let why = match whole.or_else(|| hidden(*relid, usage)) {
            Some(why) => Some(why),
            None => {
                let terms = || seeds(recursion, Own::Unknown, &positions, &changed, &stored_key);
                match memory::aside(|| terms().map(|t| t.map(|t| t.occurrences)))? {
                    Err(why) => Some(why),
                    Ok(places) => (places < usage.times).then_some(Reason::NotFollowed),
                }
            }
        };
        if printed::unwritten() != failures {
            unwritten.insert(*relid);
        }
        decisions.insert(*relid, why.map_or_else(followed, Decision::full));
    }
    let key = if whole.is_none() { Some(key(recursion, &positions)) } else { None };
    Ok(Decided {
        never_null: Vec::new(),
        key,
        decisions,
        shape: Shape::Partitions(positions),
        fold: None,
        pairs: None,
        row_key: None,
        keys: BTreeMap::new(),
        needs_before: false,
        unwritten,
    })
}

fn followed() -> Decision {
    Decision {
        strategy: Strategy::Keyed,
        sharing: Sharing::Alone,
        repeated: true,
        reason: Reason::ReachedRecomputed.into(),
        fallback: Strategy::Keyed,
    }
}

/// Why no change of a recursion can be followed.
fn unfit(recursion: &Recursion) -> Result<Option<Reason>> {
    if recursion.types.iter().any(|t| name::equality(t.0).is_none()) {
        return Ok(Some(Reason::OutputWithoutEquality));
    }
    if !recursion.all && !recursion.types.iter().all(name::equal_is_same) {
        return Ok(Some(Reason::RecursionOfEqual));
    }
    let parts = recursion.bases.iter().copied().chain([recursion.step_over(Own::Unknown)]);
    for part in parts {
        if printed::or_why(printed::text(part).map(Ok))?.is_err() {
            return Ok(Some(Reason::Unwritten));
        }
    }
    Ok(None)
}

fn key(recursion: &Recursion, positions: &[usize]) -> Vec<KeyColumn> {
    let never_null = recursion.never_null(&|query| {
        let d = describe(query, &stored_key).description;
        (0..d.outputs.len()).map(|i| d.is_never_null(i)).collect()
    });
    let column = |at: &usize| {
        let (typid, _, collation) = recursion.types[*at];
        KeyColumn {
            at: *at,
            nullable: !never_null[*at],
            composite: lsyscache::get_typtype(lsyscache::getBaseType(typid)) == pg_sys::TYPTYPE_COMPOSITE,
            // Looked at by `unfit`.
            equality: name::equality(typid).unwrap_or_default(),
            wide: lookup::is_wide(typid),
            typid,
            collation,
        }
    };
    positions.iter().map(column).collect()
}

/// The SQL by which a TVIEW that is a recursion follows changes; None when it cannot follow these together.
pub fn sql(tview: &Tview, recursion: &Recursion, changed: &BTreeSet<u32>) -> Result<Option<KeyedSql>> {
    let key = sql::required_key(tview)?;
    let positions: Vec<usize> = key.iter().map(|k| k.at).collect();
    let Ok(terms) = seeds(recursion, Own::Relation(&tview.name), &positions, changed, &stored_key)? else {
        return Ok(None);
    };
    let n = recursion.types.len();
    let (columns, keys) = (sql::numbered("c", n), sql::numbered("k", key.len()));
    // Types without modifiers: base and step of a recursive query must agree in them.
    let typed = |of: &str| {
        let one = |(i, t): (usize, &(pg_sys::Oid, i32, pg_sys::Oid))| {
            format!("{of}.c{}::{}", i + 1, lsyscache::qualified_type(t.0, -1))
        };
        recursion.types.iter().enumerate().map(one).collect::<Vec<_>>().join(", ")
    };
    let step = printed::text(recursion.step_over(Own::Mark(&tview.name)))?;
    let over = |rows: &str| step.replace(&mark(&tview.name), rows);
    let on = format!("SELECT {} FROM ({}) f({columns})", typed("f"), over(ROWS));
    let of_key = |prefix: &str| positions.iter().map(|p| format!("{prefix}{}", p + 1)).collect::<Vec<_>>().join(", ");
    let end = if fault::on(Fault::StopAtFirst) { " WHERE false" } else { "" };
    let reached = format!(
        "WITH RECURSIVE {ROWS}({columns}) AS (SELECT {} FROM ({}) f({}) UNION {on}{end}) SELECT {} FROM {ROWS}",
        typed("f"),
        union_all(&terms.selects),
        of_key("c"),
        of_key("c"),
    );
    let d = format!("d({keys}) AS MATERIALIZED ({})", sql::distinct_keys(tview)?);
    let same = sql::conjunction(key, |_, k| format!("f.c{}", k.at + 1));
    let stored =
        tview.columns.iter().enumerate().map(|(i, c)| format!("{c} AS c{}", i + 1)).collect::<Vec<_>>().join(", ");
    let kept = format!(
        "(SELECT {columns} FROM (SELECT {stored} FROM {}) f WHERE NOT EXISTS (SELECT FROM d WHERE {}{same}))",
        tview.name,
        sql::hash_column(key),
    );
    let mut ways = Vec::new();
    for base in &recursion.bases {
        ways.push(printed::text(*base)?);
    }
    ways.push(over(&kept));
    let ways = union_all(&ways);
    let union = if recursion.all { "UNION ALL" } else { "UNION" };
    let rows = |first: String| {
        format!("WITH RECURSIVE {d}, {ROWS}({columns}) AS ({first} {union} {on}) SELECT {columns} FROM {ROWS}")
    };
    let two_steps = Forms {
        by_key: rows(format!(
            "SELECT {} FROM d, LATERAL (SELECT * FROM ({ways}) f({columns}) WHERE {same} OFFSET 0) f",
            typed("f")
        )),
        at_once: rows(format!(
            "SELECT {} FROM d JOIN ({ways}) f({columns}) ON {}{same}",
            typed("f"),
            sql::hash_column(key)
        )),
    };
    Ok(Some(KeyedSql {
        dirty: reached,
        one_step: two_steps.clone(),
        two_steps,
        stored: Some(sql::stored(tview, &sql::distinct_keys(tview)?)?),
        gates: terms.gates,
    }))
}

/// The recursion that an open TVIEW's query is.
pub fn of(rel: &Relation) -> Result<Option<Recursion>> {
    Ok(crate::analyze::query::recursion::of(load::expand(maintained(rel)?)?))
}
