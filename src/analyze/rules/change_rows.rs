//! Change rows in the place of a relation: range table entries of a copied query become calls of the functions that hand
//! change sets to SQL (capture/srf.rs).
//!
//! Invariant: attribute numbers of the stored query keep their meaning, whatever columns were added or dropped since.
//! Called by dirty.

use crate::analyze::query::conditions::conjunction;
use crate::analyze::rules::dirty::Beside;
use crate::pg::error::{Error, Result};
use crate::pg::ext::make;
use crate::pg::relation::{Relation, attname};
use crate::pg::{list, name, walk};
use pgrx::pg_sys;
use std::ffi::CString;

/// A whole-row Var of a relation that becomes a sub-query would change its type: conditions with one are dropped.
pub unsafe fn drop_whole_rows(query: *mut pg_sys::Query, index: usize) {
    // SAFETY: `query` is a live tree of the server.
    unsafe {
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
}

/// Change rows by one of the functions of capture/srf.rs: changed, inserted, deleted.
pub unsafe fn replace_by(rte: *mut pg_sys::RangeTblEntry, function: &str) -> Result<()> {
    // SAFETY: `rte` is a live node of a tree of the server.
    unsafe {
        let table = relation_name((*rte).relid)?;
        transplant(rte, &format!("SELECT 1 FROM tviews.{function}(NULL::{table}) x"))
    }
}

/// The relation and its deleted rows, or all change rows. OFFSET 0 keeps them a sub-query: rows looked up for each row of
/// another relation can come from a sub-query in an Append, but not from a function (reparameterize_path in pathnode.c).
pub unsafe fn add_beside(rte: *mut pg_sys::RangeTblEntry, beside: Beside) -> Result<()> {
    // SAFETY: `rte` is a live node of a tree of the server; `beside` belongs to a query that is alive.
    unsafe {
        let function = if beside == Beside::Deleted { "deleted" } else { "changed" };
        let table = relation_name((*rte).relid)?;
        let only = if (*rte).inh { "" } else { "ONLY " };
        let columns = live_columns(rte)?.join(", ");
        let names = column_names(rte, &open(rte)?);
        transplant(
            rte,
            &format!(
                "SELECT 1 FROM (SELECT {columns} FROM {only}{table} \
             UNION ALL (SELECT {columns} FROM tviews.{function}(NULL::{table}) OFFSET 0)) x"
            ),
        )?;
        (*(*rte).eref).colnames = names;
        Ok(())
    }
}

unsafe fn open(rte: *mut pg_sys::RangeTblEntry) -> Result<Relation> {
    // SAFETY: `rte` is a live node of a tree of the server.
    unsafe {
        Relation::open((*rte).relid, pg_sys::AccessShareLock)
            .ok_or_else(|| Error::Internal(format!("relation {} does not exist", (*rte).relid.to_u32())))
    }
}

unsafe fn live_columns(rte: *mut pg_sys::RangeTblEntry) -> Result<Vec<String>> {
    // SAFETY: `rte` is a live node of a tree of the server.
    unsafe {
        let rel = open(rte)?;
        let live = (0..known(rte, &rel)).map(|i| rel.attribute(i)).filter(|a| !a.attisdropped);
        Ok(live.map(|a| name::ident(&attname(a))).collect())
    }
}

/// How many columns the stored query knows: columns added since cannot be read by it, and joins do not list them.
unsafe fn known(rte: *mut pg_sys::RangeTblEntry, rel: &Relation) -> usize {
    // SAFETY: `rte` is a live node of a tree of the server; `rel` is open.
    unsafe { list::len((*(*rte).eref).colnames).min(rel.natts()) }
}

/// Names by attribute number for a sub-query that stands for a relation. The deparser takes an empty name for a column
/// that does not exist any more, as it does for the relation itself, and prints names of an alias list.
unsafe fn column_names(rte: *mut pg_sys::RangeTblEntry, rel: &Relation) -> *mut pg_sys::List {
    // SAFETY: `rte` is a live node of a tree of the server; `rel` is open.
    unsafe {
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
}

fn relation_name(relid: pg_sys::Oid) -> Result<String> {
    name::relation(relid).ok_or_else(|| Error::Internal(format!("relation {} does not exist", relid.to_u32())))
}

/// Overwrites a range table entry with the only one of `sql`, keeping its alias.
unsafe fn transplant(rte: *mut pg_sys::RangeTblEntry, sql: &str) -> Result<()> {
    // SAFETY: `rte` is a live node of a tree of the server.
    unsafe {
        let text = CString::new(sql).map_err(|_| Error::Internal("NUL byte in SQL text".into()))?;
        let text = pg_sys::pstrdup(text.as_ptr());
        let raw = pg_sys::raw_parser(text, pg_sys::RawParseMode::RAW_PARSE_DEFAULT);
        let query =
            pg_sys::parse_analyze_fixedparams(list::nth(raw, 0), text, std::ptr::null(), 0, std::ptr::null_mut());
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
}
