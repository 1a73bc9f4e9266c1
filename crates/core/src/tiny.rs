//! Queries over tables of a few rows, evaluated by their definition: the reference for the tests of the rules.
//!
//! Called by tests only.

use crate::model::{Col, Equality, Join, OuterKind};
use crate::null_extension::{Condition as Facts, Kind, keeping};
use proptest::prelude::*;
use std::collections::BTreeSet;

const COLUMNS: i16 = 2;
/// 0 is NULL.
pub type Row = [u8; COLUMNS as usize];
pub type Table = Vec<Row>;
/// One part for each atom; none where it is null-extended.
pub type Joined = Vec<Option<Row>>;

/// A table before and after.
#[derive(Debug, Clone)]
pub struct Change {
    pub before: Table,
    pub now: Table,
}

impl Change {
    pub fn none(rows: &Table) -> Change {
        Change { before: rows.clone(), now: rows.clone() }
    }

    pub fn inserted(&self) -> Table {
        without(&self.now, &self.before)
    }

    pub fn deleted(&self) -> Table {
        without(&self.before, &self.now)
    }

    /// All change rows.
    pub fn rows(&self) -> Table {
        [self.inserted(), self.deleted()].concat()
    }
}

fn without(all: &Table, some: &Table) -> Table {
    let mut left = all.clone();
    for row in some {
        if let Some(at) = left.iter().position(|r| r == row) {
            left.remove(at);
        }
    }
    left
}

#[derive(Debug, Clone)]
pub enum Condition {
    Equal(Col, Col),
    /// NULLs are the same.
    Same(Col, Col),
    IsNull(Col),
    /// A constant.
    Is(Col, u8),
    /// A condition that depends on all values that are there.
    Some(u64),
}

impl Condition {
    fn holds(&self, row: &Joined) -> bool {
        let value = |col: &Col| row[col.atom].map_or(0, |r| r[col.att as usize - 1]);
        match self {
            Condition::Equal(a, b) => value(a) != 0 && value(a) == value(b),
            Condition::Same(a, b) => value(a) == value(b),
            Condition::IsNull(a) => value(a) == 0,
            Condition::Is(a, constant) => value(a) == *constant,
            Condition::Some(salt) => {
                let mix = row
                    .iter()
                    .flatten()
                    .flatten()
                    .fold(*salt, |h, v| (h ^ u64::from(*v)).wrapping_mul(0x100_0000_01b3));
                mix % 4 != 1
            }
        }
    }

    /// The facts about the condition; `atoms` are the atoms that it can look at.
    pub fn facts(&self, atoms: &BTreeSet<usize>) -> Facts {
        match self {
            Condition::Equal(a, b) => {
                let mentions = BTreeSet::from([a.atom, b.atom]);
                Facts { strict: mentions.clone(), mentions }
            }
            Condition::Same(a, b) => Facts { mentions: BTreeSet::from([a.atom, b.atom]), strict: BTreeSet::new() },
            Condition::Is(a, _) => {
                let mentions = BTreeSet::from([a.atom]);
                Facts { strict: mentions.clone(), mentions }
            }
            Condition::IsNull(a) => Facts { mentions: BTreeSet::from([a.atom]), strict: BTreeSet::new() },
            Condition::Some(_) => Facts { mentions: atoms.clone(), strict: BTreeSet::new() },
        }
    }
}

#[derive(Debug, Clone)]
pub enum Tree {
    Atom(usize),
    Join(Kind, Box<Tree>, Box<Tree>, Vec<Condition>),
}

impl Tree {
    pub fn atoms(&self) -> BTreeSet<usize> {
        match self {
            Tree::Atom(a) => BTreeSet::from([*a]),
            Tree::Join(_, left, right, _) => &left.atoms() | &right.atoms(),
        }
    }

    /// The sides around an atom that a join can null-extend, outermost first.
    pub fn nullable_sides(&self, atom: usize) -> Vec<BTreeSet<usize>> {
        let Tree::Join(kind, left, right, _) = self else { return Vec::new() };
        let in_left = left.atoms().contains(&atom);
        let side = if in_left { left } else { right };
        let own = keeping(*kind, in_left).map(|_| side.atoms());
        own.into_iter().chain(side.nullable_sides(atom)).collect()
    }
}

/// The equalities among some conditions, as rules know them.
fn equalities(conditions: &[Condition]) -> Vec<Equality> {
    let equality = |c: &Condition| match c {
        Condition::Equal(a, b) => Some((*a, Some(*b))),
        Condition::Is(a, _) => Some((*a, None)),
        _ => None,
    };
    conditions.iter().filter_map(equality).collect()
}

impl From<&Tree> for Join {
    fn from(tree: &Tree) -> Join {
        let Tree::Join(kind, left, right, on) = tree else { return Join::Atom(tree.atoms().into_iter().sum()) };
        let (left, right): (Join, Join) = ((&**left).into(), (&**right).into());
        let on = equalities(on);
        match kind {
            Kind::Inner => Join::Inner(vec![left, right], on),
            Kind::Left => Join::Outer(OuterKind::Left, Box::new(left), Box::new(right), on),
            Kind::Right => Join::Outer(OuterKind::Left, Box::new(right), Box::new(left), on),
            Kind::Full => Join::Outer(OuterKind::Full, Box::new(left), Box::new(right), on),
        }
    }
}

/// A join tree and its WHERE clause.
#[derive(Debug, Clone)]
pub struct Query {
    pub tree: Tree,
    pub filter: Vec<Condition>,
}

/// Some rows of the join of which the atoms of `side` are the nullable side: the rows in which the side is there, or, `alone`, the rows of the
/// other side that have no partner but would have one if this atom had these rows.
pub struct Special<'a> {
    pub side: &'a BTreeSet<usize>,
    pub alone: Option<(usize, Table)>,
}

impl Query {
    pub fn join(&self) -> Join {
        Join::Inner(vec![(&self.tree).into()], equalities(&self.filter))
    }

    pub fn rows(&self, tables: &[Table], special: Option<&Special>) -> Vec<Joined> {
        let mut all = rows(&self.tree, tables, special);
        all.retain(|row| self.filter.iter().all(|c| c.holds(row)));
        all
    }
}

fn rows(tree: &Tree, tables: &[Table], special: Option<&Special>) -> Vec<Joined> {
    let (kind, sides, on) = match tree {
        Tree::Atom(a) => {
            let only = |row: &Row| {
                let mut all = vec![None; tables.len()];
                all[*a] = Some(*row);
                all
            };
            return tables[*a].iter().map(only).collect();
        }
        Tree::Join(kind, left, right, on) => (kind, [left, right], on),
    };
    let found = sides.map(|side| rows(side, tables, special));
    let merged = |l: &Joined, r: &Joined| -> Joined { l.iter().zip(r).map(|(a, b)| a.or(*b)).collect() };
    let meet = |l: &Joined, r: &Joined| {
        let both = merged(l, r);
        on.iter().all(|c| c.holds(&both)).then_some(both)
    };
    let mut kind = *kind;
    if let Some(special) = special
        && let Some(nth) = sides.iter().position(|side| side.atoms() == *special.side)
        && let Some(kept) = keeping(kind, nth == 0)
    {
        kind = kept;
        if let Some((atom, changes)) = &special.alone {
            let mut changed = tables.to_vec();
            changed[*atom] = changes.clone();
            let would = rows(sides[nth], &changed, None);
            let has = |row: &Joined, partners: &[Joined]| partners.iter().any(|p| meet(row, p).is_some());
            let others = found[1 - nth].iter();
            return others.filter(|row| has(row, &would) && !has(row, &found[nth])).cloned().collect();
        }
    }
    let mut out = Vec::new();
    let mut met = [vec![false; found[0].len()], vec![false; found[1].len()]];
    for (l, left) in found[0].iter().enumerate() {
        for (r, right) in found[1].iter().enumerate() {
            if let Some(both) = meet(left, right) {
                (met[0][l], met[1][r]) = (true, true);
                out.push(both);
            }
        }
    }
    // A side is kept whole where the other side can be null-extended.
    for nth in 0..2 {
        if keeping(kind, nth == 1).is_some() {
            let alone = found[nth].iter().zip(&met[nth]).filter(|(_, met)| !**met);
            out.extend(alone.map(|(row, _)| row.clone()));
        }
    }
    out
}

pub fn row() -> impl Strategy<Value = Row> {
    [0..4u8, 0..4u8]
}

pub fn table() -> impl Strategy<Value = Table> {
    proptest::collection::vec(row(), 0..3)
}

fn condition(first: usize, n: usize) -> impl Strategy<Value = Condition> {
    let col = move || (first..first + n, 1..=COLUMNS).prop_map(|(atom, att)| Col { atom, att });
    prop_oneof![
        6 => (col(), col()).prop_map(|(a, b)| Condition::Equal(a, b)),
        1 => (col(), col()).prop_map(|(a, b)| Condition::Same(a, b)),
        1 => col().prop_map(Condition::IsNull),
        1 => (col(), 1..4u8).prop_map(|(a, constant)| Condition::Is(a, constant)),
        1 => any::<u64>().prop_map(Condition::Some),
    ]
}

/// Trees over the atoms `first .. first + n`.
fn tree(first: usize, n: usize) -> BoxedStrategy<Tree> {
    if n == 1 {
        return Just(Tree::Atom(first)).boxed();
    }
    let split = (1..n).prop_flat_map(move |k| (tree(first, k), tree(first + k, n - k)));
    let kind = prop_oneof![
        3 => Just(Kind::Inner), 3 => Just(Kind::Left), 1 => Just(Kind::Right), 1 => Just(Kind::Full)
    ];
    let on = proptest::collection::vec(condition(first, n), 0..3);
    (split, kind, on).prop_map(|((l, r), kind, on)| Tree::Join(kind, Box::new(l), Box::new(r), on)).boxed()
}

/// Queries over `n` atoms.
pub fn query(n: usize) -> impl Strategy<Value = Query> {
    (tree(0, n), proptest::collection::vec(condition(0, n), 0..2)).prop_map(|(tree, filter)| Query { tree, filter })
}
