//! The weighted rows by which any query block changes, found through the rows of one of its relations.
//!
//! Where a block is not linear in what changed (sub-queries, several outer joins …), its delta is the block now minus the
//! block before, both restricted to the rows of one relation, the anchor, that the changes can affect. Those are dirty
//! keys like any others (dirty.rs), the anchor's key being the key.
//! Invariant: rows of the block with other anchors are the same before and after. Two writers can be blind to each other,
//! so one at a time. Called by refresh/fold and refresh/bag when `delta` has no terms.

use super::delta::{Terms, Why};
use super::describe::{Block, Described, Item, KeyOf};
use super::texts::Texts;
use super::{dirty, relations};
use crate::pg::error::Result;
use crate::pg::{ext, list, name};
use pgrx::pg_sys;
use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use tviews_core::model::Col;

/// Whether the change rows of a relation have some columns.
pub type Captured<'a> = &'a dyn Fn(u32, &[i16]) -> bool;

/// Now minus before; `targets` are expressions of the described query.
///
/// # Safety
/// `d` was described from a query that is alive; `targets` belong to it.
pub unsafe fn terms(
    d: &Described,
    targets: &[*mut pg_sys::Node],
    changed: &BTreeSet<u32>,
    key_of: KeyOf,
    captured: Captured,
) -> Result<std::result::Result<Terms, Why>> {
    let atoms = &d.description.atoms;
    let nullable = d.description.join.nullable();
    let times: usize =
        relations::of(d.block.query).iter().filter(|(r, _)| changed.contains(r)).map(|(_, u)| u.times).sum();
    let mut candidates: Vec<usize> = (0..atoms.len()).filter(|a| !nullable.contains(a)).collect();
    // The changed relation itself is the finest anchor.
    candidates.sort_by_key(|a| !atoms[*a].relid.is_some_and(|r| changed.contains(&r)));
    let mut why = Why::from("no relation of it has a key");
    for atom in candidates {
        for key in &atoms[atom].keys {
            if key.is_empty()
                || !atoms[atom].depends.is_empty()
                || !key.iter().all(|c| atoms[atom].not_null.contains(c))
            {
                continue;
            }
            // Change rows have no other columns.
            if atoms[atom].relid.is_some_and(|r| changed.contains(&r) && !captured(r, key)) {
                why = "a key that it would need is not captured".into();
                continue;
            }
            let vars: Option<Vec<_>> = key.iter().map(|att| exported(&d.block, Col { atom, att: *att })).collect();
            let Some(vars) = vars else { continue };
            match anchored(d, targets, &vars, changed, times, key_of)? {
                Ok(terms) => return Ok(Ok(terms)),
                Err(reason) => why = reason,
            }
        }
    }
    Ok(Err(why))
}

/// A Var of the block that is a column of one of its atoms.
unsafe fn exported(block: &Block, col: Col) -> Option<*mut pg_sys::Node> {
    for (index, item) in &block.items {
        let rte = list::nth::<pg_sys::RangeTblEntry>((*block.query).rtable, index - 1);
        match item {
            Item::Atom(a) if *a == col.atom => {
                let (mut typid, mut typmod, mut collation) = (pg_sys::InvalidOid, -1, pg_sys::InvalidOid);
                pg_sys::get_atttypetypmodcoll((*rte).relid, col.att, &mut typid, &mut typmod, &mut collation);
                return Some(pg_sys::makeVar(*index as i32, col.att, typid, typmod, collation, 0).cast());
            }
            Item::Atom(_) => {}
            Item::Sub(sub) => {
                if !block.atoms_of(*index).contains(&col.atom) {
                    continue;
                }
                for tle in super::load::outputs((*rte).subquery) {
                    let expr = ext::flatten_join_aliases(sub.query, (*tle).expr.cast());
                    if sub.resolve_expr(expr) == Some(col) {
                        let node: *mut pg_sys::Node = (*tle).expr.cast();
                        let var = pg_sys::makeVar(
                            *index as i32,
                            (*tle).resno,
                            pg_sys::exprType(node),
                            pg_sys::exprTypmod(node),
                            pg_sys::exprCollation(node),
                            0,
                        );
                        return Some(var.cast());
                    }
                }
                return None;
            }
        }
    }
    None
}

unsafe fn anchored(
    d: &Described,
    targets: &[*mut pg_sys::Node],
    anchor: &[*mut pg_sys::Node],
    changed: &BTreeSet<u32>,
    times: usize,
    key_of: KeyOf,
) -> Result<std::result::Result<Terms, Why>> {
    let block = ext::copy(d.block.query);
    dirty::strip(block);
    let mut list: *mut pg_sys::List = std::ptr::null_mut();
    for (i, node) in targets.iter().chain(anchor).enumerate() {
        let label = CString::new(format!("c{}", i + 1)).unwrap_or_default();
        let tle =
            pg_sys::makeTargetEntry(ext::copy(*node).cast(), i as i16 + 1, pg_sys::pstrdup(label.as_ptr()), false);
        list = pg_sys::lappend(list, tle.cast());
    }
    (*block).targetList = list;
    let positions: Vec<usize> = (0..anchor.len()).map(|i| targets.len() + i).collect();
    let terms = match dirty::terms(block, &positions, changed, dirty::Beside::Changed, key_of)? {
        Ok(terms) if terms.occurrences >= times => terms,
        Ok(_) => return Ok(Err("it is read where its changes cannot be followed".into())),
        Err(why) => return Ok(Err(why)),
    };
    let mut on = Vec::new();
    for (i, node) in anchor.iter().enumerate() {
        let Some(equality) = name::equality(pg_sys::exprType(*node)) else {
            return Ok(Err("a key without equality".into()));
        };
        on.push(format!("q.a{} {equality} d.k{}", i + 1, i + 1));
    }
    let names = |prefix: &str, n: usize| (1..=n).map(|i| format!("{prefix}{i}")).collect::<Vec<_>>();
    let keys = names("k", anchor.len()).join(", ");
    let columns = names("c", targets.len());
    let all = [columns.clone(), names("a", anchor.len())].concat().join(", ");
    let text = CStr::from_ptr(pg_sys::pg_get_querydef(ext::copy(block), false)).to_string_lossy().into_owned();
    let dirty = dirty::union_all(&terms.selects);
    let found = format!("(SELECT DISTINCT {keys} FROM ({dirty}) x({keys})) d");
    let on = on.join(" AND ");
    let shown = |weight: i32| {
        let list: String = columns.iter().map(|c| format!(", q.{c}")).collect();
        format!("SELECT {weight}::pg_catalog.int8{list}")
    };
    let select = |weight: i32| Texts {
        by_key: format!(
            "{} FROM {found}, LATERAL (SELECT * FROM ({text}) q({all}) WHERE {on} OFFSET 0) q",
            shown(weight)
        ),
        at_once: format!("{} FROM {found} JOIN ({text}) q({all}) ON {on}", shown(weight)),
    };
    let flips = (0..d.description.atoms.len()).collect();
    Ok(Ok(Terms { now: vec![select(1)], before: vec![select(-1)], flips, anchored: true }))
}
