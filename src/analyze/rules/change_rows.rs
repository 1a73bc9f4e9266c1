//! Change rows in the place of a relation: range table entries of a copied query become calls of the functions that hand
//! change sets to SQL (capture/srf.rs).
//!
//! Invariant: attribute numbers of the stored query keep their meaning, whatever columns were added or dropped since.
//! Called by dirty.

use crate::analyze::query::conditions::conjunction;
use crate::analyze::rules::dirty::Beside;
use crate::pg::error::{Error, Result};
use crate::pg::fault::{self, Fault};
use crate::pg::name;
use crate::pg::relation::{Relation, attname};
use crate::pg::tree::{List, Node, Query, RangeTblEntry, Text, Tree, list, make, parser, server, walk};
use pgrx::pg_sys;
use std::ffi::CString;

/// A whole-row Var of a relation that becomes a sub-query would change its type: conditions with one are dropped.
pub fn drop_whole_rows(query: Query, index: usize) {
    let from = query.jointree();
    let has = |condition: Node| {
        walk::walk(condition, &mut |node| {
            list::is(node, pg_sys::NodeTag::T_Var)
                && node.cast::<pg_sys::Var>().varno() as usize == index
                && node.cast::<pg_sys::Var>().varattno() <= 0
        })
    };
    let kept = list::iter::<pg_sys::Node>(server::make_ands_implicit(from.quals())).filter(|c| !has(*c));
    from.set_quals(conjunction(kept.collect()));
}

/// Change rows by one of the functions of capture/srf.rs: changed, inserted, deleted.
pub fn replace_by(rte: RangeTblEntry, function: &str) -> Result<()> {
    let table = relation_name(rte.relid())?;
    transplant(rte, &format!("SELECT 1 FROM tviews.{function}(NULL::{table}) x"))
}

/// The rows that have come and those that have gone, with one column more, whose number is returned: 1 and -1. None for a relation with dropped columns,
/// whose numbers would differ.
pub fn replace_by_both(rte: RangeTblEntry) -> Result<Option<i16>> {
    let rel = open(rte)?;
    if (0..rel.natts()).any(|i| rel.attribute(i).attisdropped) || known(rte, &rel) != rel.natts() {
        return Ok(None);
    }
    let table = relation_name(rte.relid())?;
    let columns = live_columns(rte)?.join(", ");
    let mark = unused_name(&rel);
    let label = CString::new(mark.as_str()).map_err(|_| Error::Internal("NUL byte in a name".into()))?;
    let names = list::lappend(column_names(rte, &rel), make::string(Text::of(&label)));
    let mark = name::ident(&mark);
    let gone = if fault::on(Fault::OneSign) { "1" } else { "-1" };
    transplant(
        rte,
        &format!(
            "SELECT 1 FROM (SELECT {columns}, 1::pg_catalog.int8 AS {mark} FROM tviews.inserted(NULL::{table}) \
         UNION ALL SELECT {columns}, {gone}::pg_catalog.int8 FROM tviews.deleted(NULL::{table})) x"
        ),
    )?;
    rte.eref().set_colnames(names);
    if !rte.alias().is_null() && !rte.alias().colnames().is_null() {
        rte.alias().set_colnames(names);
    }
    Ok(Some(rel.natts() as i16 + 1))
}

/// The relation and its deleted rows, or all change rows. OFFSET 0 keeps them a sub-query: rows looked up for each row of
/// another relation can come from a sub-query in an Append, but not from a function (reparameterize_path in pathnode.c).
pub fn add_beside(rte: RangeTblEntry, beside: Beside) -> Result<()> {
    let function = if beside == Beside::Deleted { "deleted" } else { "changed" };
    let table = relation_name(rte.relid())?;
    let only = if rte.inh() { "" } else { "ONLY " };
    let columns = live_columns(rte)?.join(", ");
    let names = column_names(rte, &open(rte)?);
    transplant(
        rte,
        &format!(
            "SELECT 1 FROM (SELECT {columns} FROM {only}{table} \
         UNION ALL (SELECT {columns} FROM tviews.{function}(NULL::{table}) OFFSET 0)) x"
        ),
    )?;
    rte.eref().set_colnames(names);
    Ok(())
}

/// The relation and its deleted rows, with one column more, whose number is returned: true for rows that have come, false for rows that did not
/// change, NULL for deleted rows. `key`: columns that no two rows share. None for a relation with dropped columns, whose numbers would differ.
pub fn add_marks(rte: RangeTblEntry, key: &[i16]) -> Result<Option<i16>> {
    let rel = open(rte)?;
    if (0..rel.natts()).any(|i| rel.attribute(i).attisdropped) || known(rte, &rel) != rel.natts() {
        return Ok(None);
    }
    let table = relation_name(rte.relid())?;
    let only = if rte.inh() { "" } else { "ONLY " };
    let columns = live_columns(rte)?.join(", ");
    let key: Vec<String> = key.iter().map(|c| name::ident(&attname(rel.attribute(*c as usize - 1)))).collect();
    let of = |alias: &str| key.iter().map(|c| format!("{alias}.{c}")).collect::<Vec<_>>().join(", ");
    let mark = unused_name(&rel);
    let label = CString::new(mark.as_str()).map_err(|_| Error::Internal("NUL byte in a name".into()))?;
    let names = list::lappend(column_names(rte, &rel), make::string(Text::of(&label)));
    let mark = name::ident(&mark);
    transplant(
        rte,
        &format!(
            "SELECT 1 FROM (SELECT {columns}, ({}) IN (SELECT {} FROM tviews.inserted(NULL::{table}) i) AS {mark} FROM {only}{table} t \
         UNION ALL (SELECT {columns}, NULL FROM tviews.deleted(NULL::{table}) OFFSET 0)) x",
            of("t"),
            of("i"),
        ),
    )?;
    rte.eref().set_colnames(names);
    if !rte.alias().is_null() && !rte.alias().colnames().is_null() {
        rte.alias().set_colnames(names);
    }
    Ok(Some(rel.natts() as i16 + 1))
}

/// The relation as it was before the changes: without the rows that have come, and with those that have gone. `key`: columns that no two rows share, and
/// that are never NULL. `only`: a column, and the values that are wanted of it, as a sub-query.
pub fn put_before(rte: RangeTblEntry, key: &[i16], only: Option<(i16, String)>) -> Result<()> {
    let rel = open(rte)?;
    let table = relation_name(rte.relid())?;
    let wanted = match only {
        Some((att, values)) => {
            format!(" WHERE t.{} IN ({values})", name::ident(&attname(rel.attribute(att as usize - 1))))
        }
        None => String::new(),
    };
    let only = if rte.inh() { "" } else { "ONLY " };
    let columns = live_columns(rte)?.join(", ");
    let names = column_names(rte, &rel);
    let key: Vec<String> = key.iter().map(|c| name::ident(&attname(rel.attribute(*c as usize - 1)))).collect();
    let of = |alias: &str| key.iter().map(|c| format!("{alias}.{c}")).collect::<Vec<_>>().join(", ");
    let has_come = format!("({}) IN (SELECT {} FROM tviews.inserted(NULL::{table}) i)", of("t"), of("i"));
    let has_come = if fault::on(Fault::KeepComeBefore) { "false" } else { &has_come };
    let mark = name::ident(&unused_name(&rel));
    transplant(
        rte,
        &format!(
            "SELECT 1 FROM (SELECT {columns} FROM (SELECT {columns}, {has_come} AS {mark} FROM {only}{table} t{wanted} \
         UNION ALL (SELECT {columns}, false FROM tviews.deleted(NULL::{table}) OFFSET 0)) b WHERE NOT b.{mark}) x"
        ),
    )?;
    rte.eref().set_colnames(names);
    Ok(())
}

/// Which rows of a relation are wanted: those with a value that is among the anchors, or, when NULL is, those with NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    Some,
    Null,
}

/// The rows of a relation that have anchors in column `att`. `anchors`: the relation that stands for the anchors, and its column, as SQL.
pub fn only_values(rte: RangeTblEntry, att: i16, values: Values, anchors: (&str, &str)) -> Result<()> {
    let rel = open(rte)?;
    let table = relation_name(rte.relid())?;
    let only = if rte.inh() { "" } else { "ONLY " };
    let columns = live_columns(rte)?.join(", ");
    let names = column_names(rte, &rel);
    let own = name::ident(&attname(rel.attribute(att as usize - 1)));
    let (of, column) = anchors;
    let condition = match values {
        Values::Some => format!("x.{own} IN (SELECT d.{column} FROM tviews.dirty(NULL::{of}) d)"),
        // IS NULL would be true for a row of NULLs, too.
        Values::Null => format!(
            "x.{own} IS NOT DISTINCT FROM NULL AND EXISTS (SELECT FROM tviews.dirty(NULL::{of}) d WHERE d.{column} IS NOT DISTINCT FROM NULL)"
        ),
    };
    transplant(rte, &format!("SELECT 1 FROM (SELECT {columns} FROM {only}{table} x WHERE {condition}) x"))?;
    rte.eref().set_colnames(names);
    Ok(())
}

/// A name for one column more.
fn unused_name(rel: &Relation) -> String {
    let mut name = "tviews mark".to_string();
    while (0..rel.natts()).any(|i| attname(rel.attribute(i)) == name) {
        name.push('+');
    }
    name
}

fn open(rte: RangeTblEntry) -> Result<Relation> {
    Relation::open(rte.relid(), pg_sys::AccessShareLock)
        .ok_or_else(|| Error::Internal(format!("relation {} does not exist", rte.relid().to_u32())))
}

fn live_columns(rte: RangeTblEntry) -> Result<Vec<String>> {
    let rel = open(rte)?;
    let live = (0..known(rte, &rel)).map(|i| rel.attribute(i)).filter(|a| !a.attisdropped);
    Ok(live.map(|a| name::ident(&attname(a))).collect())
}

/// How many columns the stored query knows: columns added since cannot be read by it, and joins do not list them.
fn known(rte: RangeTblEntry, rel: &Relation) -> usize {
    list::len(rte.eref().colnames()).min(rel.natts())
}

/// Names by attribute number for a sub-query that stands for a relation. The deparser takes an empty name for a column
/// that does not exist any more, as it does for the relation itself, and prints names of an alias list.
fn column_names(rte: RangeTblEntry, rel: &Relation) -> List {
    let aliased = !rte.alias().is_null() && !rte.alias().colnames().is_null();
    let given = rte.eref().colnames();
    let mut names: List = Tree::null();
    for i in 0..known(rte, rel) {
        let att = rel.attribute(i);
        let node = if !att.attisdropped && aliased && i < list::len(given) {
            list::nth::<pg_sys::Node>(given, i)
        } else {
            let text = if att.attisdropped { String::new() } else { attname(att) };
            let text = CString::new(text).unwrap_or_default();
            make::string(Text::of(&text))
        };
        names = list::lappend(names, node.cast());
    }
    names
}

fn relation_name(relid: pg_sys::Oid) -> Result<String> {
    name::relation(relid).ok_or_else(|| Error::Internal(format!("relation {} does not exist", relid.to_u32())))
}

/// Overwrites a range table entry with the only one of `sql`, keeping its alias.
pub fn transplant(rte: RangeTblEntry, sql: &str) -> Result<()> {
    let text = CString::new(sql).map_err(|_| Error::Internal("NUL byte in SQL text".into()))?;
    let text = Text::of(&text);
    let donor = server::rt_fetch(1, parser::analyse(text));
    let alias = make::make::<pg_sys::Alias>();
    alias.set_aliasname(rte.eref().aliasname());
    if !rte.alias().is_null() {
        alias.set_colnames(rte.alias().colnames());
    }
    donor.eref().set_aliasname(alias.aliasname());
    let known = list::len(rte.eref().colnames());
    donor.eref().set_colnames(if !rte.alias().is_null() && !rte.alias().colnames().is_null() {
        rte.eref().colnames()
    } else {
        server::list_copy_head(donor.eref().colnames(), known)
    });
    donor.set_alias(alias);
    donor.set_inFromCl(true);
    rte.become_like(donor);
    Ok(())
}
