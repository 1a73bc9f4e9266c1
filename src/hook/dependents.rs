//! The dependents of an object: relations that DROP … CASCADE would drop with it, and TVIEWs whose meaning changes with it; and what an object depends on.
//!
//! A query's dependencies belong to its rule, dependencies of a generated column to its default, of a policy to its table. Called by cascade,
//! functions and types.

use crate::pg::syscatalog::{
    DEFAULT, DEFAULT_BY_OID, DEFAULT_COLUMN, DEFAULT_RELATION, DEPEND_BY_DEPENDENT, DEPEND_BY_REFERENCE, DEPEND_CLASS,
    DEPEND_COLUMN, DEPEND_OBJECT, DEPEND_ON_CLASS, DEPEND_ON_COLUMN, DEPEND_ON_OBJECT, POLICY, POLICY_BY_OID,
    POLICY_RELATION, REWRITE, REWRITE_BY_OID, REWRITE_RELATION,
};
use crate::tam;
use pgrx::pg_sys::{self, Oid};
use std::collections::BTreeSet;

/// A class, an object, and a column of it or 0.
pub type Address = (u32, u32, u32);

/// The relations that are dropped together with these objects, themselves included.
pub fn dropped_with(start: Vec<Address>) -> BTreeSet<u32> {
    relations(follow(start, false)).collect()
}

/// The TVIEWs, stages included, that look at these objects, through columns, views, operators, functions with recorded dependencies, and
/// types; not TVIEWs that only read other TVIEWs.
pub fn tviews_over(start: Vec<Address>) -> Vec<Oid> {
    relations(follow(start, true)).map(Oid::from).filter(is_tview).collect()
}

/// The objects that this one depends on, directly and through others, and itself, as class and number.
pub fn depends_on(class: Oid, object: Oid) -> BTreeSet<(u32, u32)> {
    let (mut seen, mut todo) = (BTreeSet::new(), vec![(class, object)]);
    while let Some((class, object)) = todo.pop() {
        if seen.insert((class.to_u32(), object.to_u32())) {
            let rows = DEPEND_BY_DEPENDENT.find(&[class, object], &[DEPEND_ON_CLASS, DEPEND_ON_OBJECT]);
            todo.extend(rows.into_iter().map(|row| (row[0], row[1])));
        }
    }
    seen
}

fn relations(all: BTreeSet<Address>) -> impl Iterator<Item = u32> {
    let relation = pg_sys::RelationRelationId.to_u32();
    all.into_iter().filter(move |a| a.0 == relation && a.2 == 0).map(|a| a.1)
}

fn is_tview(relid: &Oid) -> bool {
    tam::is_tview(*relid)
}

/// `meaning`: a query that looks at a whole row looks at each of its columns, and a query that reads a generated column looks at the columns
/// that it is computed from; a TVIEW hands on its changes by itself.
fn follow(start: Vec<Address>, meaning: bool) -> BTreeSet<Address> {
    let relation = pg_sys::RelationRelationId.to_u32();
    let (mut seen, mut todo) = (BTreeSet::new(), start);
    while let Some((class, object, column)) = todo.pop() {
        if !seen.insert((class, object, column)) || meaning && class == relation && is_tview(&Oid::from(object)) {
            continue;
        }
        let wanted = [DEPEND_CLASS, DEPEND_OBJECT, DEPEND_COLUMN, DEPEND_ON_COLUMN];
        for row in DEPEND_BY_REFERENCE.find(&[Oid::from(class), Oid::from(object)], &wanted) {
            let row: Vec<u32> = row.into_iter().map(Oid::to_u32).collect();
            if column != 0 && row[3] != column && !(meaning && row[3] == 0) {
                continue;
            }
            todo.push((row[0], row[1], row[2]));
            if row[0] == REWRITE {
                let rules = REWRITE_BY_OID.find(&[Oid::from(row[1])], &[REWRITE_RELATION]);
                todo.extend(rules.into_iter().map(|rule| (relation, rule[0].to_u32(), 0)));
            } else if row[0] == POLICY && meaning {
                let tables = POLICY_BY_OID.find(&[Oid::from(row[1])], &[POLICY_RELATION]);
                todo.extend(tables.into_iter().map(|table| (relation, table[0].to_u32(), 0)));
            } else if row[0] == DEFAULT && meaning {
                let columns = DEFAULT_BY_OID.find(&[Oid::from(row[1])], &[DEFAULT_RELATION, DEFAULT_COLUMN]);
                todo.extend(columns.into_iter().map(|c| (relation, c[0].to_u32(), c[1].to_u32())));
            }
        }
    }
    seen
}
