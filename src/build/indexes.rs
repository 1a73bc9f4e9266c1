//! The indexes that a TVIEW gets by itself: by them a flush finds the rows that it is about to change.
//!
//! A btree on the key finds rows whose key has no NULL and no long values. Values that may be too long for an entry of a
//! btree, columns whose NULLs have to be found beside other columns, and keys of too many columns are looked up by a hash
//! of them.
//! Invariant: no value that the query can give is too large for an index made here; SQL that looks rows up (`found_by`)
//! has the expression that is indexed. A query with LIMIT reads its stage by another index, in its order; a query with windows reads a
//! partition of its stage by one.
//! An index that is made here is marked as ours (`ddl::mark`) and goes when another query has another key.
//! Called by population, after the rows are there, and when a query is replaced.

use crate::analyze::describe::interval;
use crate::analyze::describe::order::{self, Ordered};
use crate::catalog;
use crate::pg::error::Result;
use crate::pg::pinned::Pinned;
use crate::pg::relation::{Relation, attname};
use crate::pg::{ddl, list, name};
use crate::refresh::plan::bag;
use crate::refresh::plan::lookup::{MANY, hash_sql, hashed_columns, is_wide};
use crate::refresh::plan::tview::{self, KeyColumn, Tview, maintained};
use pgrx::pg_sys;
use tviews_core::strategy::Strategy;

/// Creates the indexes that a flush needs, unless there are suitable ones.
pub fn create(oid: pg_sys::Oid) -> Result<()> {
    make(oid, true)
}

/// `unique`: the stored rows are the rows of the query, so that its key is unique.
fn make(oid: pg_sys::Oid, unique: bool) -> Result<()> {
    let Some(rel) = Relation::open(oid, pg_sys::NoLock) else { return Ok(()) };
    let tview = tview::of(&rel)?;
    let mut wanted = Vec::new();
    if tview.decisions.values().any(|d| d.strategy == Strategy::Delta) {
        wanted.extend(whole_row(&rel, &tview));
    } else if tview.decisions.values().any(|d| d.strategy != Strategy::Full) {
        wanted.extend(key(&rel, &tview, unique));
    }
    let interval = interval(&rel, &tview)?;
    if let Some((columns, sql)) = interval {
        // It finds partitions, too.
        let key: Vec<i16> = tview.key.iter().flatten().map(|k| k.at as i16 + 1).collect();
        if columns.starts_with(&key) && hashed_columns(tview.key.as_deref().unwrap_or_default()).is_empty() {
            wanted.clear();
        }
        wanted.extend(sql);
    }
    wanted.extend(row_key(&rel, &tview));
    wanted.extend(documents(&rel, &tview));
    let below = below(&rel, &tview)?;
    drop(rel);
    wanted.iter().try_for_each(|sql| run(oid, &tview, sql))?;
    below.into_iter().try_for_each(|(stage, sql)| run(stage, &tview, &sql))
}

fn run(indexed: pg_sys::Oid, tview: &Tview, sql: &str) -> Result<()> {
    let _pinned = Pinned::new(tview.owner);
    // SAFETY: `sql` is one of those below, on this relation.
    unsafe { ddl::mark(&ddl::create_index(indexed, sql)?) };
    Ok(())
}

/// Drops the indexes that `create` has made for a query that is replaced: its rows may not be unique any more.
pub fn drop_ours(oid: pg_sys::Oid) {
    drop_where(oid, |_| true);
}

/// The option `document_indexes` has changed.
pub fn follow_option(oid: pg_sys::Oid) -> Result<()> {
    let Some(rel) = Relation::open(oid, pg_sys::ShareUpdateExclusiveLock) else { return Ok(()) };
    let tview = tview::of(&rel)?;
    if !rel.class().relispopulated {
        return Ok(());
    }
    if tview.document_indexes {
        let wanted = documents(&rel, &tview);
        drop(rel);
        return wanted.iter().try_for_each(|sql| run(oid, &tview, sql));
    }
    let key: Vec<i16> = tview.key.iter().flatten().map(|k| k.at as i16 + 1).collect();
    let read_by: Vec<i16> = document_columns(&rel).map(|(number, _)| number).collect();
    drop(rel);
    drop_where(oid, |index| {
        let columns = key_columns(index);
        columns != key && columns.len() == 1 && read_by.contains(&columns[0])
    });
    Ok(())
}

/// The columns by which documents are read, by the convention of applications: `id`, `identifier` and references `fk_…`, and the access method of an
/// index on them: values of any length have a hash.
pub fn document_columns(rel: &Relation) -> impl Iterator<Item = (i16, &'static str)> {
    let named = |name: &str| name == "id" || name == "identifier" || name.starts_with("fk_");
    (0..rel.natts()).filter_map(move |i| {
        let a = rel.attribute(i);
        if a.attisdropped || !named(&attname(a)) {
            return None;
        }
        let wide = is_wide(a.atttypid);
        let (method, name) = if wide { (pg_sys::HASH_AM_OID, "hash") } else { (pg_sys::BTREE_AM_OID, "btree") };
        // SAFETY: a syscache look-up.
        let class = unsafe { pg_sys::GetDefaultOpClass(a.atttypid, method) };
        (class != pg_sys::InvalidOid).then_some((i as i16 + 1, name))
    })
}

/// The indexes that documents are read by, unless there are some, or the key begins with the column.
fn documents(rel: &Relation, tview: &Tview) -> Vec<String> {
    if !tview.document_indexes {
        return Vec::new();
    }
    let present = columns_of_indexes(rel);
    let first = tview.key.as_ref().and_then(|key| key.first()).filter(|k| !k.wide).map(|k| k.at as i16 + 1);
    document_columns(rel)
        .filter(|(number, _)| first != Some(*number) && !present.iter().any(|of| of.first() == Some(number)))
        .map(|(number, method)| {
            let column = name::ident(&attname(rel.attribute(number as usize - 1)));
            format!("CREATE INDEX ON {} USING {method} ({column})", tview.name)
        })
        .collect()
}

/// Drops our indexes that are not on the key, and creates the indexes that a flush needs now. The stored rows are still the old ones.
pub fn follow_key(oid: pg_sys::Oid) -> Result<()> {
    let Some(rel) = Relation::open(oid, pg_sys::AccessExclusiveLock) else { return Ok(()) };
    let tview = tview::of(&rel)?;
    drop(rel);
    let numbers: Option<Vec<i16>> = tview.key.as_ref().filter(|_| !tview.region).map(|key| {
        let mut numbers: Vec<i16> = key.iter().map(|k| k.at as i16 + 1).collect();
        numbers.sort_unstable();
        numbers
    });
    drop_where(oid, |index| {
        let mut columns = key_columns(index);
        columns.sort_unstable();
        numbers.as_ref() != Some(&columns)
    });
    make(oid, false)
}

fn drop_where(oid: pg_sys::Oid, unwanted: impl Fn(&Relation) -> bool) {
    let Some(rel) = Relation::open(oid, pg_sys::AccessExclusiveLock) else { return };
    // SAFETY: the relation is open.
    let all = unsafe { list::oids(pg_sys::RelationGetIndexList(rel.raw())) };
    drop(rel);
    let goes = |index: &pg_sys::Oid| {
        ddl::is_marked(*index) && Relation::open(*index, pg_sys::AccessExclusiveLock).is_some_and(|i| unwanted(&i))
    };
    for index in all.into_iter().filter(goes) {
        // SAFETY: locked, and closed.
        unsafe { ddl::drop_index(index) };
    }
}

/// The indexes by which a query reads parts of its stages.
fn below(rel: &Relation, tview: &Tview) -> Result<Vec<(pg_sys::Oid, String)>> {
    if catalog::stages::of(rel.oid()).is_empty() && !catalog::stages::is_stage(rel.oid()) {
        return Ok(Vec::new());
    }
    let is_stage = catalog::stages::is_stage;
    let (order, around, partitions, compared) = {
        let _pinned = Pinned::new(tview.owner);
        let query = maintained(rel)?;
        let around = interval::of(query, &tview::stored_key).and_then(|of| order::around(query, &of));
        (order::of(query), around, order::partitions(query), order::compared(query))
    };
    let is_short = |oid: pg_sys::Oid, columns: &[Ordered]| {
        let wide = |rel: &Relation| columns.iter().any(|c| is_wide(rel.attribute(c.attribute as usize - 1).atttypid));
        Relation::open(oid, pg_sys::AccessShareLock).is_some_and(|rel| !wide(&rel))
    };
    let around = around.map(|(oid, _, columns)| (oid, columns)).filter(|(oid, columns)| is_short(*oid, columns));
    let ranges = compared.into_iter().filter(|(rows, _, value)| is_stage(*rows) && is_stage(*value));
    let mut wanted: Vec<_> = ranges.filter_map(|(rows, column, _)| partition(rows, &[column])).collect();
    wanted.dedup();
    if let Some((stage, columns)) = order.or(around).filter(|(oid, _)| is_stage(*oid)) {
        wanted.extend(first_rows(stage, columns));
    } else if let Some((stage, by)) = partitions.filter(|(oid, _)| is_stage(*oid)) {
        wanted.extend(partition(stage, &by));
    }
    Ok(wanted)
}

/// The index by which a query with windows reads a partition of its stage, or rows between two values: on one of the columns, and NULLs are found by it.
fn partition(oid: pg_sys::Oid, columns: &[i16]) -> Option<(pg_sys::Oid, String)> {
    let stage = Relation::open(oid, pg_sys::AccessShareLock)?;
    let present = columns_of_indexes(&stage);
    let fits = |c: &&i16| {
        let of = stage.attribute(**c as usize - 1).atttypid;
        // SAFETY: a syscache look-up.
        !is_wide(of) && unsafe { pg_sys::GetDefaultOpClass(of, pg_sys::BTREE_AM_OID) } != pg_sys::InvalidOid
    };
    if columns.iter().any(|c| present.iter().any(|of| of.first() == Some(c))) {
        return None;
    }
    let column = columns.iter().find(fits)?;
    let label = name::ident(&attname(stage.attribute(*column as usize - 1)));
    Some((oid, format!("CREATE INDEX ON {} ({label})", name::relation(oid)?)))
}

/// The index by which a query with LIMIT, OFFSET or windows reads the rows of its stage in their order.
fn first_rows(oid: pg_sys::Oid, mut columns: Vec<order::Ordered>) -> Option<(pg_sys::Oid, String)> {
    let stage = Relation::open(oid, pg_sys::AccessShareLock)?;
    let long = columns.iter().position(|c| is_wide(stage.attribute(c.attribute as usize - 1).atttypid));
    columns.truncate(long.unwrap_or(columns.len()));
    if columns.is_empty() || gives_order(&stage, &columns) {
        return None;
    }
    let columns: Vec<String> = columns.iter().map(|c| c.in_index(&stage)).collect();
    Some((oid, format!("CREATE INDEX ON {} ({})", name::relation(oid)?, columns.join(", "))))
}

/// The index by which rows without a key are found, unless there is an index on an expression like it.
fn whole_row(rel: &Relation, tview: &Tview) -> Option<String> {
    if tview.columns.is_empty() || columns_of_indexes(rel).iter().any(|c| c.first() == Some(&0)) {
        return None;
    }
    Some(format!("CREATE INDEX ON {} (({}))", tview.name, bag::hash_expression(rel, tview, "")))
}

/// The indexes on the key.
fn key(rel: &Relation, tview: &Tview, unique: bool) -> Vec<String> {
    let key = tview.key.as_deref().unwrap_or_default();
    let mut present = columns_of_indexes(rel);
    present.iter_mut().for_each(|columns| columns.sort_unstable());
    let number = |k: &KeyColumn| k.at as i16 + 1;
    let is_there = |columns: &[i16]| {
        let mut columns = columns.to_vec();
        columns.sort_unstable();
        present.contains(&columns)
    };
    if key.is_empty() || is_there(&key.iter().map(number).collect::<Vec<_>>()) {
        return Vec::new();
    }
    let names = |these: &[&KeyColumn]| these.iter().map(|k| tview.columns[k.at].clone()).collect::<Vec<_>>();
    let hashed = hashed_columns(key);
    if hashed.is_empty() {
        // Not UNIQUE NULLS NOT DISTINCT: from 18 on the planner takes such a key to determine the row even where an outer
        // join null-extends it (remove_useless_groupby_columns), and gives wrong groups.
        let unique = if !unique || tview.region || key.iter().any(|k| k.nullable) { "" } else { "UNIQUE " };
        let all: Vec<&KeyColumn> = key.iter().collect();
        return vec![format!("CREATE {unique}INDEX ON {} ({})", tview.name, names(&all).join(", "))];
    }
    let plain: Vec<&KeyColumn> = (0..key.len()).filter(|i| !hashed.contains(i)).map(|i| &key[i]).collect();
    let mut wanted = Vec::new();
    let mut numbers: Vec<i16> = plain.iter().map(|k| number(k)).collect();
    numbers.push(0);
    if !is_there(&numbers) {
        let mut columns = names(&plain);
        columns.push(format!("({})", hash_sql(&hashed, |k| tview.columns[key[k].at].clone())));
        wanted.push(format!("CREATE INDEX ON {} ({})", tview.name, columns.join(", ")));
    }
    // For queries that look for values of the first columns, as a recursive one does for the rows before a row.
    let most = if tview.is_recursive() { 1 } else { 3 };
    let short: Vec<&KeyColumn> = key.iter().take(most).take_while(|k| !k.wide).collect();
    let lacks_first = plain.is_empty() || tview.is_recursive() && hashed.contains(&0);
    if lacks_first && !short.is_empty() && !is_there(&short.iter().map(|k| number(k)).collect::<Vec<_>>()) {
        wanted.push(format!("CREATE INDEX ON {} ({})", tview.name, names(&short).join(", ")));
    }
    wanted
}

/// The columns by which the rows of an interval of windows are found, and their index, unless there is one.
fn interval(rel: &Relation, tview: &Tview) -> Result<Option<(Vec<i16>, Option<String>)>> {
    let changed = tview.decisions.keys().copied().collect();
    let plan = {
        let _pinned = Pinned::new(tview.owner);
        tview.interval(rel, &changed)?
    };
    let Some(plan) = plan else { return Ok(None) };
    let order = plan.of.order.iter().map(|o| Ordered {
        attribute: o.at as i16 + 1,
        descending: o.descends(rel),
        nulls_first: o.key.nulls_first,
    });
    let by = plan.of.by.iter().map(|at| Ordered { attribute: *at as i16 + 1, descending: false, nulls_first: false });
    let columns: Vec<Ordered> = by.chain(order).collect();
    let wide = |c: &Ordered| is_wide(rel.attribute(c.attribute as usize - 1).atttypid);
    if columns.iter().any(wide) || columns.len() > MANY {
        return Ok(None);
    }
    let names: Vec<String> = columns.iter().map(|c| c.in_index(rel)).collect();
    let sql = format!("CREATE INDEX ON {} ({})", tview.name, names.join(", "));
    let wanted = (!gives_order(rel, &columns)).then_some(sql);
    Ok(Some((columns.into_iter().map(|c| c.attribute).collect(), wanted)))
}

/// The index by which a stage with windows is joined to others. Not UNIQUE: rows come before others go.
fn row_key(rel: &Relation, tview: &Tview) -> Option<String> {
    let columns = tview.row_key.as_ref().filter(|_| catalog::stages::is_stage(rel.oid()))?;
    let wide = |c: &i16| is_wide(rel.attribute(*c as usize - 1).atttypid);
    if columns.iter().any(wide) || columns_of_indexes(rel).contains(columns) {
        return None;
    }
    let names: Vec<String> = columns.iter().map(|c| tview.columns[*c as usize - 1].clone()).collect();
    Some(format!("CREATE INDEX ON {} ({})", tview.name, names.join(", ")))
}

/// The columns of each index that finds all rows; 0 is an expression.
fn columns_of_indexes(rel: &Relation) -> Vec<Vec<i16>> {
    each_index(rel, key_columns)
}

fn key_columns(index: &Relation) -> Vec<i16> {
    // SAFETY: an open index has as many columns as it says.
    unsafe {
        let form = &*(*index.raw()).rd_index;
        (0..form.indnkeyatts as usize).map(|i| *form.indkey.values.as_ptr().add(i)).collect()
    }
}

/// Whether some index, read forwards or backwards, begins with these columns in their order.
pub fn gives_order(rel: &Relation, columns: &[order::Ordered]) -> bool {
    let wanted: Vec<u32> = columns
        .iter()
        .map(|c| {
            let descending = if c.descending { pg_sys::INDOPTION_DESC } else { 0 };
            descending | if c.nulls_first { pg_sys::INDOPTION_NULLS_FIRST } else { 0 }
        })
        .collect();
    let backwards = pg_sys::INDOPTION_DESC | pg_sys::INDOPTION_NULLS_FIRST;
    // SAFETY: an open index has as many columns and options as it says.
    let found = each_index(rel, |index| unsafe {
        let form = &*(*index.raw()).rd_index;
        if (form.indnkeyatts as usize) < columns.len() || (*(*index.raw()).rd_rel).relam != pg_sys::BTREE_AM_OID {
            return false;
        }
        let option = |i: usize| *(*index.raw()).rd_indoption.add(i) as u32;
        let same = |change: u32| wanted.iter().enumerate().all(|(i, w)| option(i) == w ^ change);
        let at = |i: usize| *form.indkey.values.as_ptr().add(i);
        columns.iter().enumerate().all(|(i, c)| at(i) == c.attribute) && (same(0) || same(backwards))
    });
    found.contains(&true)
}

/// Asks each index that finds all rows.
fn each_index<T>(rel: &Relation, ask: impl Fn(&Relation) -> T) -> Vec<T> {
    // SAFETY: the relation is open.
    unsafe {
        list::oids(pg_sys::RelationGetIndexList(rel.raw()))
            .into_iter()
            .filter_map(|i| Relation::open(i, pg_sys::AccessShareLock))
            .filter(|index| {
                (*(*index.raw()).rd_index).indisvalid && pg_sys::RelationGetIndexPredicate(index.raw()).is_null()
            })
            .map(|index| ask(&index))
            .collect()
    }
}
