//! Derivation of a unique key of the output.
//!
//! Rule: a set of output columns is a key when it determines (fd.rs) the row of every atom of the join (Shape::Rows),
//! or every grouping expression (Shape::Groups, Shape::Distinct). Equalities of an outer join hold for matched rows
//! only: they give "the left rows determine the right row" when they pin a whole key of the right side, and nothing
//! else. Equal values are compared with IS NOT DISTINCT FROM, so null-extended rows are covered.
//! Called by the extension's `refresh::plan::decide` and `analyze::split`.

use crate::fd::{Fd, Item, closure};
use crate::model::{Atom, Col, Description, Equality, Join, OuterKind, Shape};

/// Positions (from 0) of the output columns that form a key, smallest first; `None` when there is none.
pub fn derive(d: &Description) -> Option<Vec<usize>> {
    let fds = dependencies(d);
    let (start, goal): (Vec<usize>, Goal) = match &d.shape {
        Shape::Opaque(_) => return None,
        Shape::Partitions(columns) => return columns.iter().all(|p| d.comparable[*p]).then(|| columns.clone()),
        Shape::Rows => {
            let plain = (0..d.outputs.len()).filter(|i| d.outputs[*i].is_some() && d.comparable[*i]);
            (plain.collect(), Goal::Rows)
        }
        Shape::Groups(groups) => {
            let positions: Option<Vec<usize>> = groups.iter().copied().collect();
            let mut positions = positions?;
            positions.sort_unstable();
            positions.dedup();
            (positions.clone(), Goal::Positions(positions))
        }
        Shape::Distinct => {
            let all: Vec<usize> = (0..d.outputs.len()).collect();
            (all.clone(), Goal::Positions(all))
        }
    };
    if start.iter().any(|p| !d.comparable[*p]) || !reaches(d, &fds, &start, &goal) {
        return None;
    }
    let key = minimise(d, &fds, start, &goal);
    (!key.is_empty()).then_some(key)
}

/// The key by which the rows of the join are told apart, whatever is done to them; `None` when there is none or it can be NULL.
pub fn of_rows(d: &Description) -> Option<Vec<usize>> {
    let rows = Description { shape: Shape::Rows, ..d.clone() };
    derive(&rows).filter(|key| key.iter().all(|p| d.is_never_null(*p)))
}

/// Whether the join has one row at most: nothing has to be known to tell its rows apart.
pub fn is_single(d: &Description) -> bool {
    d.shape == Shape::Rows && reaches(d, &dependencies(d), &[], &Goal::Rows)
}

enum Goal {
    Rows,
    Positions(Vec<usize>),
}

fn items(d: &Description, positions: &[usize]) -> Vec<Item> {
    positions.iter().filter_map(|p| d.outputs[*p].map(Item::Col)).collect()
}

fn reaches(d: &Description, fds: &[Fd], positions: &[usize], goal: &Goal) -> bool {
    let known = closure(items(d, positions), fds);
    match goal {
        Goal::Rows => (0..d.atoms.len()).all(|a| known.has(Item::Row(a))),
        Goal::Positions(wanted) => {
            wanted.iter().all(|w| positions.contains(w) || d.outputs[*w].is_some_and(|c| known.has(Item::Col(c))))
        }
    }
}

/// Drops columns as long as the rest is still a key; columns outside unique keys go first, then the rightmost.
fn minimise(d: &Description, fds: &[Fd], start: Vec<usize>, goal: &Goal) -> Vec<usize> {
    let in_key = |p: usize| d.outputs[p].is_some_and(|c| d.atoms[c.atom].keys.iter().any(|k| k.contains(&c.att)));
    let mut order = start.clone();
    order.sort_by_key(|p| (in_key(*p), std::cmp::Reverse(*p)));
    let mut key = start;
    for p in order {
        let without: Vec<usize> = key.iter().copied().filter(|x| *x != p).collect();
        if reaches(d, fds, &without, goal) {
            key = without;
        }
    }
    key
}

fn dependencies(d: &Description) -> Vec<Fd> {
    let mut fds = Vec::new();
    for (a, atom) in d.atoms.iter().enumerate() {
        fds.extend(of_keys(a, atom, true));
    }
    let (mut joined, constants) = of_join(&d.join, &d.atoms, &fds);
    fds.append(&mut joined);
    fds.extend(constants);
    fds
}

/// The dependencies that the keys of an atom give. `lasting`: only dependencies that hold also when the atom can be null-extended. A key
/// that is never NULL in the atom's own rows tells a null-extended row from all others; other keys, and keys of rows that depend on other
/// atoms, do not.
fn of_keys(a: usize, atom: &Atom, lasting: bool) -> Vec<Fd> {
    let lasts = |key: &Vec<i16>| {
        !key.is_empty() && atom.depends.is_empty() && key.iter().all(|att| atom.not_null.contains(att))
    };
    let fd = |key: &Vec<i16>| {
        let columns = key.iter().map(|att| Item::Col(Col { atom: a, att: *att }));
        Fd { from: columns.chain(atom.depends.iter().map(|d| Item::Row(*d))).collect(), to: vec![Item::Row(a)] }
    };
    atom.keys.iter().filter(|k| lasts(k) == lasting).map(fd).collect()
}

/// Dependencies that a join adds: (always valid, valid only where no null-extension is above).
fn of_join(join: &Join, atoms: &[Atom], keys: &[Fd]) -> (Vec<Fd>, Vec<Fd>) {
    match join {
        Join::Atom(a) => (Vec::new(), of_keys(*a, &atoms[*a], false)),
        Join::Inner(items, equalities) => {
            let (mut fds, mut constants) = (Vec::new(), Vec::new());
            for item in items {
                let (f, c) = of_join(item, atoms, keys);
                fds.extend(f);
                constants.extend(c);
            }
            let (f, c) = of_equalities(equalities);
            fds.extend(f);
            constants.extend(c);
            (fds, constants)
        }
        Join::Outer(kind, left, right, equalities) => {
            let (mut fds, left_constants) = of_join(left, atoms, keys);
            let (right_fds, right_constants) = of_join(right, atoms, keys);
            fds.extend(right_fds.iter().cloned());
            if *kind == OuterKind::Full {
                return (fds, Vec::new());
            }
            let (matched, pinned) = of_equalities(equalities);
            let inside: Vec<Fd> = [keys, &fds, &right_fds, &right_constants, &matched, &pinned].concat();
            let left_rows: Vec<Item> = left.atoms().into_iter().map(Item::Row).collect();
            let right_rows: Vec<Item> = right.atoms().into_iter().map(Item::Row).collect();
            let known = closure(left_rows.iter().copied(), &inside);
            if right_rows.iter().all(|r| known.has(*r)) {
                fds.push(Fd { from: left_rows, to: right_rows });
            }
            (fds, left_constants)
        }
    }
}

fn of_equalities(equalities: &[Equality]) -> (Vec<Fd>, Vec<Fd>) {
    let (mut fds, mut constants) = (Vec::new(), Vec::new());
    for (a, b) in equalities {
        match b {
            Some(b) => {
                fds.push(Fd { from: vec![Item::Col(*a)], to: vec![Item::Col(*b)] });
                fds.push(Fd { from: vec![Item::Col(*b)], to: vec![Item::Col(*a)] });
            }
            None => constants.push(Fd { from: Vec::new(), to: vec![Item::Col(*a)] }),
        }
    }
    (fds, constants)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiny::{Joined, Row, Table, query, table};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn col(atom: usize, att: i16) -> Col {
        Col { atom, att }
    }

    /// Two atoms, attribute 1 is the primary key of each.
    fn describe(join: Join, shape: Shape, outputs: &[Option<Col>]) -> Description {
        let atom = Atom { keys: vec![vec![1]], not_null: vec![1], ..Atom::default() };
        Description {
            atoms: vec![atom.clone(), atom],
            join,
            shape,
            outputs: outputs.to_vec(),
            comparable: vec![true; outputs.len()],
        }
    }

    fn inner(equalities: Vec<Equality>) -> Join {
        Join::Inner(vec![Join::Atom(0), Join::Atom(1)], equalities)
    }

    fn left(equalities: Vec<Equality>) -> Join {
        Join::Outer(OuterKind::Left, Box::new(Join::Atom(0)), Box::new(Join::Atom(1)), equalities)
    }

    #[test]
    fn one_row_by_a_constant() {
        let pinned = |join| describe(join, Shape::Rows, &[]);
        let both = vec![(col(0, 1), None), (col(1, 1), None)];
        assert!(is_single(&pinned(inner(both.clone()))));
        assert!(is_single(&pinned(inner(vec![(col(0, 1), None), (col(0, 2), Some(col(1, 1)))]))));
        assert!(!is_single(&pinned(inner(both[..1].to_vec()))));
        assert!(!is_single(&pinned(inner(vec![(col(0, 2), None), (col(1, 2), None)]))));
        // What pins the right side does not pin the left one.
        assert!(!is_single(&pinned(left(both.clone()))));
        assert!(!is_single(&Description { shape: Shape::Opaque(crate::reason::Reason::Limit), ..pinned(inner(both)) }));
    }

    #[test]
    fn foreign_key_join_needs_only_the_child_key() {
        let d = describe(
            inner(vec![(col(0, 2), Some(col(1, 1)))]),
            Shape::Rows,
            &[Some(col(0, 1)), Some(col(1, 2)), Some(col(1, 1))],
        );
        assert_eq!(derive(&d), Some(vec![0]));
    }

    #[test]
    fn one_to_many_left_join_needs_both() {
        let outputs = [Some(col(0, 1)), Some(col(1, 1))];
        let d = describe(left(vec![(col(1, 2), Some(col(0, 1)))]), Shape::Rows, &outputs);
        assert_eq!(derive(&d), Some(vec![0, 1]));
        let d = describe(left(vec![(col(1, 1), Some(col(0, 2)))]), Shape::Rows, &outputs);
        assert_eq!(derive(&d), Some(vec![0]));
    }

    #[test]
    fn an_equality_of_an_outer_join_does_not_leak() {
        // l LEFT JOIN r ON l.c2 = r.c1 with only r's key and l.c2 in the output: l is not determined
        let d = describe(left(vec![(col(0, 2), Some(col(1, 1)))]), Shape::Rows, &[Some(col(0, 2)), Some(col(1, 1))]);
        assert_eq!(derive(&d), None);
    }

    #[test]
    fn full_join_and_cross_join_need_both_keys() {
        let outputs = [Some(col(0, 1)), Some(col(1, 1))];
        let full = Join::Outer(
            OuterKind::Full,
            Box::new(Join::Atom(0)),
            Box::new(Join::Atom(1)),
            vec![(col(0, 1), Some(col(1, 1)))],
        );
        assert_eq!(derive(&describe(full, Shape::Rows, &outputs)), Some(vec![0, 1]));
        assert_eq!(derive(&describe(inner(vec![]), Shape::Rows, &outputs[..1])), None);
    }

    #[test]
    fn groups() {
        let join = || inner(vec![(col(0, 2), Some(col(1, 1)))]);
        let outputs = [Some(col(1, 1)), Some(col(1, 2)), None];
        let d = describe(join(), Shape::Groups(vec![Some(0), Some(1)]), &outputs);
        assert_eq!(derive(&d), Some(vec![0]), "the name follows from the key");
        let d = describe(join(), Shape::Groups(vec![Some(0), None]), &outputs);
        assert_eq!(derive(&d), None, "a grouping expression is not in the output");
        let d = describe(join(), Shape::Groups(vec![]), &outputs);
        assert_eq!(derive(&d), None, "one row, no key");
    }

    #[test]
    fn constant_pins_a_column_but_not_under_an_outer_join() {
        let d = describe(inner(vec![(col(1, 1), None)]), Shape::Rows, &[Some(col(0, 1))]);
        assert_eq!(derive(&d), Some(vec![0]));
        let d = describe(left(vec![(col(1, 1), None)]), Shape::Rows, &[Some(col(0, 1))]);
        assert_eq!(derive(&d), Some(vec![0]), "left row determines the one match");
    }

    const KEYS: &[&[i16]] = &[&[], &[1], &[2], &[1, 2]];

    /// A relation with these keys and never-null columns, and the given rows that may be in it.
    fn keyed(keys: BTreeSet<usize>, not_null: BTreeSet<i16>, rows: Table) -> (Atom, Table) {
        let keys: Vec<Vec<i16>> = keys.into_iter().map(|k| KEYS[k].to_vec()).collect();
        let mut kept = Table::new();
        let same = |a: &Row, b: &Row, key: &[i16]| key.iter().all(|att| a[*att as usize - 1] == b[*att as usize - 1]);
        for row in rows {
            let complete = not_null.iter().all(|att| row[*att as usize - 1] != 0);
            if complete && kept.iter().all(|other| keys.iter().all(|key| !same(&row, other, key))) {
                kept.push(row);
            }
        }
        (Atom { keys, not_null: not_null.into_iter().collect(), ..Atom::default() }, kept)
    }

    fn relation() -> impl Strategy<Value = (Atom, Table)> {
        let some = |n: usize| proptest::collection::btree_set(0..n, 0..2);
        let not_null = proptest::collection::btree_set(1..3i16, 0..2);
        (some(KEYS.len()), not_null, table()).prop_map(|(keys, not_null, rows)| keyed(keys, not_null, rows))
    }

    /// Some columns of a row, NULLs being equal.
    fn values(row: &Joined, columns: impl Iterator<Item = Col>) -> Vec<u8> {
        columns.map(|c| row[c.atom].map_or(0, |r| r[c.att as usize - 1])).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 6000, ..ProptestConfig::default() })]
        /// Rows with equal keys are one row; groups with equal keys are one group.
        #[test]
        fn a_key_tells_rows_apart(
            (query, relations, outputs) in (1..4usize).prop_flat_map(|n| (
                query(n), proptest::collection::vec(relation(), n), proptest::collection::vec((0..n, 1..3i16), 1..5)
            )),
            by in proptest::collection::btree_set(0..5usize, 1..3),
        ) {
            let (atoms, tables): (Vec<Atom>, Vec<Table>) = relations.into_iter().unzip();
            let outputs: Vec<Col> = outputs.into_iter().map(|(atom, att)| Col { atom, att }).collect();
            let rows = query.rows(&tables, None);
            let known = |shape| Description {
                atoms: atoms.clone(),
                join: query.join(),
                shape,
                outputs: outputs.iter().copied().map(Some).collect(),
                comparable: vec![true; outputs.len()],
            };
            let of = |row: &Joined, positions: &[usize]| values(row, positions.iter().map(|p| outputs[*p]));
            if let Some(key) = derive(&known(Shape::Rows)) {
                let all: BTreeSet<_> = rows.iter().map(|row| of(row, &key)).collect();
                prop_assert_eq!(all.len(), rows.len(), "{:?} of {:?}", key, query);
            }
            let by: Vec<usize> = by.into_iter().filter(|p| *p < outputs.len()).collect();
            let whole: Vec<usize> = (0..outputs.len()).collect();
            let groups = Shape::Groups(by.iter().copied().map(Some).collect());
            for (shape, by) in [(groups, &by), (Shape::Distinct, &whole)] {
                let Some(key) = derive(&known(shape)) else { continue };
                prop_assert!(key.iter().all(|p| by.contains(p)));
                let all: BTreeSet<_> = rows.iter().map(|row| of(row, by)).collect();
                let keys: BTreeSet<_> = rows.iter().map(|row| of(row, &key)).collect();
                prop_assert_eq!(all.len(), keys.len(), "{:?} of {:?}", key, query);
            }
            let never_null = |p: &usize| known(Shape::Rows).is_never_null(*p);
            for p in whole.iter().filter(|p| never_null(p)) {
                prop_assert!(rows.iter().all(|row| of(row, &[*p]) != [0]));
            }
        }
    }
}
