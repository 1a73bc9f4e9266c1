//! The SQL that a flush runs: plain text, prepared once per backend and TVIEW, shown by `tviews.explain()`.

use crate::analyze::query::load;
use crate::analyze::rules::dirty;
use crate::analyze::rules::forms::{Forms, union_all};
use crate::pg::error::{Error, Result};
use crate::pg::fault::{self, Fault};
use crate::pg::memory;
use crate::pg::name;
use crate::pg::relation::Relation;
use crate::refresh::plan::lookup;
use crate::refresh::plan::tview::{self, KeyColumn, Tview, maintained};
use std::collections::BTreeSet;

/// `a = b`, or the null-safe form that can still use an index.
fn is_equal(k: &KeyColumn, a: &str, b: &str) -> String {
    if fault::on(Fault::NullKeysDiffer) {
        format!("{a} {op} {b}", op = k.equality)
    } else if k.nullable && k.composite {
        format!("NOT ({a} IS DISTINCT FROM {b})")
    } else if k.nullable {
        format!("({a} {op} {b} OR ({a} IS NULL AND {b} IS NULL))", op = k.equality)
    } else {
        format!("{a} {op} {b}", op = k.equality)
    }
}

pub fn conjunction(key: &[KeyColumn], left: impl Fn(usize, &KeyColumn) -> String) -> String {
    let parts: Vec<String> =
        key.iter().enumerate().map(|(i, k)| is_equal(k, &left(i, k), &format!("d.k{}", i + 1))).collect();
    parts.join(" AND ")
}

pub fn numbered(prefix: &str, n: usize) -> String {
    (1..=n).map(|i| format!("{prefix}{i}")).collect::<Vec<_>>().join(", ")
}

/// Distinct keys k1, k2 … that changes of `changed` can affect, and the gates of this SELECT; None when the keys cannot be told
/// for these relations together.
pub fn dirty_keys(tview: &Tview, rel: &Relation, changed: &BTreeSet<u32>) -> Result<Option<(String, Vec<String>)>> {
    let key = required_key(tview)?;
    let positions: Vec<usize> = key.iter().map(|k| k.at).collect();
    let terms = memory::aside(|| {
        let query = load::expand(maintained(rel)?)?;
        dirty::terms(query, &positions, changed, dirty::Beside::Deleted, &tview::stored_key)
    })?;
    let Ok(terms) = terms else { return Ok(None) };
    let names = numbered("k", key.len());
    let keys = format!("SELECT DISTINCT {names} FROM ({}) x({names})", union_all(&terms.selects));
    Ok(Some((keys, terms.gates)))
}

/// The keys that the flush has locked, read back from the TVIEW's row type.
pub fn locked_keys(tview: &Tview) -> Result<String> {
    let columns: Vec<String> = required_key(tview)?
        .iter()
        .enumerate()
        .map(|(i, k)| format!("v.{} AS k{}", tview.columns[k.at], i + 1))
        .collect();
    Ok(format!("SELECT {} FROM tviews.dirty(NULL::{}) v", columns.join(", "), tview.name))
}

/// The locked keys, each once: keys of different flushes can come together (provisional.rs), and equal keys can differ in bytes.
pub fn distinct_keys(tview: &Tview) -> Result<String> {
    let names = numbered("k", required_key(tview)?.len());
    Ok(if names.is_empty() {
        locked_keys(tview)?
    } else {
        format!("SELECT DISTINCT {names} FROM ({}) k", locked_keys(tview)?)
    })
}

/// Selects the ctids of the stored rows of `keys`.
pub fn stored(tview: &Tview, keys: &str) -> Result<String> {
    let key = required_key(tview)?;
    if key.is_empty() {
        return Ok(format!("SELECT s.ctid FROM {} s", tview.name));
    }
    Ok(format!(
        "SELECT s.ctid FROM ({keys}) d JOIN {} s ON {}{}",
        tview.name,
        lookup::found_by(tview, key),
        conjunction(key, |_, k| format!("s.{}", tview.columns[k.at])),
    ))
}

/// For each key of `keys`: ctid of the stored row, whether the query has a row, and the query's row with its state.
pub fn recompute(tview: &Tview, keys: &str) -> Result<Forms> {
    recompute_as(tview, keys, &tview.query)
}

/// The same by a query with the columns of the TVIEW's.
pub fn recompute_as(tview: &Tview, keys: &str, query: &str) -> Result<Forms> {
    let key = required_key(tview)?;
    let n = tview.selected;
    let columns = numbered("c", n);
    let by_key = format!(
        "LEFT JOIN LATERAL (SELECT true, q.* FROM ({query}) q({columns}) WHERE {} OFFSET 0) f(present, {columns}) ON true",
        conjunction(key, |_, k| format!("q.c{}", k.at + 1)),
    );
    let d = format!("WITH d({}) AS MATERIALIZED ({keys})", numbered("k", key.len()));
    let stored = format!(
        "{} s ON {}{}",
        tview.name,
        lookup::found_by(tview, key),
        conjunction(key, |_, k| format!("s.{}", tview.columns[k.at])),
    );
    let row = (1..=n).map(|i| format!("f.c{i}")).collect::<Vec<_>>().join(", ");
    let same = format!("{}{}", hash_column(key), conjunction(key, |_, k| format!("f.c{}", k.at + 1)));
    let of_query = |join: &str| format!("{d} SELECT s.ctid, f.present, {row} FROM d {join} LEFT JOIN {stored}");
    let at_once = if tview.groups {
        of_query(&format!("LEFT JOIN (SELECT true, q.* FROM ({query}) q({columns})) f(present, {columns}) ON {same}"))
    } else {
        // The outputs of a query on the optional side of a join are computed below that join, for all rows of the query. So the rows of the keys are computed
        // by themselves, once, and then it is looked for keys that have none.
        let keys = (1..=key.len()).map(|i| format!("d.k{i}, ")).collect::<String>();
        let named = (1..=key.len()).map(|i| format!("k{i}, ")).collect::<String>();
        let computed = (1..=n).map(|i| format!("d.c{i}")).collect::<Vec<_>>().join(", ");
        let nothing = vec!["NULL"; n].join(", ");
        format!(
            "{d}, r({named}{columns}) AS MATERIALIZED (SELECT {keys}{row} FROM d JOIN ({query}) f({columns}) ON {same}) \
             SELECT s.ctid, true, {computed} FROM r d LEFT JOIN {stored} \
             UNION ALL SELECT s.ctid, false, {nothing} FROM d JOIN {stored} WHERE NOT EXISTS (SELECT FROM r f WHERE {same})"
        )
    };
    Ok(Forms { by_key: of_query(&by_key), at_once })
}

/// All rows of the query with the locked keys, with their state.
pub fn rows_of(tview: &Tview) -> Result<Forms> {
    let key = required_key(tview)?;
    let columns = numbered("c", tview.selected);
    let (query, keys) = (&tview.query, distinct_keys(tview)?);
    let d = format!("WITH d({}) AS MATERIALIZED ({keys})", numbered("k", key.len()));
    let same = conjunction(key, |_, k| format!("f.c{}", k.at + 1));
    Ok(Forms {
        by_key: format!(
            "{d} SELECT q.* FROM d, LATERAL (SELECT * FROM ({query}) f({columns}) WHERE {same} OFFSET 0) q"
        ),
        at_once: format!("{d} SELECT f.* FROM d JOIN ({query}) f({columns}) ON {}{same}", hash_column(key)),
    })
}

/// Null-safe equality cannot be hashed: an equality of hashes stands before the equality of the keys, so that a hash join is possible.
pub fn hash_column(key: &[KeyColumn]) -> String {
    if !key.iter().any(|k| k.nullable) || !key.iter().all(|k| name::is_hashable(k.typid)) {
        return String::new();
    }
    let row = |column: &dyn Fn(usize, &KeyColumn) -> String| {
        let columns: Vec<String> = key.iter().enumerate().map(|(i, k)| column(i, k)).collect();
        format!("pg_catalog.hash_record_extended(ROW({}), 0)", columns.join(", "))
    };
    format!("{} = {} AND ", row(&|_, k| format!("f.c{}", k.at + 1)), row(&|i, _| format!("d.k{}", i + 1)))
}

pub fn required_key(tview: &Tview) -> Result<&[KeyColumn]> {
    tview.key.as_deref().ok_or_else(|| Error::Internal(format!("TVIEW {} has no key", tview.name)))
}
