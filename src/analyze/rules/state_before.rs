//! Relations as they were before the changes, read with the state after them: for TVIEWs that follow later, when no snapshot shows the state before.
//!
//! Let K be columns of T that no two rows share and that are never NULL, in either state. Then the rows before are those of now whose K no row has that has
//! come, and the rows that have gone:
//!
//! T(before) = { t in T : t.K not in ΔT⁺.K } + ΔT⁻
//!
//! A row of now that has the K of a row that has come is that row. So nothing is compared but K, which change rows have to have. Written as a
//! UNION ALL with a mark, which the planner takes apart: a block that is computed for a few anchors looks for its rows by the indexes of T. For many anchors
//! the planner would join all of T instead, for it has no index of the rows that have gone. So there the rows of now are those only whose
//! value is among the anchors, where the query compares them for equality, in a place where rows with other values do not matter to rows of the anchors.
//! Invariant: all relations of `changed`, wherever in the query, are replaced, or the query cannot be had.
//! Called by the rules that compute now minus before (anchor.rs, common_value.rs).

use crate::analyze::describe::common_value::equal;
use crate::analyze::describe::{KeyOf, keys_of_relation};
use crate::analyze::query::conditions::conditions;
use crate::analyze::query::relations;
use crate::analyze::rules::anchor::Captured;
use crate::analyze::rules::change_rows;
use crate::pg::error::Result;
use crate::pg::relation::class_of;
use crate::pg::tree::{Node, Query, Tree, list, server, walk};
use pgrx::pg_sys;
use std::collections::{BTreeMap, BTreeSet};

/// The rows of the query that are wanted: those with certain values in columns of one item of its FROM clause.
struct Wanted<'a> {
    /// Vars of the query, and the values of each, as sub-queries.
    columns: Vec<(Node, String)>,
    /// How many queries are around those in the query.
    depths: &'a BTreeMap<usize, u32>,
}

impl Wanted<'_> {
    /// A column of the item `index` of `block`, a block of the query, and the values without which it does not matter.
    fn of(&self, block: Query, index: usize) -> Option<(i16, String)> {
        let depth = *self.depths.get(&place_of(block))?;
        let own = |node: Node| {
            let var = as_var(node)?;
            (var.varno() as usize == index && var.varlevelsup() == 0 && var.varattno() > 0).then(|| var.varattno())
        };
        let values = |node: Node| {
            let var = as_var(node)?;
            let is_it = |wanted: Node| {
                as_var(wanted).is_some_and(|w| w.varno() == var.varno() && w.varattno() == var.varattno())
            };
            let found = self.columns.iter().find(|(wanted, _)| is_it(*wanted))?;
            (var.varlevelsup() == depth).then(|| found.1.clone())
        };
        if depth == 0 {
            let itself = self.columns.iter().find_map(|(wanted, values)| Some((own(*wanted)?, values.clone())));
            if itself.is_some() {
                return itself;
            }
        }
        let mut found = Vec::new();
        decisive(block.jointree().cast(), index, &mut found);
        let all = found.into_iter().flat_map(|quals| conditions(server::flatten_join_aliases(block, quals)));
        all.filter_map(equal).find_map(|(one, other)| {
            let either = |one, other| Some((own(one)?, values(other)?));
            either(one, other).or_else(|| either(other, one))
        })
    }
}

/// The conditions without which a row of an item of FROM is not in the result, nor keeps another one from being there without a partner; whether the item
/// is below the node.
fn decisive(node: Node, index: usize, out: &mut Vec<Node>) -> bool {
    if list::is(node, pg_sys::NodeTag::T_RangeTblRef) {
        return node.cast::<pg_sys::RangeTblRef>().rtindex() as usize == index;
    }
    if list::is(node, pg_sys::NodeTag::T_FromExpr) {
        let from = node.cast::<pg_sys::FromExpr>();
        let has = list::iter::<pg_sys::Node>(from.fromlist()).any(|item| decisive(item, index, out));
        if has {
            out.push(from.quals());
        }
        return has;
    }
    if !list::is(node, pg_sys::NodeTag::T_JoinExpr) {
        return false;
    }
    let join = node.cast::<pg_sys::JoinExpr>();
    let (left, right) = (decisive(join.larg(), index, out), decisive(join.rarg(), index, out));
    let decides = match join.jointype() {
        pg_sys::JoinType::JOIN_INNER => left || right,
        pg_sys::JoinType::JOIN_LEFT => right,
        pg_sys::JoinType::JOIN_RIGHT => left,
        _ => false,
    };
    if decides {
        out.push(join.quals());
    }
    left || right
}

fn as_var(node: Node) -> Option<Tree<pg_sys::Var>> {
    list::is(node, pg_sys::NodeTag::T_Var).then(|| node.cast())
}

/// What tells one block from another.
fn place_of(block: Query) -> usize {
    block.raw() as usize
}

/// How many queries are around each block.
fn depths(query: Query) -> BTreeMap<usize, u32> {
    let mut found = BTreeMap::new();
    let mut open = vec![(query, 0)];
    while let Some((block, depth)) = open.pop() {
        found.insert(place_of(block), depth);
        open.extend(walk::below(block).into_iter().map(|below| (below, depth + 1)));
    }
    found
}

/// Puts the state before in the place of all relations of `changed`; false: some of them cannot be read so. `wanted`: columns, with the values that rows of
/// the query are wanted for; all, otherwise.
pub fn put(
    query: Query,
    changed: &BTreeSet<u32>,
    key_of: KeyOf,
    captured: Captured,
    wanted: Option<Vec<(Node, String)>>,
) -> Result<bool> {
    let depths = depths(query);
    let wanted = wanted.map(|columns| Wanted { columns, depths: &depths });
    for (block, index, relid) in places(query) {
        if !changed.contains(&relid) {
            continue;
        }
        let rte = server::rt_fetch(index, block);
        let keys = keys_of_relation(rte.relid(), rte.inh(), key_of);
        let Some(key) = keys.into_iter().find(|key| captured(relid, key)) else { return Ok(false) };
        // rows that have gone are in no table that policies could hide them in
        if relations::reads_whole_row(block, index) || class_of(rte.relid()).is_none_or(|c| c.relrowsecurity) {
            return Ok(false);
        }
        let only = wanted.as_ref().and_then(|wanted| wanted.of(block, index));
        change_rows::put_before(rte, &key, only)?;
    }
    Ok(true)
}

/// The columns that change rows have to have for that, by relation: one key of each.
pub fn keys(query: Query, key_of: KeyOf) -> BTreeMap<u32, BTreeSet<i16>> {
    let mut found: BTreeMap<u32, BTreeSet<i16>> = BTreeMap::new();
    for (block, index, relid) in places(query) {
        let rte = server::rt_fetch(index, block);
        let shortest = keys_of_relation(rte.relid(), rte.inh(), key_of).into_iter().min_by_key(Vec::len);
        found.entry(relid).or_default().extend(shortest.into_iter().flatten());
    }
    found
}

/// The relations that a query and the queries in it read: block, place in its range table, relation.
fn places(query: Query) -> Vec<(Query, usize, u32)> {
    let mut found = Vec::new();
    walk::walk(query.cast(), &mut |node| {
        if list::is(node, pg_sys::NodeTag::T_Query) {
            let block = node.cast::<pg_sys::Query>();
            for index in relations::in_from(block) {
                let rte = server::rt_fetch(index, block);
                if rte.rtekind() == pg_sys::RTEKind::RTE_RELATION {
                    found.push((block, index, rte.relid().to_u32()));
                }
            }
        }
        false
    });
    found
}
