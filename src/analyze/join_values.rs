//! By which values the relations of a query meet, for locks that only writers of the same values share.
//!
//! Where all relations are joined by inner joins, a row of one and a row of another are parts of the same row of the join only if
//! every equality between them holds. So two writers of different relations whose changed rows have no such values in common
//! do not change the same row of the join, and neither looks at what the other one changes.
//! Invariant: values that an equality holds for have the same hash, whatever their types: both types have the hash operator family that
//! the operator belongs to (access/hash/hashvalidate.c). Called by decide.

use super::describe::{Block, Described, Item};
use super::relations::Use;
use crate::pg::{ext, list};
use pgrx::pg_sys;
use std::collections::BTreeMap;
use tviews_core::model::{Col, Join, Shape};

/// A column that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    pub att: i16,
    pub typid: pg_sys::Oid,
}

/// Two relations of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    pub sides: [u32; 2],
    /// Columns of both that are equal in each row of the join; none when nothing is known.
    pub equal: Vec<[Column; 2]>,
}

/// All pairs of relations, in order; None for a query to which this does not apply.
///
/// # Safety
/// The described query is alive.
pub unsafe fn pairs(described: &Described, used: &BTreeMap<u32, Use>) -> Option<Vec<Pair>> {
    // SAFETY: The described query is alive, as the caller promises.
    unsafe {
        let d = &described.description;
        let relids: Vec<u32> = d.atoms.iter().filter_map(|a| a.relid).collect();
        let all_in_from =
            relids.len() == used.len() && relids.iter().all(|r| used.get(r).is_some_and(|u| u.times == 1));
        let applies = all_in_from
            && used.len() > 1
            && is_inner(&d.join)
            && matches!(d.shape, Shape::Rows | Shape::Groups(_) | Shape::Distinct);
        if !applies {
            return None;
        }
        let mut equal = Vec::new();
        collect(&described.block, &mut equal);
        let classes = classes(equal);
        let atom_of = |relid: u32| d.atoms.iter().position(|a| a.relid == Some(relid));
        let mut pairs = Vec::new();
        let sorted: Vec<u32> = used.keys().copied().collect();
        for (i, left) in sorted.iter().enumerate() {
            for right in &sorted[i + 1..] {
                let (a, b) = (atom_of(*left)?, atom_of(*right)?);
                let of = |class: &BTreeMap<Col, pg_sys::Oid>, atom: usize| {
                    class.iter().find(|(c, _)| c.atom == atom).map(|(c, t)| Column { att: c.att, typid: *t })
                };
                let mut equal: Vec<_> = classes.iter().filter_map(|c| Some([of(c, a)?, of(c, b)?])).collect();
                // All backends have to put them into their hashes in the same order.
                equal.sort_by_key(|columns| columns.map(|c| c.att));
                pairs.push(Pair { sides: [*left, *right], equal });
            }
        }
        Some(pairs)
    }
}

fn is_inner(join: &Join) -> bool {
    match join {
        Join::Atom(_) => true,
        Join::Inner(items, _) => items.iter().all(is_inner),
        Join::Outer(..) => false,
    }
}

/// Columns with their types that are equal in pairs.
type Equal = [(Col, pg_sys::Oid); 2];

/// The equalities of a block and of those below it, between columns whose values have the same hash then.
unsafe fn collect(block: &Block, out: &mut Vec<Equal>) {
    // SAFETY: `block` belongs to a query that is alive.
    unsafe {
        collect_from((*block.query).jointree.cast(), block, out);
        for item in block.items.values() {
            if let Item::Sub(below) = item {
                collect(below, out);
            }
        }
    }
}

unsafe fn collect_from(node: *mut pg_sys::Node, block: &Block, out: &mut Vec<Equal>) {
    // SAFETY: `node` is a live node of a tree of the server; `block` belongs to a query that is alive.
    unsafe {
        let quals = if list::is(node, pg_sys::NodeTag::T_FromExpr) {
            let from = &*node.cast::<pg_sys::FromExpr>();
            list::iter::<pg_sys::Node>(from.fromlist).for_each(|item| collect_from(item, block, out));
            from.quals
        } else if list::is(node, pg_sys::NodeTag::T_JoinExpr) {
            let join = &*node.cast::<pg_sys::JoinExpr>();
            collect_from(join.larg, block, out);
            collect_from(join.rarg, block, out);
            join.quals
        } else {
            return;
        };
        let flat = ext::flatten_join_aliases(block.query, quals);
        for conjunct in list::iter::<pg_sys::Node>(pg_sys::make_ands_implicit(flat.cast())) {
            if list::is(conjunct, pg_sys::NodeTag::T_OpExpr) {
                out.extend(equality(&*conjunct.cast::<pg_sys::OpExpr>(), block));
            }
        }
    }
}

unsafe fn equality(op: &pg_sys::OpExpr, block: &Block) -> Option<Equal> {
    // SAFETY: `op` is a live node of a tree of the server; `block` belongs to a query that is alive.
    unsafe {
        if list::len(op.args) != 2 {
            return None;
        }
        let side = |n| {
            let column = block.resolve_expr(list::nth::<pg_sys::Node>(op.args, n))?;
            let typid = type_of(block, list::nth::<pg_sys::Node>(op.args, n))?;
            Some((column, typid))
        };
        let (left, right) = (side(0)?, side(1)?);
        let family = hash_family(left.1);
        let hashes = family != pg_sys::InvalidOid
            && family == hash_family(right.1)
            && pg_sys::op_in_opfamily(op.opno, family)
            && (op.inputcollid == pg_sys::InvalidOid || pg_sys::get_collation_isdeterministic(op.inputcollid));
        (hashes && left.0.atom != right.0.atom).then_some([left, right])
    }
}

/// The type that a column is stored as, below changes of its name only.
unsafe fn type_of(block: &Block, mut node: *mut pg_sys::Node) -> Option<pg_sys::Oid> {
    // SAFETY: `block` belongs to a query that is alive; `node` is a live node of a tree of the server.
    unsafe {
        while list::is(node, pg_sys::NodeTag::T_RelabelType) {
            node = (*node.cast::<pg_sys::RelabelType>()).arg.cast();
        }
        let var = node.cast::<pg_sys::Var>();
        match block.items.get(&((*var).varno as usize))? {
            Item::Atom(_) => Some((*var).vartype),
            Item::Sub(below) => type_of(below, below.output((*var).varattno)?),
        }
    }
}

unsafe fn hash_family(typid: pg_sys::Oid) -> pg_sys::Oid {
    // SAFETY: the type cache keeps the entry that it returns.
    unsafe { (*pg_sys::lookup_type_cache(typid, pg_sys::TYPECACHE_HASH_OPFAMILY as i32)).hash_opf }
}

/// Columns that are all equal.
fn classes(equal: Vec<Equal>) -> Vec<BTreeMap<Col, pg_sys::Oid>> {
    let mut classes: Vec<BTreeMap<Col, pg_sys::Oid>> = Vec::new();
    for pair in equal {
        let mut joined = BTreeMap::from(pair);
        let mut rest = Vec::new();
        for class in classes {
            if pair.iter().any(|(column, _)| class.contains_key(column)) {
                joined.extend(class);
            } else {
                rest.push(class);
            }
        }
        rest.push(joined);
        classes = rest;
    }
    classes
}
