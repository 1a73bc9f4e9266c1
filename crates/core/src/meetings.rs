//! By which columns the rows of two relations meet, so that writers of the two need not wait for each other unless they meet.
//!
//! Let Q be the rows of a join tree, A and B two of its atoms, each read once, and x, y columns of theirs. We say that A and B meet by x = y when
//! changes of A and changes of B whose values of x and y, old and new, are disjoint add up:
//! Q(A + a, B + b) − Q(A + a, B) − Q(A, B + b) + Q(A, B) = 0.
//! Then each writer's rows are the same with and without the other's.
//!
//! A and B meet so where the lowest join J of both has p = q among its conditions, p being known to equal x and q to equal y below J, and where J
//! is on no nullable side of a join above it. J decomposes by the value of p: J(L, R) is the sum of J(L|p=v, R|q=v) over all v, and of the
//! rows with NULL, which find no partner. A change of A with value v concerns rows of L with p = v or p NULL only: rows in which A is a part have
//! p = x = v, and rows from which A is missing and which come or go have lost or found a partner with that value. Above J all joins are linear in J.
//! On a nullable side they are not: a row of the other side is null-extended when its partners go, whichever of the two changes takes them.
//!
//! A class is a set of columns known to be equal by the conditions of the joins below. An inner join unites the classes of its sides. An outer join
//! takes classes of its nullable side into classes of the preserved side, each into one only: where the nullable side is missing, two columns of
//! the preserved side need not be equal. A FULL join unites the classes of its sides one to one.
//!
//! A sub-query counts as the nullable side of a left join to the block around it, whatever it computes, when the condition restricts its rows
//! first: a function of the rows with q = v has one value for each v. Called by the extension's `analyze::rules::join_values`.

use crate::model::{Col, Equality, Join, OuterKind};
use std::collections::{BTreeMap, BTreeSet};

type Class = BTreeSet<Col>;

/// Pairs of atoms, the lower first, and the columns that they meet by. Other pairs are not known to meet by any columns.
pub type Meetings = BTreeMap<(usize, usize), Vec<(Col, Col)>>;

/// Finds the columns by which the atoms of a join tree meet, each of which is read once; constants among the equalities are left out.
pub fn meetings(join: &Join) -> Meetings {
    let mut found = Meetings::new();
    classes(join, false, &mut found);
    found
}

/// The classes of a join; `nullable`: a join above can null-extend it.
fn classes(join: &Join, nullable: bool, found: &mut Meetings) -> Vec<Class> {
    match join {
        Join::Atom(_) => Vec::new(),
        Join::Inner(..) => {
            let (mut items, mut equal) = (Vec::new(), Vec::new());
            flatten(join, &mut items, &mut equal);
            let mut all: Vec<Class> = items.iter().flat_map(|item| classes(item, nullable, found)).collect();
            for (a, b) in between(&equal) {
                unite(&mut all, a, b);
            }
            if !nullable {
                for (i, left) in items.iter().enumerate() {
                    for right in &items[i + 1..] {
                        record(&all, left, right, found);
                    }
                }
            }
            all
        }
        Join::Outer(kind, left, right, equal) => {
            let full = *kind == OuterKind::Full;
            let mut all = classes(left, nullable || full, found);
            let mut others = classes(right, true, found);
            let (on_left, on_right) = (left.atoms(), right.atoms());
            let mut taken = BTreeSet::new();
            let mut into: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
            for (a, b) in between(equal) {
                let (p, q) = if on_left.contains(&a.atom) { (a, b) } else { (b, a) };
                if !on_left.contains(&p.atom) || !on_right.contains(&q.atom) {
                    continue;
                }
                let (p, q) = (class_of(&mut all, p), class_of(&mut others, q));
                if !(full && into.contains_key(&p)) && taken.insert(q) {
                    into.entry(p).or_default().push(q);
                }
            }
            for (p, others_in) in into {
                for q in others_in {
                    all[p].extend(others[q].iter().copied());
                }
            }
            all.extend(others.into_iter().enumerate().filter(|(q, _)| !taken.contains(q)).map(|(_, class)| class));
            if !nullable {
                record(&all, left, right, found);
            }
            all
        }
    }
}

/// Nested inner joins are one.
fn flatten<'a>(join: &'a Join, items: &mut Vec<&'a Join>, equal: &mut Vec<Equality>) {
    if let Join::Inner(below, equalities) = join {
        equal.extend(equalities);
        below.iter().for_each(|item| flatten(item, items, equal));
    } else {
        items.push(join);
    }
}

fn between(equal: &[Equality]) -> impl Iterator<Item = (Col, Col)> + '_ {
    equal.iter().filter_map(|(a, b)| Some((*a, (*b)?)))
}

/// The number of the class that a column is in; a column without a class gets one of its own.
fn class_of(classes: &mut Vec<Class>, col: Col) -> usize {
    if let Some(known) = classes.iter().position(|c| c.contains(&col)) {
        return known;
    }
    classes.push(Class::from([col]));
    classes.len() - 1
}

fn unite(classes: &mut Vec<Class>, a: Col, b: Col) {
    let (p, q) = (class_of(classes, a), class_of(classes, b));
    if p != q {
        let gone = classes.remove(p.max(q));
        classes[p.min(q)].extend(gone);
    }
}

/// The columns by which atoms on two sides of a join meet, in an order that depends on these columns only.
fn record(classes: &[Class], left: &Join, right: &Join, found: &mut Meetings) {
    for a in left.atoms() {
        for b in right.atoms() {
            let (low, high) = (a.min(b), a.max(b));
            let of = |class: &Class, atom: usize| class.iter().find(|c| c.atom == atom).copied();
            let mut equal: Vec<_> = classes.iter().filter_map(|c| Some((of(c, low)?, of(c, high)?))).collect();
            equal.sort_unstable();
            if !equal.is_empty() {
                found.insert((low, high), equal);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COLUMNS: i16 = 2;
    /// A row of a table; 0 is NULL.
    type Row = [u8; COLUMNS as usize];
    type Tables = Vec<Vec<Row>>;
    /// One part for each atom; none where it is null-extended. Behind the parts, the values that sub-queries compute, by their first atom.
    type Joined = Vec<Option<Row>>;

    fn value(row: &Joined, col: Col) -> u8 {
        row[col.atom].map_or(0, |r| r[col.att as usize - 1])
    }

    /// The equalities, and a condition that is no equality: it depends on all values that are there.
    fn passes(row: &Joined, equal: &[Equality], salt: u64) -> bool {
        let holds = |(a, b): (Col, Col)| value(row, a) != 0 && value(row, a) == value(row, b);
        let mix = row.iter().flatten().flatten().fold(salt, |h, v| (h ^ u64::from(*v)).wrapping_mul(0x100_0000_01b3));
        between(equal).all(holds) && (salt.is_multiple_of(3) || mix % 4 != 1)
    }

    fn product(left: &[Joined], right: &[Joined]) -> impl Iterator<Item = (usize, usize, Joined)> {
        let both: Vec<_> = (0..left.len()).flat_map(|l| (0..right.len()).map(move |r| (l, r))).collect();
        let merged: Vec<_> = both
            .into_iter()
            .map(|(l, r)| (l, r, left[l].iter().zip(&right[r]).map(|(a, b)| a.or(*b)).collect()))
            .collect();
        merged.into_iter()
    }

    /// The rows of a join tree, by its definition.
    fn rows(join: &Join, tables: &Tables, salt: u64) -> Vec<Joined> {
        let nothing = vec![None; 2 * tables.len()];
        match join {
            Join::Atom(a) => tables[*a]
                .iter()
                .map(|row| {
                    let mut all = nothing.clone();
                    all[*a] = Some(*row);
                    all
                })
                .collect(),
            Join::Inner(items, equal) => {
                let all = items.iter().zip(1..).map(|(item, n)| rows(item, tables, salt / (2 * n)));
                let all = all.reduce(|l, r| product(&l, &r).map(|(_, _, row)| row).collect()).unwrap_or_default();
                all.into_iter().filter(|row| passes(row, equal, salt)).collect()
            }
            Join::Outer(kind, left, right, equal) => {
                let on_right = right.atoms();
                let (left, right) = (rows(left, tables, salt / 3), rows(right, tables, salt / 5));
                let matched: Vec<_> = product(&left, &right).filter(|(_, _, row)| passes(row, equal, salt)).collect();
                if is_computed(join, salt) {
                    // The rows of the sub-query become one value: their number.
                    let number = |l: usize| matched.iter().filter(|m| m.0 == l).count() as u8;
                    let first = tables.len() + on_right[0];
                    let with = |l: usize| {
                        let mut row = left[l].clone();
                        row[first] = Some([number(l), 0]);
                        row
                    };
                    return (0..left.len()).map(with).collect();
                }
                let alone_l = (0..left.len()).filter(|l| matched.iter().all(|m| m.0 != *l)).map(|l| left[l].clone());
                let alone_r = (0..right.len())
                    .filter(|r| *kind == OuterKind::Full && matched.iter().all(|m| m.1 != *r))
                    .map(|r| right[r].clone());
                matched.iter().map(|m| m.2.clone()).chain(alone_l).chain(alone_r).collect()
            }
        }
    }

    /// Some left joins are sub-queries: each row of the left side with the number of its partners.
    fn is_computed(join: &Join, salt: u64) -> bool {
        matches!(join, Join::Outer(OuterKind::Left, ..)) && (salt >> 7) % 4 == 1
    }

    fn col(atom: usize) -> impl Strategy<Value = Col> {
        (1..=COLUMNS).prop_map(move |att| Col { atom, att })
    }

    /// Trees over the atoms `first .. first + n`.
    fn tree(first: usize, n: usize) -> BoxedStrategy<Join> {
        if n == 1 {
            return Just(Join::Atom(first)).boxed();
        }
        let split = (1..n).prop_flat_map(move |k| (tree(first, k), tree(first + k, n - k)));
        let any = move || (first..first + n).prop_flat_map(col);
        let equal = proptest::collection::vec((any(), any()).prop_map(|(a, b)| (a, Some(b))), 1..3);
        (split, equal, 0..4)
            .prop_map(|((l, r), equal, kind)| match kind {
                0 => Join::Inner(vec![l, r], equal),
                1 => Join::Outer(OuterKind::Full, Box::new(l), Box::new(r), equal),
                2 => Join::Outer(OuterKind::Left, Box::new(r), Box::new(l), equal),
                _ => Join::Outer(OuterKind::Left, Box::new(l), Box::new(r), equal),
            })
            .boxed()
    }

    fn table() -> impl Strategy<Value = Vec<Row>> {
        proptest::collection::vec(row(), 0..3)
    }

    fn row() -> impl Strategy<Value = Row> {
        [0..4u8, 0..4u8]
    }

    fn counted(join: &Join, tables: &Tables, salt: u64, sign: i32, sums: &mut BTreeMap<Joined, i32>) {
        for row in rows(join, tables, salt) {
            *sums.entry(row).or_default() += sign;
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 6000, ..ProptestConfig::default() })]
        #[test]
        fn changes_that_do_not_meet_add_up(
            (n, join, tables) in (2..5usize).prop_flat_map(|n| (Just(n), tree(0, n), proptest::collection::vec(table(), n))),
            news in proptest::collection::vec(row(), 4),
            salt in any::<u64>(),
        ) {
            let met = meetings(&join);
            for a in 0..n {
                for b in a + 1..n {
                    let Some(equal) = met.get(&(a, b)) else { continue };
                    let at = |row: &Row, col: Col| row[col.att as usize - 1];
                    if equal.iter().all(|(x, y)| at(&news[a], *x) != 0 && at(&news[a], *x) == at(&news[b], *y)) {
                        continue;
                    }
                    let mut sums = BTreeMap::new();
                    for (with_a, with_b) in [(false, false), (true, false), (false, true), (true, true)] {
                        let mut changed = tables.clone();
                        changed[a].extend(with_a.then_some(news[a]));
                        changed[b].extend(with_b.then_some(news[b]));
                        counted(&join, &changed, salt, if with_a == with_b { 1 } else { -1 }, &mut sums);
                    }
                    prop_assert!(sums.values().all(|s| *s == 0), "{a} and {b} by {equal:?} in {join:?}");
                }
            }
        }
    }

    fn c(atom: usize, att: i16) -> Col {
        Col { atom, att }
    }

    fn left(l: Join, r: Join, equal: &[(Col, Col)]) -> Join {
        Join::Outer(OuterKind::Left, Box::new(l), Box::new(r), equal.iter().map(|(a, b)| (*a, Some(*b))).collect())
    }

    #[test]
    fn chains_meet_by_what_is_equal_along_them() {
        let join =
            left(left(Join::Atom(0), Join::Atom(1), &[(c(0, 1), c(1, 1))]), Join::Atom(2), &[(c(1, 1), c(2, 2))]);
        let met = meetings(&join);
        assert_eq!(met[&(0, 1)], [(c(0, 1), c(1, 1))]);
        assert_eq!(met[&(0, 2)], [(c(0, 1), c(2, 2))]);
        assert_eq!(met[&(1, 2)], [(c(1, 1), c(2, 2))]);
    }

    #[test]
    fn partners_of_one_row_do_not_meet_by_their_own_values() {
        let inner = Join::Inner(vec![Join::Atom(1), Join::Atom(2)], vec![(c(1, 2), Some(c(2, 2)))]);
        let met = meetings(&left(Join::Atom(0), inner, &[(c(0, 1), c(1, 1))]));
        assert_eq!(met.keys().collect::<Vec<_>>(), [&(0, 1)]);
    }

    #[test]
    fn missing_rows_equal_nothing() {
        // Where 2 is missing, 0 and 1 need not be equal.
        let cross = Join::Inner(vec![Join::Atom(0), Join::Atom(1)], Vec::new());
        let join = left(cross, Join::Atom(2), &[(c(0, 1), c(2, 1)), (c(1, 1), c(2, 1))]);
        let met = meetings(&left(join, Join::Atom(3), &[(c(1, 1), c(3, 1))]));
        assert!(met.contains_key(&(0, 2)) && met.contains_key(&(1, 3)) && !met.contains_key(&(0, 3)));
    }
}
