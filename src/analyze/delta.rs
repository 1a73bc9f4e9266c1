//! The weighted rows by which a join changes when its base relations do.
//!
//! Semantics: a query block below its GROUP BY is a multiset of rows, linear in a relation when that relation is on no
//! side that an outer join can null-extend and in no sub-query. Then, for changed relations T1 … Tn (each occurrence is
//! one of them), the delta is the sum over i of the block with Ti replaced by ΔTi, T1 … Ti-1 by their old state and
//! the others as they are now; the old state of T is T minus ΔT, a multiset with weights, and weights multiply.
//! Invariant: exact, so it is either made or refused with a reason; simultaneous changes are neither lost nor counted
//! twice. Called by refresh/fold and refresh/delta.

use super::change_rows::{old_with_weight, weighted_changes};
use super::describe::{Block, Described, Item};
use super::dirty::{find, is_nullable};
use super::load::outputs;
use crate::pg::error::Result;
use crate::pg::{ext, list, walk};
use pgrx::pg_sys;
use std::collections::BTreeSet;
use std::ffi::{CStr, CString};

pub type Why = String;

/// One SELECT per changed occurrence: weight, then `targets` (expressions of the described query).
///
/// # Safety
/// `d` was described from a query that is alive; `targets` belong to it.
pub unsafe fn terms(
    d: &Described,
    targets: &[*mut pg_sys::Node],
    changed: &BTreeSet<u32>,
) -> Result<std::result::Result<Vec<String>, Why>> {
    let atoms = &d.description.atoms;
    let occurrences: Vec<usize> =
        (0..atoms.len()).filter(|a| atoms[*a].relid.is_some_and(|r| changed.contains(&r))).collect();
    for atom in &occurrences {
        if let Err(why) = linear(d.block.query, &d.block, &atoms[*atom].path) {
            return Ok(Err(why));
        }
    }
    let mut selects = Vec::new();
    for (i, atom) in occurrences.iter().enumerate() {
        let query = ext::copy(d.block.query);
        let roles = Roles { delta: *atom, old: occurrences[..i].to_vec() };
        let Some(weight) = roles.put(query, &d.block)? else { continue };
        super::dirty::strip(query);
        let mut columns = vec![weight];
        columns.extend(targets);
        selects.push(select(query, &columns));
    }
    Ok(Ok(selects))
}

/// The output expressions of a query.
pub unsafe fn outputs_of(query: *mut pg_sys::Query) -> Vec<*mut pg_sys::Node> {
    outputs(query).into_iter().map(|t| ext::flatten_join_aliases(query, (*t).expr.cast())).collect()
}

/// The SELECT of some expressions from the FROM and WHERE clauses of a query.
unsafe fn select(query: *mut pg_sys::Query, columns: &[*mut pg_sys::Node]) -> String {
    let mut list: *mut pg_sys::List = std::ptr::null_mut();
    for (i, node) in columns.iter().enumerate() {
        let label = CString::new(format!("c{i}")).unwrap_or_default();
        let tle =
            pg_sys::makeTargetEntry(ext::copy(*node).cast(), i as i16 + 1, pg_sys::pstrdup(label.as_ptr()), false);
        list = pg_sys::lappend(list, tle.cast());
    }
    (*query).targetList = list;
    CStr::from_ptr(pg_sys::pg_get_querydef(query, false)).to_string_lossy().into_owned()
}

/// Whether the block is linear in the relation at `path`.
unsafe fn linear(query: *mut pg_sys::Query, block: &Block, path: &[usize]) -> std::result::Result<(), Why> {
    let index = path[0];
    let mut joins = Vec::new();
    find((*query).jointree.cast(), index, &mut joins);
    if joins.iter().any(|j| is_nullable(j)) {
        return Err("it is on the nullable side of an outer join".into());
    }
    let rte = list::nth::<pg_sys::RangeTblEntry>((*query).rtable, index - 1);
    if !(*rte).securityQuals.is_null() {
        return Err("row security hides some of its rows".into());
    }
    if whole_row(query, index) {
        return Err("a whole row is used".into());
    }
    if let Some(Item::Sub(sub)) = block.items.get(&index) {
        return linear(sub.query, sub, &path[1..]);
    }
    Ok(())
}

/// Whether a whole-row Var of this level's relation `index` occurs.
unsafe fn whole_row(query: *mut pg_sys::Query, index: usize) -> bool {
    walk::walk(query.cast(), &mut |node| {
        list::is(node, pg_sys::NodeTag::T_Var)
            && (*node.cast::<pg_sys::Var>()).varno as usize == index
            && (*node.cast::<pg_sys::Var>()).varattno <= 0
    })
}

/// What stands in the place of the changed occurrences in one term.
struct Roles {
    delta: usize,
    old: Vec<usize>,
}

impl Roles {
    /// Replaces the occurrences in `query`, which mirrors `block`; returns the product of the weights, if any.
    unsafe fn put(&self, query: *mut pg_sys::Query, block: &Block) -> Result<Option<*mut pg_sys::Node>> {
        let mut product: Option<*mut pg_sys::Node> = None;
        let mut indexes: Vec<&usize> = block.items.keys().collect();
        indexes.sort_unstable();
        for i in indexes {
            let rte = list::nth::<pg_sys::RangeTblEntry>((*query).rtable, i - 1);
            let weight = match &block.items[i] {
                Item::Atom(a) if *a == self.delta => Some(weighted_changes(rte)?),
                Item::Atom(a) if self.old.contains(a) => Some(old_with_weight(rte)?),
                Item::Atom(_) => None,
                Item::Sub(sub) => self.put((*rte).subquery, sub)?.map(|w| export(rte, w)),
            };
            if let Some(att) = weight {
                let var: *mut pg_sys::Node =
                    pg_sys::makeVar(*i as i32, att, pg_sys::INT8OID, -1, pg_sys::InvalidOid, 0).cast();
                product = Some(product.map_or(var, |p| times(p, var)));
            }
        }
        Ok(product)
    }
}

/// Adds the weight of a sub-query to its outputs; returns its attribute number.
unsafe fn export(rte: *mut pg_sys::RangeTblEntry, weight: *mut pg_sys::Node) -> i16 {
    let sub = (*rte).subquery;
    let att = outputs(sub).len() as i16 + 1;
    let tle = pg_sys::makeTargetEntry(weight.cast(), att, pg_sys::pstrdup(c"tviews_weight".as_ptr()), false);
    (*sub).targetList = pg_sys::lappend((*sub).targetList, tle.cast());
    super::change_rows::add_name(rte, c"tviews_weight");
    att
}

unsafe fn times(a: *mut pg_sys::Node, b: *mut pg_sys::Node) -> *mut pg_sys::Node {
    let op = crate::capture::install::make::<pg_sys::OpExpr>(pg_sys::NodeTag::T_OpExpr);
    (*op).opno = pg_sys::Oid::from(INT8_MULTIPLY);
    (*op).opfuncid = pg_sys::Oid::from(pg_sys::F_INT8MUL);
    (*op).opresulttype = pg_sys::INT8OID;
    (*op).args = pg_sys::lappend(pg_sys::lappend(std::ptr::null_mut(), a.cast()), b.cast());
    (*op).location = -1;
    op.cast()
}

/// `*(int8, int8)`, catalog/pg_operator.dat.
const INT8_MULTIPLY: u32 = 686;
