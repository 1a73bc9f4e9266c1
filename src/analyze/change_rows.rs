//! Change rows in the place of a relation: range table entries of a copied query become calls of the functions that hand
//! change sets to SQL (capture/srf.rs).
//!
//! Invariant: attribute numbers of the stored query keep their meaning, whatever columns were added or dropped since.
//! Called by dirty.

use super::dirty::{conjunction, Beside};
use crate::capture::install::make;
use crate::pg::error::{Error, Result};
use crate::pg::relation::{attname, Relation};
use crate::pg::{list, name, walk};
use pgrx::pg_sys;
use std::ffi::CString;

/// A whole-row Var of a relation that becomes a sub-query would change its type: conditions with one are dropped.
pub(super) unsafe fn drop_whole_rows(query: *mut pg_sys::Query, index: usize) {
    let from = (*query).jointree;
    let has = |condition: *mut pg_sys::Node| {
        walk::walk(condition, &mut |node| {
            list::is(node, pg_sys::NodeTag::T_Var)
                && (*node.cast::<pg_sys::Var>()).varno as usize == index
                && (*node.cast::<pg_sys::Var>()).varattno <= 0
        })
    };
    let kept = list::iter::<pg_sys::Node>(pg_sys::make_ands_implicit((*from).quals.cast())).filter(|c| !has(*c));
    (*from).quals = conjunction(kept.collect());
}

pub(super) unsafe fn replace_by_changes(rte: *mut pg_sys::RangeTblEntry) -> Result<()> {
    let table = relation_name((*rte).relid)?;
    transplant(rte, &format!("SELECT 1 FROM tviews.changed(NULL::{table}) x"))
}

/// The relation and its deleted rows, or all change rows.
pub(super) unsafe fn add_beside(rte: *mut pg_sys::RangeTblEntry, beside: Beside) -> Result<()> {
    let function = if beside == Beside::Deleted { "deleted" } else { "changed" };
    let table = relation_name((*rte).relid)?;
    let only = if (*rte).inh { "" } else { "ONLY " };
    let columns = live_columns(rte)?.join(", ");
    let names = column_names(rte, &open(rte)?);
    transplant(
        rte,
        &format!(
            "SELECT 1 FROM (SELECT {columns} FROM {only}{table} \
             UNION ALL SELECT {columns} FROM tviews.{function}(NULL::{table})) x"
        ),
    )?;
    (*(*rte).eref).colnames = names;
    Ok(())
}

/// The change rows of a relation with their weights; returns the attribute of the weight.
pub(super) unsafe fn weighted_changes(rte: *mut pg_sys::RangeTblEntry) -> Result<i16> {
    let rows = weighted_rows(rte, "")?;
    with_weight(rte, &format!("SELECT 1 FROM ({rows}) x"))
}

/// The relation before the changes: its rows, and the change rows taken back; returns the attribute of the weight.
pub(super) unsafe fn old_with_weight(rte: *mut pg_sys::RangeTblEntry) -> Result<i16> {
    let table = relation_name((*rte).relid)?;
    let only = if (*rte).inh { "" } else { "ONLY " };
    let columns = live_columns(rte)?.iter().map(|c| format!("{c}, ")).collect::<String>();
    let rows = weighted_rows(rte, "-")?;
    let text = format!(
        "SELECT {columns}1::pg_catalog.int8 AS {} FROM {only}{table} UNION ALL {rows}",
        weight_name(&live_columns(rte)?)
    );
    with_weight(rte, &format!("SELECT 1 FROM ({text}) x"))
}

/// SELECT of the live columns of the change rows, and of `sign` times their weight.
unsafe fn weighted_rows(rte: *mut pg_sys::RangeTblEntry, sign: &str) -> Result<String> {
    let table = relation_name((*rte).relid)?;
    let all = {
        let rel = open(rte)?;
        (0..rel.natts()).filter(|i| !rel.attribute(*i).attisdropped).count()
    };
    let names = |n: usize| (1..=n).map(|i| format!("c{i}, ")).collect::<String>();
    let known = live_columns(rte)?;
    let weight = weight_name(&known);
    let known: String = known.iter().enumerate().map(|(i, c)| format!("c{} AS {c}, ", i + 1)).collect();
    Ok(format!(
        "SELECT {known}{sign}w AS {weight} FROM ROWS FROM (tviews.changed(NULL::{table}), tviews.weights(NULL::{table})) AS c({}w)",
        names(all),
    ))
}

unsafe fn open(rte: *mut pg_sys::RangeTblEntry) -> Result<Relation> {
    Relation::open((*rte).relid, pg_sys::AccessShareLock)
        .ok_or_else(|| Error::Internal(format!("relation {} does not exist", (*rte).relid.to_u32())))
}

unsafe fn live_columns(rte: *mut pg_sys::RangeTblEntry) -> Result<Vec<String>> {
    let rel = open(rte)?;
    let live = (0..known(rte, &rel)).map(|i| rel.attribute(i)).filter(|a| !a.attisdropped);
    Ok(live.map(|a| name::ident(&attname(a))).collect())
}

unsafe fn with_weight(rte: *mut pg_sys::RangeTblEntry, sql: &str) -> Result<i16> {
    let names = column_names(rte, &open(rte)?);
    let weight = CString::new(weight_name(&live_columns(rte)?)).unwrap_or_default();
    transplant(rte, sql)?;
    (*(*rte).eref).colnames = names;
    add_name(rte, &weight);
    Ok(list::len((*(*rte).eref).colnames) as i16)
}

/// A name for the weight that no column has.
fn weight_name(columns: &[String]) -> String {
    let mut label = "tviews_weight".to_string();
    while columns.contains(&label) {
        label.push('_');
    }
    label
}

/// Adds a column name behind the others of a range table entry.
pub(super) unsafe fn add_name(rte: *mut pg_sys::RangeTblEntry, label: &std::ffi::CStr) {
    let eref = (*rte).eref;
    let shared = !(*rte).alias.is_null() && (*(*rte).alias).colnames == (*eref).colnames;
    let node = pg_sys::makeString(pg_sys::pstrdup(label.as_ptr()));
    (*eref).colnames = pg_sys::lappend(pg_sys::list_copy((*eref).colnames), node.cast());
    if shared && !(*(*rte).alias).colnames.is_null() {
        (*(*rte).alias).colnames = (*eref).colnames;
    }
}

/// How many columns the stored query knows: columns added since cannot be read by it, and joins do not list them.
unsafe fn known(rte: *mut pg_sys::RangeTblEntry, rel: &Relation) -> usize {
    list::len((*(*rte).eref).colnames).min(rel.natts())
}

/// Names by attribute number for a sub-query that stands for a relation. The deparser takes an empty name for a column
/// that does not exist any more, as it does for the relation itself, and prints names of an alias list.
unsafe fn column_names(rte: *mut pg_sys::RangeTblEntry, rel: &Relation) -> *mut pg_sys::List {
    let aliased = !(*rte).alias.is_null() && !(*(*rte).alias).colnames.is_null();
    let given = (*(*rte).eref).colnames;
    let mut names: *mut pg_sys::List = std::ptr::null_mut();
    for i in 0..known(rte, rel) {
        let att = rel.attribute(i);
        let node = if !att.attisdropped && aliased && i < list::len(given) {
            list::nth::<pg_sys::Node>(given, i)
        } else {
            let text = if att.attisdropped { String::new() } else { attname(att) };
            let text = CString::new(text).unwrap_or_default();
            pg_sys::makeString(pg_sys::pstrdup(text.as_ptr())).cast()
        };
        names = pg_sys::lappend(names, node.cast());
    }
    names
}

fn relation_name(relid: pg_sys::Oid) -> Result<String> {
    name::relation(relid).ok_or_else(|| Error::Internal(format!("relation {} does not exist", relid.to_u32())))
}

/// Overwrites a range table entry with the only one of `sql`, keeping its alias.
unsafe fn transplant(rte: *mut pg_sys::RangeTblEntry, sql: &str) -> Result<()> {
    let text = CString::new(sql).map_err(|_| Error::Internal("NUL byte in SQL text".into()))?;
    let text = pg_sys::pstrdup(text.as_ptr());
    let raw = pg_sys::raw_parser(text, pg_sys::RawParseMode::RAW_PARSE_DEFAULT);
    let query = pg_sys::parse_analyze_fixedparams(list::nth(raw, 0), text, std::ptr::null(), 0, std::ptr::null_mut());
    let donor = list::nth::<pg_sys::RangeTblEntry>((*query).rtable, 0);
    let alias = make::<pg_sys::Alias>(pg_sys::NodeTag::T_Alias);
    (*alias).aliasname = (*(*rte).eref).aliasname;
    if !(*rte).alias.is_null() {
        (*alias).colnames = (*(*rte).alias).colnames;
    }
    (*(*donor).eref).aliasname = (*alias).aliasname;
    let known = list::len((*(*rte).eref).colnames) as i32;
    (*(*donor).eref).colnames = if !(*rte).alias.is_null() && !(*(*rte).alias).colnames.is_null() {
        (*(*rte).eref).colnames
    } else {
        pg_sys::list_copy_head((*(*donor).eref).colnames, known)
    };
    (*donor).alias = alias;
    (*donor).inFromCl = true;
    *rte = *donor;
    Ok(())
}
