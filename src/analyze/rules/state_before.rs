//! Relations as they were before the changes, read with the state after them: for TVIEWs that follow later, when no snapshot shows the state before.
//!
//! Let K be columns of T that no two rows share and that are never NULL, in either state. Then the rows before are those of now whose K no row has that has
//! come, and the rows that have gone:
//!
//! T(before) = { t in T : t.K not in ΔT⁺.K } + ΔT⁻
//!
//! A row of now that has the K of a row that has come is that row. So nothing is compared but K, which change rows have to have. Written as a
//! UNION ALL with a mark, which the planner takes apart: a block that is computed for some anchors looks for its rows by the indexes of T.
//! Invariant: all relations of `changed`, wherever in the query, are replaced, or the query cannot be had.
//! Called by the rules that compute now minus before (anchor.rs, common_value.rs).

use crate::analyze::describe::{KeyOf, keys_of_relation};
use crate::analyze::query::relations;
use crate::analyze::rules::anchor::Captured;
use crate::analyze::rules::change_rows;
use crate::pg::error::Result;
use crate::pg::tree::{Query, list, server, walk};
use pgrx::pg_sys;
use std::collections::{BTreeMap, BTreeSet};

/// Puts the state before in the place of all relations of `changed`; false: some of them cannot be read so.
pub fn put(query: Query, changed: &BTreeSet<u32>, key_of: KeyOf, captured: Captured) -> Result<bool> {
    for (block, index, relid) in places(query) {
        if !changed.contains(&relid) {
            continue;
        }
        let rte = server::rt_fetch(index, block);
        let keys = keys_of_relation(rte.relid(), rte.inh(), key_of);
        let Some(key) = keys.into_iter().find(|key| captured(relid, key)) else { return Ok(false) };
        if relations::reads_whole_row(block, index) {
            return Ok(false);
        }
        change_rows::put_before(rte, &key)?;
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
