//! The SQL that a flush runs: plain text, prepared once per backend and TVIEW, shown by `tviews.explain()`.

use super::tview::{KeyColumn, Tview};
use crate::analyze::{describe, dirty, load};
use crate::pg::error::{Error, Result};
use crate::pg::relation::Relation;
use std::collections::BTreeSet;

/// `a = b`, or the null-safe form an index can still use.
fn same(k: &KeyColumn, a: &str, b: &str) -> String {
    if k.nullable && k.composite {
        format!("NOT ({a} IS DISTINCT FROM {b})")
    } else if k.nullable {
        format!("({a} {op} {b} OR ({a} IS NULL AND {b} IS NULL))", op = k.equality)
    } else {
        format!("{a} {op} {b}", op = k.equality)
    }
}

fn conjunction(key: &[KeyColumn], left: impl Fn(usize, &KeyColumn) -> String) -> String {
    let parts: Vec<String> =
        key.iter().enumerate().map(|(i, k)| same(k, &left(i, k), &format!("d.k{}", i + 1))).collect();
    parts.join(" AND ")
}

fn numbered(prefix: &str, n: usize) -> String {
    (1..=n).map(|i| format!("{prefix}{i}")).collect::<Vec<_>>().join(", ")
}

/// Distinct keys k1, k2 … that changes of `changed` can affect; None when that cannot be told for these relations
/// together.
pub fn dirty_keys(tview: &Tview, rel: &Relation, changed: &BTreeSet<u32>) -> Result<Option<String>> {
    let key = key_of(tview)?;
    let positions: Vec<usize> = key.iter().map(|k| k.at).collect();
    let mut selects = Vec::new();
    // SAFETY: a private copy of the stored query.
    unsafe {
        let query = load::expand(load::stored(rel)?)?;
        let described = describe::describe(query, &super::tview::stored_key);
        for (a, atom) in described.description.atoms.iter().enumerate() {
            if atom.relid.is_some_and(|r| changed.contains(&r)) {
                match dirty::term(&described, &positions, a, changed)? {
                    Ok(term) => selects.extend(term.selects),
                    Err(_) => return Ok(None),
                }
            }
        }
    }
    let names = numbered("k", key.len());
    Ok(Some(format!("SELECT DISTINCT {names} FROM ({}) x({names})", selects.join(" UNION ALL "))))
}

/// The keys that the flush has locked, read back from the TVIEW's row type.
pub fn locked_keys(tview: &Tview) -> Result<String> {
    let columns: Vec<String> =
        key_of(tview)?.iter().enumerate().map(|(i, k)| format!("v.{} AS k{}", tview.columns[k.at], i + 1)).collect();
    Ok(format!("SELECT {} FROM tviews.dirty(NULL::{}) v", columns.join(", "), tview.name))
}

/// For each key of `keys`: ctid of the stored row, whether the query has a row, and that row with its state.
pub fn recompute(tview: &Tview, keys: &str) -> Result<String> {
    let key = key_of(tview)?;
    let n = tview.columns.len() + tview.state.len();
    let columns = numbered("c", n);
    let fresh = conjunction(key, |_, k| format!("q.c{}", k.at + 1));
    let stored = conjunction(key, |_, k| format!("s.{}", tview.columns[k.at]));
    Ok(format!(
        "WITH d({}) AS MATERIALIZED ({keys}) SELECT s.ctid, f.present, {} FROM d \
         LEFT JOIN LATERAL (SELECT true, q.* FROM ({}) q({columns}) WHERE {fresh} OFFSET 0) f(present, {columns}) ON true \
         LEFT JOIN {} s ON {stored}",
        numbered("k", key.len()),
        (1..=n).map(|i| format!("f.c{i}")).collect::<Vec<_>>().join(", "),
        tview.query,
        tview.name,
    ))
}

fn key_of(tview: &Tview) -> Result<&[KeyColumn]> {
    tview.key.as_deref().ok_or_else(|| Error::Internal(format!("TVIEW {} has no key", tview.name)))
}
