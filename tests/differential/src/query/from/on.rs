//! Join conditions: equality of one or two pairs of columns, other comparisons, with a filter or a sub-link.
//! Invariant: both sides of a comparison have one type, or are integers. Called by `join`, and by `lateral` and sub-links for their comparisons.

use super::Rel;
use crate::hazards::Hazard;
use crate::query::{Base, Expr, Gen, Join};

/// A join condition: its SQL, whether it is an equality, and the columns it compares.
pub(super) struct On {
    pub sql: String,
    pub equal: bool,
    pub bases: Option<(Base, Base)>,
    pub met: Option<(Expr, Expr)>,
}

impl Gen<'_> {
    /// Columns that can be compared, the more alike the more often.
    fn pairs(&self, left: &[Rel], right: &Rel) -> Vec<(Expr, Expr)> {
        let mut pairs = vec![];
        for l in self.columns_of(left) {
            for r in &right.columns {
                let same = l.ty == r.ty || l.ty.is_integer() && r.ty.is_integer();
                if same && l.ty.has_equality() {
                    let named = l.sql.split('.').next_back() == r.sql.split('.').next_back();
                    let times = if named || l.ty.is_integer() { 2 } else { 1 };
                    pairs.extend(std::iter::repeat_n((l.clone(), r.clone()), times));
                }
            }
        }
        pairs
    }

    /// A join condition between the rels so far and a new one.
    pub(super) fn on(&mut self, left: &[Rel], right: &Rel, must_equal: bool) -> On {
        let pairs = self.pairs(left, right);
        let Some((l, r)) = self.dice.maybe(&pairs).cloned() else {
            return On { sql: "true".into(), equal: false, bases: None, met: None };
        };
        let bases = l.base.zip(r.base);
        let met = Some((l.clone(), r.clone()));
        let other = |sql: String| On { sql, equal: false, bases, met: None };
        let equality = format!("{} = {}", l.sql, r.sql);
        let all = || -> Vec<Rel> { left.iter().cloned().chain([right.clone()]).collect() };
        match self.dice.below(18) {
            0 => {
                // a second equality
                let (l, r) = self.dice.pick(&pairs).clone();
                On { sql: format!("{equality} AND {} = {}", l.sql, r.sql), equal: true, bases, met }
            }
            1 if !must_equal && !self.large => {
                self.note(Hazard::NonEqui);
                other(format!("{} {} {}", l.sql, self.dice.pick(&["<", "<>", ">="]), r.sql))
            }
            2 if !must_equal => {
                self.note(Hazard::NullSafeJoin);
                other(format!("{} IS NOT DISTINCT FROM {}", l.sql, r.sql))
            }
            3 if !must_equal => {
                let more = self.condition(&all(), 0);
                On { sql: format!("{equality} AND {more}"), equal: true, bases, met }
            }
            4 if !must_equal => {
                self.note(Hazard::SublinkInOn);
                let more = self.sublink(&all(), 0);
                On { sql: format!("{equality} AND {more}"), equal: true, bases, met }
            }
            5 | 6 if !must_equal => match self.newest(left, right) {
                Some(sql) => On { sql, equal: false, bases: None, met: None },
                None => On { sql: equality, equal: true, bases, met },
            },
            _ => On { sql: equality, equal: true, bases, met },
        }
    }

    /// The new rel is compared with the first or last value of a sub-query that looks at the rels so far, as in "the latest child".
    fn newest(&mut self, left: &[Rel], right: &Rel) -> Option<String> {
        let inner = if self.dice.chance(60) { self.some_base() } else { self.simple_rel() };
        let (outer, own) = self.match_up(left, &inner)?;
        let integers = |rel: &Rel| rel.columns.iter().filter(|c| c.ty.is_integer()).cloned().collect::<Vec<_>>();
        let compared = self.dice.maybe(&integers(right)).cloned()?;
        let value = self.dice.maybe(&integers(&inner)).cloned()?;
        self.note(Hazard::NewestInOn);
        let (from, v) = (&inner.sql, &value.sql);
        let condition = format!("{} = {}", own.sql, outer.sql);
        let c = &compared.sql;
        if self.dice.chance(25) && !self.large {
            self.note(Hazard::NotAmongInOn);
            return Some(match self.dice.below(4) {
                0 => format!("{c} NOT IN (SELECT {v} FROM {from} WHERE {condition})"),
                1 => format!("{c} <> ALL (SELECT {v} FROM {from} WHERE {condition} AND {v} > 0)"),
                2 => format!("NOT EXISTS (SELECT FROM {from} WHERE {condition})"),
                _ => format!("NOT EXISTS (SELECT FROM {from} WHERE {condition} AND {v} = {c})"),
            });
        }
        if self.dice.chance(20) {
            self.note(Hazard::EitherInOn);
            let (l, r) = (&outer.sql, &compared.sql);
            let other = if outer.ty.is_integer() { format!("{l} = {r}") } else { format!("{r} = 2") };
            return Some(match self.dice.below(3) {
                0 => format!("({other} OR {c} IN (SELECT {v} FROM {from} WHERE {condition}))"),
                1 => format!("({c} = (SELECT max({v}) FROM {from} WHERE {condition}) OR {other})"),
                _ => format!(
                    "(EXISTS (SELECT FROM {from} WHERE {condition} AND {v} = {c}) OR {c} = (SELECT min({v}) FROM {from} WHERE {condition}))"
                ),
            });
        }
        if self.dice.chance(30) {
            self.note(Hazard::AmongInOn);
            return Some(match self.dice.below(3) {
                0 => format!("{c} IN (SELECT {v} FROM {from} WHERE {condition})"),
                1 => format!("{c} = ANY (SELECT {v} FROM {from} WHERE {condition} AND {v} > 0)"),
                _ => format!("EXISTS (SELECT FROM {from} WHERE {condition} AND {v} = {c})"),
            });
        }
        let operator = self.dice.pick(&["=", "=", "=", ">"]);
        let found = match self.dice.below(4) {
            0 => format!("SELECT {v} FROM {from} WHERE {condition} ORDER BY {v} DESC LIMIT 1"),
            1 => format!("SELECT min({v}) FROM {from} WHERE {condition}"),
            2 => format!("SELECT max({v}) FILTER (WHERE {v} < 9) FROM {from} WHERE {condition}"),
            _ => format!("SELECT max({v}) FROM {from} WHERE {condition}"),
        };
        Some(format!("{} {operator} ({found})", compared.sql))
    }

    pub fn join_fact(&mut self, bases: Option<(Base, Base)>, class: Join) {
        if let Some((l, r)) = bases {
            self.facts.joins.push((l, r, class));
        }
    }

    /// A join condition for a sub-query that looks at the rels before it.
    pub fn correlation(&mut self, left: &[Rel], right: &Rel) -> String {
        let on = self.on(left, right, false);
        self.join_fact(on.bases, Join::Outer);
        on.sql
    }
}
