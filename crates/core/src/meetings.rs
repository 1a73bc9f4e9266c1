//! By which columns the rows of two relations meet, so that writers of the two need not wait for each other unless they meet.
//!
//! Let Q be the rows of a join tree, A and B two of its atoms, and J the lowest join of both. We say that a row a of A and a row b of B meet when
//! a way leads from one to the other: rows of atoms between A and B, each equal to the next one in the columns that the conditions of a join compare.
//! Changes of A and changes of B of which no rows meet, old and new, add up in J:
//! J(A + a, B + b) − J(A + a, B) − J(A, B + b) + J(A, B) = 0.
//! Then each writer's rows of J are the same with and without the other's.
//!
//! For J has some p = q among its conditions, p being a column of an atom P on the side of A, q one of Q on the side of B. J decomposes by the value
//! of p: J(L, R) is the sum of J(L|p=v, R|q=v) over all v, and of the rows with NULL, which find no partner. Rows of L that come or go by a
//! change of A have A as a part, or have lost or found a partner with it; if P is a part, too, the join below at which the two sides came
//! together has compared them, and so on down to single atoms: a leads to p by a way. Likewise b leads to q. Above J all joins are linear in J
//! unless J is on a nullable side. There they are not: a row of the other side is null-extended when its partners go, whichever of the two changes takes
//! them. So where J is `below`, changes add up in J only, and who computes rows above has to lock these, too.
//!
//! The rows between A and B can be changed by a third writer. This one meets both, and comes before or after each of them; who finds a way
//! through such rows looks after it has locked what the nearer ones meet by. Where one writer has changed several atoms, the nearest two
//! atoms of two writers on the way between A and B meet, with nothing of either between them.
//!
//! Often no rows between have to be looked at, because p is known to equal a column x of A below J, and q a column y of B. A class is a set of columns known
//! to be equal by the conditions of the joins below. An inner join unites the classes of its sides. An outer join
//! takes classes of its nullable side into classes of the preserved side, each into one only: where the nullable side is missing, two columns of
//! the preserved side need not be equal. A FULL join unites the classes of its sides one to one.
//!
//! A sub-query counts as the nullable side of a left join to the block around it, whatever it computes, when the condition restricts its rows
//! first: a function of the rows with q = v has one value for each v. Called by the extension's `analyze::rules::join_values`.

use crate::model::{Col, Equality, Join, OuterKind};
use std::collections::{BTreeMap, BTreeSet};

type Class = BTreeSet<Col>;

/// Columns of two atoms in which a row of the one equals a row of the other, those of the first atom first.
pub type Step = Vec<(Col, Col)>;

/// How the rows of two atoms meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meeting {
    /// From the lower atom to the higher one; one step where both have columns of the same values.
    pub way: Vec<Step>,
    /// The lowest join of both is on a nullable side.
    pub below: bool,
}

/// By pairs of atoms, the lower one first. The rows of other pairs may meet in any way.
pub type Meetings = BTreeMap<(usize, usize), Meeting>;

/// Finds out how the atoms of a join tree meet; constants among the equalities are left out. `between`: whether ways may lead through an atom.
pub fn meetings(join: &Join, between: &dyn Fn(usize) -> bool) -> Meetings {
    let mut found = Found::default();
    classes(join, false, &mut found);
    let ways = ways(join, between);
    let meeting = |((a, b), below): ((usize, usize), bool)| {
        let way = match found.equal.get(&(a, b)) {
            Some(equal) => vec![equal.clone()],
            None => ways.get(&(a, b))?.clone(),
        };
        Some(((a, b), Meeting { way, below }))
    };
    found.below.into_iter().filter_map(meeting).collect()
}

/// What is known about pairs of atoms.
#[derive(Default)]
struct Found {
    /// Columns that are known to be equal.
    equal: BTreeMap<(usize, usize), Step>,
    /// Whether the lowest join is on a nullable side.
    below: BTreeMap<(usize, usize), bool>,
}

/// The classes of a join; `nullable`: a join above can null-extend it.
fn classes(join: &Join, nullable: bool, found: &mut Found) -> Vec<Class> {
    match join {
        Join::Atom(_) => Vec::new(),
        Join::Inner(..) => {
            let (mut items, mut equal) = (Vec::new(), Vec::new());
            flatten(join, &mut items, &mut equal);
            let mut all: Vec<Class> = items.iter().flat_map(|item| classes(item, nullable, found)).collect();
            for (a, b) in compared(&equal) {
                unite(&mut all, a, b);
            }
            for (i, left) in items.iter().enumerate() {
                for right in &items[i + 1..] {
                    record(&all, left, right, nullable, found);
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
            for (a, b) in compared(equal) {
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
            record(&all, left, right, nullable, found);
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

fn compared(equal: &[Equality]) -> impl Iterator<Item = (Col, Col)> + '_ {
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

/// The columns of atoms on two sides of a join that are equal, in an order that depends on these columns only.
fn record(classes: &[Class], left: &Join, right: &Join, nullable: bool, found: &mut Found) {
    for a in left.atoms() {
        for b in right.atoms() {
            let (low, high) = (a.min(b), a.max(b));
            let of = |class: &Class, atom: usize| class.iter().find(|c| c.atom == atom).copied();
            let mut equal: Vec<_> = classes.iter().filter_map(|c| Some((of(c, low)?, of(c, high)?))).collect();
            equal.sort_unstable();
            found.below.insert((low, high), nullable);
            if !equal.is_empty() {
                found.equal.insert((low, high), equal);
            }
        }
    }
}

/// Ways by both of their ends, in either direction.
type Ways = BTreeMap<(usize, usize), Vec<Step>>;

/// Longer ways are not looked for: each look-up follows one, and whether it leads from many rows to many is not known.
const MOST_STEPS: usize = 6;

/// Short ways between the atoms of a join. A way crosses from item to item of the join where its conditions compare columns, and follows ways inside of
/// the items, one at a time: two atoms of one item have been brought together by joins below, and by nothing else.
fn ways(join: &Join, between: &dyn Fn(usize) -> bool) -> Ways {
    let (mut items, mut equal) = (Vec::new(), Vec::new());
    match join {
        Join::Atom(_) => return Ways::new(),
        Join::Inner(..) => flatten(join, &mut items, &mut equal),
        Join::Outer(_, left, right, on) => {
            items.extend([&**left, &**right]);
            equal.extend(on);
        }
    }
    let inside: Ways = items.iter().flat_map(|item| ways(item, between)).collect();
    let place: BTreeMap<usize, usize> =
        items.iter().enumerate().flat_map(|(i, item)| item.atoms().into_iter().map(move |a| (a, i))).collect();
    let mut crossings: BTreeMap<(usize, usize), Step> = BTreeMap::new();
    for (p, q) in compared(&equal) {
        if let (Some(i), Some(j)) = (place.get(&p.atom), place.get(&q.atom))
            && i != j
        {
            crossings.entry((p.atom, q.atom)).or_default().push((p, q));
            crossings.entry((q.atom, p.atom)).or_default().push((q, p));
        }
    }
    let within = |a: usize, b: usize| if a == b { Some(&[][..]) } else { inside.get(&(a, b)).map(Vec::as_slice) };
    let mut across = Ways::new();
    for _ in 1..items.len() {
        let known = across.clone();
        for ((p, q), crossing) in &crossings {
            for from in place.keys().filter(|a| place[*a] == place[p] && (*a == p || between(*p))) {
                for to in place.keys().filter(|b| place[*b] != place[p] && (*b == q || between(*q))) {
                    let rest =
                        if place[to] == place[q] { within(*q, *to) } else { known.get(&(*q, *to)).map(Vec::as_slice) };
                    let (Some(first), Some(rest)) = (within(*from, *p), rest) else { continue };
                    let steps = first.len() + 1 + rest.len();
                    let shortest = across.get(&(*from, *to)).map_or(MOST_STEPS + 1, Vec::len);
                    if steps < shortest {
                        let way = [first, std::slice::from_ref(crossing), rest].concat();
                        across.insert((*from, *to), way);
                    }
                }
            }
        }
        if across == known {
            break;
        }
    }
    across.extend(inside);
    across
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
        compared(equal).all(holds) && (salt.is_multiple_of(3) || mix % 4 != 1)
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

    /// Whether a way leads from one row to the other.
    fn meet(way: &[Step], a: Row, b: Row, tables: &Tables) -> bool {
        let mut reached = vec![a];
        for (i, step) in way.iter().enumerate() {
            let next = if i + 1 == way.len() { vec![b] } else { tables[step[0].1.atom].clone() };
            let at = |row: &Row, col: Col| row[col.att as usize - 1];
            let equal =
                |from: &Row, to: &Row| step.iter().all(|(x, y)| at(from, *x) != 0 && at(from, *x) == at(to, *y));
            reached = next.into_iter().filter(|to| reached.iter().any(|from| equal(from, to))).collect();
        }
        !reached.is_empty()
    }

    /// The lowest join of two atoms; nested inner joins are one.
    fn lowest(join: &Join, a: usize, b: usize) -> &Join {
        let (mut items, mut equal) = (Vec::new(), Vec::new());
        match join {
            Join::Outer(_, l, r, _) => items.extend([&**l, &**r]),
            _ => flatten(join, &mut items, &mut equal),
        }
        let below = items.into_iter().find(|item| [a, b].iter().all(|atom| item.atoms().contains(atom)));
        below.map_or(join, |item| lowest(item, a, b))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 6000, ..ProptestConfig::default() })]
        #[test]
        fn changes_that_do_not_meet_add_up(
            (n, join, tables) in (2..5usize).prop_flat_map(|n| (Just(n), tree(0, n), proptest::collection::vec(table(), n))),
            news in proptest::collection::vec(row(), 4),
            salt in any::<u64>(),
        ) {
            let met = meetings(&join, &|_| true);
            for a in 0..n {
                for b in a + 1..n {
                    let Some(meeting) = met.get(&(a, b)) else { continue };
                    if meet(&meeting.way, news[a], news[b], &tables) {
                        continue;
                    }
                    let join = if meeting.below { lowest(&join, a, b) } else { &join };
                    let mut sums = BTreeMap::new();
                    for (with_a, with_b) in [(false, false), (true, false), (false, true), (true, true)] {
                        let mut changed = tables.clone();
                        changed[a].extend(with_a.then_some(news[a]));
                        changed[b].extend(with_b.then_some(news[b]));
                        counted(join, &changed, salt, if with_a == with_b { 1 } else { -1 }, &mut sums);
                    }
                    prop_assert!(sums.values().all(|s| *s == 0), "{a} and {b} by {meeting:?} in {join:?}");
                }
            }
        }

        /// Two writers that have changed several atoms, some of them both, where nothing can be null-extended.
        #[test]
        fn changes_of_several_atoms_add_up(
            (n, join, tables) in (2..5usize).prop_flat_map(|n| (Just(n), tree(0, n), proptest::collection::vec(table(), n))),
            news in proptest::collection::vec((row(), row()), 4),
            (mine, theirs) in (1..16u32, 1..16u32),
            salt in any::<u64>(),
        ) {
            let met = meetings(&join, &|_| true);
            let of = |bits: u32| (0..n).filter(move |a| bits >> a & 1 != 0);
            let nullable = join.nullable();
            let apart = |a: usize, b: usize| {
                if a == b {
                    return !nullable.contains(&a);
                }
                let row = |atom: usize| if atom == a { news[a].0 } else { news[b].1 };
                let meeting = met.get(&(a.min(b), a.max(b))).filter(|m| !m.below);
                meeting.is_some_and(|m| !meet(&m.way, row(a.min(b)), row(a.max(b)), &tables))
            };
            if of(mine).all(|a| of(theirs).all(|b| apart(a, b))) {
                let mut sums = BTreeMap::new();
                for (first, second) in [(false, false), (true, false), (false, true), (true, true)] {
                    let mut changed = tables.clone();
                    of(mine).filter(|_| first).for_each(|a| changed[a].push(news[a].0));
                    of(theirs).filter(|_| second).for_each(|b| changed[b].push(news[b].1));
                    counted(&join, &changed, salt, if first == second { 1 } else { -1 }, &mut sums);
                }
                prop_assert!(sums.values().all(|s| *s == 0), "{mine:b} and {theirs:b} in {join:?}");
            }
        }
    }

    fn c(atom: usize, att: i16) -> Col {
        Col { atom, att }
    }

    fn left(l: Join, r: Join, equal: &[(Col, Col)]) -> Join {
        Join::Outer(OuterKind::Left, Box::new(l), Box::new(r), equal.iter().map(|(a, b)| (*a, Some(*b))).collect())
    }

    /// The columns of two atoms that are known to be equal.
    fn equal(met: &Meetings, a: usize, b: usize) -> &[(Col, Col)] {
        let way = met.get(&(a, b)).map(|m| m.way.as_slice()).unwrap_or_default();
        if way.len() == 1 { &way[0] } else { &[] }
    }

    #[test]
    fn chains_meet_by_what_is_equal_along_them() {
        let join =
            left(left(Join::Atom(0), Join::Atom(1), &[(c(0, 1), c(1, 1))]), Join::Atom(2), &[(c(1, 1), c(2, 2))]);
        let met = meetings(&join, &|_| true);
        assert_eq!(equal(&met, 0, 1), [(c(0, 1), c(1, 1))]);
        assert_eq!(equal(&met, 0, 2), [(c(0, 1), c(2, 2))]);
        assert_eq!(equal(&met, 1, 2), [(c(1, 1), c(2, 2))]);
    }

    #[test]
    fn partners_of_one_row_meet_below() {
        let inner = Join::Inner(vec![Join::Atom(1), Join::Atom(2)], vec![(c(1, 2), Some(c(2, 2)))]);
        let met = meetings(&left(Join::Atom(0), inner, &[(c(0, 1), c(1, 1))]), &|_| true);
        assert!(met[&(1, 2)].below && !met[&(0, 1)].below && !met[&(0, 2)].below);
        assert_eq!(met[&(0, 2)].way, [[(c(0, 1), c(1, 1))], [(c(1, 2), c(2, 2))]]);
    }

    #[test]
    fn missing_rows_equal_nothing() {
        // Where 2 is missing, 0 and 1 need not be equal: 0 and 3 meet through rows of 2 only.
        let cross = Join::Inner(vec![Join::Atom(0), Join::Atom(1)], Vec::new());
        let join = left(cross, Join::Atom(2), &[(c(0, 1), c(2, 1)), (c(1, 1), c(2, 1))]);
        let met = meetings(&left(join, Join::Atom(3), &[(c(1, 1), c(3, 1))]), &|_| true);
        assert!(!equal(&met, 0, 2).is_empty() && !equal(&met, 1, 3).is_empty() && equal(&met, 0, 3).is_empty());
    }

    #[test]
    fn no_way_leads_through_what_is_no_relation() {
        let equal = vec![(c(0, 1), Some(c(1, 1))), (c(1, 2), Some(c(2, 1)))];
        let join = Join::Inner((0..3).map(Join::Atom).collect(), equal);
        assert!(meetings(&join, &|_| true).contains_key(&(0, 2)));
        assert!(!meetings(&join, &|atom| atom != 1).contains_key(&(0, 2)));
    }
}
