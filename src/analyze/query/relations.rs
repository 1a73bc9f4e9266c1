//! Which relations a query reads, how often, and which of their columns.
//!
//! Columns come from the permission bits that the parser itself keeps (selectedCols), so everything that is looked at
//! anywhere is in. Invariant: `expand`ed queries only; range table entries that no FROM clause uses (15's OLD and NEW)
//! are not counted.

use crate::pg::relation::TABLEOID;
#[cfg(feature = "since_18")]
use crate::pg::tree::lsyscache;
use crate::pg::tree::{Node, Query, RangeTblEntry, list, server, walk};
use pgrx::pg_sys;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default, Clone)]
pub struct Use {
    /// A virtual generated column is read.
    pub computed: bool,
    /// In how many places of FROM clauses the relation stands.
    pub times: usize,
    /// Attribute numbers; 0 is the whole row, negative ones are system columns.
    pub columns: BTreeSet<i16>,
    /// Whether one of the uses sees inheritance children.
    pub with_children: bool,
    /// Whether one of the uses is FROM ONLY.
    pub only: bool,
}

impl Use {
    /// The columns that `tviews.source` keeps: columns, and whether it matters which table of an inheritance tree a row is in.
    pub fn captured_columns(&self) -> Vec<i16> {
        let mut columns: BTreeSet<i16> = self.columns.iter().copied().filter(|c| *c >= 0 || *c == TABLEOID).collect();
        if self.only {
            columns.insert(TABLEOID);
        }
        columns.into_iter().collect()
    }
}

/// Plain relations (every relkind but views) by oid.
pub fn of(query: Query) -> BTreeMap<u32, Use> {
    let mut found: BTreeMap<u32, Use> = BTreeMap::new();
    walk::walk(query.cast(), &mut |node| {
        if node.tag() == pg_sys::NodeTag::T_Query {
            let q = node.cast::<pg_sys::Query>();
            for index in in_from(q) {
                let rte = server::rt_fetch(index, q);
                if rte.rtekind() == pg_sys::RTEKind::RTE_RELATION {
                    let entry = found.entry(rte.relid().to_u32()).or_default();
                    entry.times += 1;
                    entry.with_children |= rte.inh();
                    entry.only |= !rte.inh();
                    // Policies look at columns that the query itself does not read.
                    walk::walk(rte.securityQuals().cast(), &mut |n| {
                        if list::is(n, pg_sys::NodeTag::T_Var) && n.cast::<pg_sys::Var>().varno() as usize == index {
                            entry.columns.insert(n.cast::<pg_sys::Var>().varattno());
                        }
                        false
                    });
                    let columns = columns(q, rte);
                    if columns.iter().any(|c| is_virtual(rte.relid(), *c)) {
                        entry.computed = true;
                        entry.columns.extend(columns.iter().flat_map(|c| computed_from(rte.relid(), *c)));
                    }
                    entry.columns.extend(columns);
                }
            }
        }
        false
    });
    found
}

/// Whether a column, or, for the whole row, any column, is computed when it is read: change rows do not have it.
#[cfg(feature = "since_18")]
fn is_virtual(relid: pg_sys::Oid, column: i16) -> bool {
    let generated = |c: i16| lsyscache::get_attgenerated(relid, c) == b'v';
    if column > 0 {
        return generated(column);
    }
    let Some(rel) = crate::pg::relation::Relation::open(relid, pg_sys::AccessShareLock) else { return false };
    column == 0 && (0..rel.natts()).any(|i| !rel.attribute(i).attisdropped && generated(i as i16 + 1))
}

/// Before 18 all columns are stored.
#[cfg(not(feature = "since_18"))]
fn is_virtual(_relid: pg_sys::Oid, _column: i16) -> bool {
    false
}

/// The columns that a virtual generated column is computed from.
#[cfg(feature = "since_18")]
fn computed_from(relid: pg_sys::Oid, column: i16) -> Vec<i16> {
    let mut found = Vec::new();
    if column > 0
        && is_virtual(relid, column)
        && let Some(rel) = crate::pg::relation::Relation::open(relid, pg_sys::AccessShareLock)
    {
        walk::walk(lsyscache::build_generation_expression(&rel, column), &mut |n| {
            if list::is(n, pg_sys::NodeTag::T_Var) {
                found.push(n.cast::<pg_sys::Var>().varattno());
            }
            false
        });
    }
    found
}

#[cfg(not(feature = "since_18"))]
fn computed_from(_relid: pg_sys::Oid, _column: i16) -> Vec<i16> {
    Vec::new()
}

/// The columns of an entry of the range table that a query reads.
pub fn columns(query: Query, rte: RangeTblEntry) -> Vec<i16> {
    server::selected_columns(query, rte)
}

/// Whether a query may read whole rows, or system columns, of an item of its FROM clause. Vars in sub-queries, at their own
/// level, may be meant or not.
pub fn reads_whole_row(query: Query, index: usize) -> bool {
    walk::walk(query.cast(), &mut |n| {
        list::is(n, pg_sys::NodeTag::T_Var)
            && n.cast::<pg_sys::Var>().varno() as usize == index
            && n.cast::<pg_sys::Var>().varattno() <= 0
    })
}

/// Range table indexes (from 1) that the FROM clause of one query block uses, in order.
pub fn in_from(query: Query) -> Vec<usize> {
    let mut out = Vec::new();
    collect(query.jointree().cast(), &mut out);
    out
}

/// Range table indexes below one item of a FROM clause.
pub fn collect(node: Node, out: &mut Vec<usize>) {
    if list::is(node, pg_sys::NodeTag::T_FromExpr) {
        for item in list::iter::<pg_sys::Node>(node.cast::<pg_sys::FromExpr>().fromlist()) {
            collect(item, out);
        }
    } else if list::is(node, pg_sys::NodeTag::T_JoinExpr) {
        let join = node.cast::<pg_sys::JoinExpr>();
        collect(join.larg(), out);
        collect(join.rarg(), out);
    } else if list::is(node, pg_sys::NodeTag::T_RangeTblRef) {
        out.push(node.cast::<pg_sys::RangeTblRef>().rtindex() as usize);
    }
}

/// Every relation that must not change unnoticed for cached SQL text to stay right: tables and views alike.
pub fn named(query: Query) -> BTreeSet<u32> {
    let mut out = BTreeSet::new();
    let expanded = query.copy();
    walk::walk(expanded.cast(), &mut |node| {
        if node.tag() == pg_sys::NodeTag::T_Query {
            for rte in list::iter::<pg_sys::RangeTblEntry>(node.cast::<pg_sys::Query>().rtable()) {
                if rte.relid() != pg_sys::InvalidOid {
                    out.insert(rte.relid().to_u32());
                }
            }
        }
        false
    });
    out
}
