//! Trees that the server has stored and that read a relation: those of views and other rules, of policies, and of bodies of functions.
//!
//! A tree keeps the names of the columns that a relation had, by number, with empty names for those that were dropped; the deparser takes a column whose
//! number is behind them for a new one (ruleutils.c, set_relation_column_names). State of a TVIEW passes for dropped columns, and it goes again.
//! Invariant: where a column takes the number of state, no tree has a name for that number. Called by CREATE OR REPLACE TVIEW.

use super::syscatalog::{
    Catalog, DEPEND_BY_REFERENCE, DEPEND_CLASS, DEPEND_OBJECT, POLICY, POLICY_BY_OID, POLICY_RELATION, PROCEDURE,
    PROCEDURE_BY_OID, REWRITE, REWRITE_BY_OID, REWRITE_RELATION,
};
use super::{list, walk};
use pgrx::pg_sys::{self, NodeTag, Oid};
use std::collections::BTreeSet;

/// Trees of one catalog.
struct Kind {
    by_oid: Catalog,
    /// The columns with trees.
    trees: &'static [usize],
    /// The column with the relation whose cache entry has the trees, too.
    relation: Option<i32>,
}

fn kind(catalog: u32) -> Option<Kind> {
    match catalog {
        // ev_qual, ev_action
        REWRITE => Some(Kind { by_oid: REWRITE_BY_OID, trees: &[7, 8], relation: Some(REWRITE_RELATION) }),
        // polqual, polwithcheck
        POLICY => Some(Kind { by_oid: POLICY_BY_OID, trees: &[7, 8], relation: Some(POLICY_RELATION) }),
        // prosqlbody
        PROCEDURE => Some(Kind { by_oid: PROCEDURE_BY_OID, trees: &[28], relation: None }),
        _ => None,
    }
}

/// Has all stored trees know the first so many columns of a relation only.
///
/// # Safety
/// The relation is locked as for ALTER TABLE, and the columns behind these cannot be read.
pub unsafe fn forget_columns(relid: Oid, columns: usize) {
    let class = pg_sys::RelationRelationId;
    let found = DEPEND_BY_REFERENCE.find(&[class, relid], &[DEPEND_CLASS, DEPEND_OBJECT]);
    let found: BTreeSet<(u32, u32)> = found.iter().map(|of| (of[0].to_u32(), of[1].to_u32())).collect();
    for (catalog, oid) in found {
        let Some(kind) = kind(catalog) else { continue };
        // SAFETY: the trees are copies of stored ones.
        let changed =
            unsafe { kind.by_oid.replace_trees(Oid::from(oid), kind.trees, |tree| forget_in(tree, relid, columns)) };
        if let (true, Some(relation)) = (changed, kind.relation) {
            for of in kind.by_oid.find(&[Oid::from(oid)], &[relation]) {
                // SAFETY: makes everybody read the trees again.
                unsafe { pg_sys::CacheInvalidateRelcacheByRelid(of[0]) };
            }
        }
    }
    // SAFETY: makes the trees visible.
    unsafe { pg_sys::CommandCounterIncrement() };
}

/// Whether the tree had more columns.
///
/// # Safety
/// A tree of our own.
unsafe fn forget_in(tree: *mut pg_sys::Node, relid: Oid, columns: usize) -> bool {
    let mut had = false;
    // SAFETY: as the caller promises; lists of names are cut short in place.
    unsafe {
        walk::walk(tree, &mut |node| {
            // What JSON_ARRAY of a query was made from is printed, and not walked.
            #[cfg(feature = "since_19")]
            if list::is(node, NodeTag::T_JsonConstructorExpr) {
                let written = (*node.cast::<pg_sys::JsonConstructorExpr>()).orig_query;
                had |= !written.is_null() && forget_in(written, relid, columns);
            }
            if list::is(node, NodeTag::T_Query) {
                for rte in list::iter::<pg_sys::RangeTblEntry>((*node.cast::<pg_sys::Query>()).rtable) {
                    let is_read = (*rte).rtekind == pg_sys::RTEKind::RTE_RELATION && (*rte).relid == relid;
                    if is_read && list::len((*(*rte).eref).colnames) > columns {
                        (*(*rte).eref).colnames = pg_sys::list_truncate((*(*rte).eref).colnames, columns as i32);
                        had = true;
                    }
                }
            }
            false
        });
    }
    had
}
