//! What depends on an object, as DROP … CASCADE would find it. Called by cascade and types.

use crate::pg::syscatalog::{
    DEPEND_BY_REFERENCE, DEPEND_CLASS, DEPEND_COLUMN, DEPEND_OBJECT, DEPEND_ON_COLUMN, REWRITE, REWRITE_BY_OID,
    REWRITE_RELATION,
};
use pgrx::pg_sys::{self, Oid};
use std::collections::BTreeSet;

/// A class, an object, and a column of it or 0.
pub type Address = (u32, u32, u32);

/// The relations among what depends on these objects, themselves included. A query's dependencies belong to its rule.
/// `in_rows`: what depends on a whole row depends on each of its columns, too; DROP of a column leaves that alone.
pub fn relations_with(start: Vec<Address>, in_rows: bool) -> BTreeSet<u32> {
    let relation = pg_sys::RelationRelationId.to_u32();
    let (mut seen, mut todo) = (BTreeSet::new(), start);
    while let Some((class, object, column)) = todo.pop() {
        if !seen.insert((class, object, column)) {
            continue;
        }
        let wanted = [DEPEND_CLASS, DEPEND_OBJECT, DEPEND_COLUMN, DEPEND_ON_COLUMN];
        for row in DEPEND_BY_REFERENCE.find(&[Oid::from(class), Oid::from(object)], &wanted) {
            let row: Vec<u32> = row.into_iter().map(Oid::to_u32).collect();
            if column != 0 && row[3] != column && !(in_rows && row[3] == 0) {
                continue;
            }
            todo.push((row[0], row[1], row[2]));
            if row[0] == REWRITE {
                let rules = REWRITE_BY_OID.find(&[Oid::from(row[1])], &[REWRITE_RELATION]);
                todo.extend(rules.into_iter().map(|rule| (relation, rule[0].to_u32(), 0)));
            }
        }
    }
    seen.into_iter().filter(|a| a.0 == relation && a.2 == 0).map(|a| a.1).collect()
}
