//! Locks in the order in which statements take them that change a table and what reads it: relations that a query names before the TVIEW.
//!
//! Invariant: who reads a TVIEW and its query waits for no table or view while it holds the TVIEW. Called by verification.

use crate::catalog;
use crate::pg::syscatalog::{DEPEND_BY_DEPENDENT, DEPEND_ON_CLASS, DEPEND_ON_OBJECT, REWRITE, RULES};
use pgrx::pg_sys;
use std::collections::BTreeSet;

/// pg_rewrite.oid.
const RULE: i32 = 1;

/// Locks TVIEWs for reading, and before them what their queries name, also through views. Nothing is done about what is gone.
pub fn hold(tviews: &[pg_sys::Oid]) {
    loop {
        let named = named(tviews);
        for relid in named.iter().copied().chain(tviews.iter().map(|t| t.to_u32())) {
            // SAFETY: an existing relation, or a lock that is for nothing.
            unsafe { pg_sys::LockRelationOid(pg_sys::Oid::from(relid), pg_sys::AccessShareLock as i32) };
        }
        if named == self::named(tviews) {
            return;
        }
    }
}

fn named(tviews: &[pg_sys::Oid]) -> BTreeSet<u32> {
    let mut seen = BTreeSet::new();
    let mut left = Vec::from(tviews);
    while let Some(relid) = left.pop() {
        for rule in RULES.find(&[relid], &[RULE]).into_iter().flatten() {
            let on =
                DEPEND_BY_DEPENDENT.find(&[pg_sys::Oid::from(REWRITE), rule], &[DEPEND_ON_CLASS, DEPEND_ON_OBJECT]);
            let relations = on.into_iter().filter(|row| row[0] == pg_sys::RelationRelationId).map(|row| row[1]);
            for relation in relations.filter(|r| !tviews.contains(r) && !catalog::stages::is_stage(*r)) {
                // SAFETY: syscache look-up; an oid without relation has no kind.
                let is_view = unsafe { pg_sys::get_rel_relkind(relation) } as u8 == pg_sys::RELKIND_VIEW;
                if seen.insert(relation.to_u32()) && is_view {
                    left.push(relation);
                }
            }
        }
    }
    seen
}
