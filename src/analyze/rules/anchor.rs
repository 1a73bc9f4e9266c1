//! The weighted rows by which any query block changes, found through the rows of one of its relations.
//!
//! The equation, and which relations can be the anchor, is in tviews_core::anchor: the block now minus the block before, both restricted to the
//! rows of the anchor that the changes can affect. The keys of these rows are found like any dirty keys (dirty.rs).
//! A relation without a key is the anchor by a column that sub-queries look at: rows with other values in it are the same before and after.
//! Invariant: rows of the block with other anchors are the same before and after. Called by refresh/plan when `delta` has no terms.

use crate::analyze::describe::{Block, Described, Item, KeyOf};
use crate::analyze::query::from::find;
use crate::analyze::query::tree::{self, strip};
use crate::analyze::query::{printed, relations};
use crate::analyze::rules::delta::{Anchors, Terms};
use crate::analyze::rules::forms::{Forms, union_all};
use crate::analyze::rules::{dirty, state_before};
use crate::pg::error::{Error, Result};
use crate::pg::name;
use crate::pg::relation::{Relation, attname};
use crate::pg::tree::{List, Node, Query, TargetEntry, Text, Tree, list, lsyscache, make, server, walk};
use pgrx::pg_sys;
use std::collections::BTreeSet;
use std::ffi::CString;
use tviews_core::anchor::{Candidate, TERMS, candidates};
use tviews_core::delta::{Moment, States};
use tviews_core::model::Col;
use tviews_core::reason::Reason;

/// Whether the change rows of a relation have some columns.
pub type Captured<'a> = &'a dyn Fn(u32, &[i16]) -> bool;

/// Now minus before; `targets` are expressions of the described query.
pub fn terms(
    d: &Described,
    targets: &[Node],
    changed: &BTreeSet<u32>,
    key_of: KeyOf,
    captured: Captured,
    states: States,
) -> Result<std::result::Result<Terms, Reason>> {
    let before = Before { key_of, captured, states };
    let times: usize =
        relations::of(d.block.query).iter().filter(|(r, _)| changed.contains(r)).map(|(_, u)| u.times).sum();
    let mut why = Reason::NoAnchor;
    for Candidate { atom, relid, key } in candidates(&d.description, changed) {
        // Change rows have no other columns.
        if changed.contains(&relid) && !captured(relid, key) {
            why = Reason::AnchorNotCaptured;
            continue;
        }
        let key: Vec<Col> = key.iter().map(|att| Col { atom, att: *att }).collect();
        match anchored(d, targets, relid, &key, changed, times, &before)? {
            Ok(terms) => return Ok(Ok(terms)),
            Err(reason) => why = reason,
        }
    }
    for (col, relid) in looked_at(d) {
        if !changed.contains(&relid) || captured(relid, &[col.att]) {
            match anchored(d, targets, relid, &[col], changed, times, &before)? {
                Ok(terms) => return Ok(Ok(terms)),
                Err(reason) if why == Reason::NoAnchor => why = reason,
                Err(_) => {}
            }
        }
    }
    Ok(Err(why))
}

/// Columns of relations without key, of the block itself, that sub-queries look at, and their relations.
fn looked_at(d: &Described) -> Vec<(Col, u32)> {
    let query = d.block.query;
    let links = walk::links(query);
    let mut looks: Vec<(Node, i32)> = links.iter().map(|link| (link.subselect(), 1)).collect();
    looks.extend(links.iter().map(|link| (link.testexpr(), 0)));
    for index in relations::in_from(query) {
        let rte = server::rt_fetch(index, query);
        if rte.lateral() && !rte.subquery().is_null() {
            looks.push((rte.subquery().cast(), 1));
        }
    }
    let nullable = d.description.join.nullable();
    let mut found: Vec<(Col, u32)> = Vec::new();
    for (node, level) in looks {
        for var in list::iter::<pg_sys::Var>(server::pull_vars_of_level(node, level)) {
            let own = var.copy();
            own.set_varlevelsup(0);
            let Some(col) = d.block.resolve_expr(server::flatten_join_aliases(query, own.cast())) else { continue };
            let atom = &d.description.atoms[col.atom];
            let relid = atom.relid.filter(|_| atom.depends.is_empty() && !nullable.contains(&col.atom));
            found.extend(relid.map(|relid| (col, relid)).filter(|of| !found.contains(of)));
        }
    }
    found
}

/// A Var of `query`, which mirrors `block`, for a column of one of its atoms. Sub-queries get the column as one more output where
/// they do not show it.
fn expose(query: Query, block: &Block, col: Col) -> Option<Node> {
    let (index, item) = block.items.iter().find(|(i, _)| block.atoms_of(**i).contains(&col.atom))?;
    let rte = server::rt_fetch(*index, query);
    let Item::Sub(sub) = item else {
        let of = lsyscache::get_atttypetypmodcoll(rte.relid(), col.att);
        return Some(make::var(*index as i32, col.att, of, 0).cast());
    };
    let below = rte.subquery();
    let mut shown = TargetEntry::null();
    for tle in tree::outputs(below) {
        let expr = server::flatten_join_aliases(below, tle.expr());
        if sub.resolve_expr(expr) == Some(col) {
            shown = tle;
        }
    }
    if shown.is_null() {
        if !can_grow(query, *index) {
            return None;
        }
        let expr = expose(below, sub, col)?;
        let number = list::len(below.targetList()) + 1;
        let label = CString::new(format!("tviews_key_{number}")).unwrap_or_default();
        shown = make::target(expr.cast(), number, Text::of(&label), false);
        below.set_targetList(list::lappend(below.targetList(), shown.cast()));
        let label = make::string(Text::of(&label));
        rte.eref().set_colnames(list::lappend(rte.eref().colnames(), label.cast()));
    }
    let node: Node = shown.expr();
    let (typid, typmod, collation) = (server::exprType(node), server::exprTypmod(node), server::exprCollation(node));
    Some(make::var(*index as i32, shown.resno(), (typid, typmod, collation), 0).cast())
}

/// Whether a sub-query of FROM can have one more output: joins know the number of columns that they join, and whole
/// rows would change. Outputs for ORDER BY only come last.
fn can_grow(query: Query, index: usize) -> bool {
    let rte = server::rt_fetch(index, query);
    let mut joins = Vec::new();
    find(query.jointree().cast(), index, &mut joins);
    let whole_row = relations::reads_whole_row(query, index);
    let below = rte.subquery();
    let hidden = list::iter::<pg_sys::TargetEntry>(below.targetList()).any(|t| t.resjunk());
    joins.is_empty() && !whole_row && !hidden && below.setOperations().is_null()
}

/// How the state before is read.
struct Before<'a> {
    key_of: KeyOf<'a>,
    captured: Captured<'a>,
    states: States,
}

impl Before<'_> {
    /// The text of a block in the state before; None when it cannot be had. `wanted`: Vars of the block, with the values that its rows are wanted for.
    fn text(
        &self,
        block: Query,
        changed: &BTreeSet<u32>,
        wanted: Option<Vec<(Node, String)>>,
    ) -> Result<Option<String>> {
        let block = block.copy();
        if self.states == States::Now && !state_before::put(block, changed, self.key_of, self.captured, wanted)? {
            return Ok(None);
        }
        printed::text(block).map(Some)
    }
}

fn anchored(
    d: &Described,
    targets: &[Node],
    relid: u32,
    key: &[Col],
    changed: &BTreeSet<u32>,
    times: usize,
    before: &Before,
) -> Result<std::result::Result<Terms, Reason>> {
    let block = d.block.query.copy();
    strip(block);
    let anchor: Option<Vec<_>> = key.iter().map(|col| expose(block, &d.block, *col)).collect();
    let Some(anchor) = anchor else { return Ok(Err(Reason::AnchorNotVisible)) };
    let mut list: List = Tree::null();
    for (i, node) in targets.iter().chain(&anchor).enumerate() {
        let label = CString::new(format!("c{}", i + 1)).unwrap_or_default();
        let tle = make::target(node.copy().cast(), i + 1, Text::of(&label), false);
        list = list::lappend(list, tle.cast());
    }
    block.set_targetList(list);
    let positions: Vec<usize> = (0..anchor.len()).map(|i| targets.len() + i).collect();
    let terms = match dirty::terms(block, &positions, changed, dirty::Beside::Changed, before.key_of)? {
        Ok(terms) if terms.occurrences >= times => terms,
        Ok(_) => return Ok(Err(Reason::NotFollowed)),
        Err(why) => return Ok(Err(why)),
    };
    let mut on = Vec::new();
    for (i, node) in anchor.iter().enumerate() {
        let Some(equality) = name::equality(server::exprType(*node)) else {
            return Ok(Err(Reason::AnchorWithoutEquality));
        };
        on.push(format!("q.a{} {equality} d.k{}", i + 1, i + 1));
    }
    let names = |prefix: &str, n: usize| (1..=n).map(|i| format!("{prefix}{i}")).collect::<Vec<_>>();
    let keys = names("k", anchor.len()).join(", ");
    let columns = names("c", targets.len());
    let all = [columns.clone(), names("a", anchor.len())].concat().join(", ");
    let text = printed::text(block)?;
    let Some(text_before) = before.text(block, changed, None)? else { return Ok(Err(Reason::NoStateBefore)) };
    let values = values_of(relid, key)?;
    let wanted = anchor.iter().copied().zip(values).collect();
    let Some(of_anchors) = before.text(block, changed, Some(wanted))? else { return Ok(Err(Reason::NoStateBefore)) };
    let found = found_keys(relid, key)?;
    let dirty = union_all(&terms.selects);
    let anchors = Anchors {
        relid,
        columns: key.iter().map(|c| c.att).collect(),
        select: Forms::plain(format!("SELECT DISTINCT {keys} FROM ({dirty}) x({keys})")),
    };
    let on = on.join(" AND ");
    let shown = |weight: i64| {
        let list: String = columns.iter().map(|c| format!(", q.{c}")).collect();
        format!("SELECT {weight}::pg_catalog.int8{list}")
    };
    let can_be_null = key.iter().any(|c| !d.description.atoms[c.atom].not_null.contains(&c.att));
    // One column, then.
    let without_value = |weight: i64, text: &str| {
        Forms::plain(format!(
            "{} FROM {found}, LATERAL (SELECT * FROM ({text}) q({all}) WHERE d.k1 IS NOT DISTINCT FROM NULL AND q.a1 IS NOT DISTINCT FROM NULL OFFSET 0) q",
            shown(weight)
        ))
    };
    let select = |weight: i64, text: &str, of_many: &str| Forms {
        by_key: format!(
            "{} FROM {found}, LATERAL (SELECT * FROM ({text}) q({all}) WHERE {on} OFFSET 0) q",
            shown(weight)
        ),
        at_once: format!("{} FROM {found} JOIN ({of_many}) q({all}) ON {on}", shown(weight)),
    };
    let flips = (0..d.description.atoms.len()).collect();
    let mut out = Terms { flips, anchors: vec![anchors], gates: terms.gates, ..Terms::default() };
    for (weight, moment) in TERMS {
        let (terms, text, of_many) = match moment {
            Moment::Now => (&mut out.now, &text, &text),
            Moment::Before => (&mut out.before, &text_before, &of_anchors),
        };
        terms.push(select(weight, text, of_many));
        if can_be_null {
            terms.push(without_value(weight, text));
        }
    }
    Ok(Ok(out))
}

/// SELECTs of the values of each column of these keys.
fn values_of(relid: u32, key: &[Col]) -> Result<Vec<String>> {
    let oid = pg_sys::Oid::from(relid);
    let missing = || Error::Internal(format!("relation {relid} does not exist"));
    let rel = Relation::open(oid, pg_sys::AccessShareLock).ok_or_else(missing)?;
    let table = name::relation(oid).ok_or_else(missing)?;
    let column = |c: &Col| name::ident(&attname(rel.attribute(c.att as usize - 1)));
    Ok(key.iter().map(|c| format!("SELECT v.{} FROM tviews.dirty(NULL::{table}) v", column(c))).collect())
}

/// The keys that the flush has found, read back from the relation's row type.
fn found_keys(relid: u32, key: &[Col]) -> Result<String> {
    let oid = pg_sys::Oid::from(relid);
    let missing = || Error::Internal(format!("relation {relid} does not exist"));
    let rel = Relation::open(oid, pg_sys::AccessShareLock).ok_or_else(missing)?;
    let columns: Vec<String> = key
        .iter()
        .enumerate()
        .map(|(i, c)| format!("v.{} AS k{}", name::ident(&attname(rel.attribute(c.att as usize - 1))), i + 1))
        .collect();
    let table = name::relation(oid).ok_or_else(missing)?;
    Ok(format!("(SELECT {} FROM tviews.dirty(NULL::{table}) v) d", columns.join(", ")))
}
