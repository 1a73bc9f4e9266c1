//! Writes aimed at the two sides of a join, or of a sub-link.
//! Invariant: both sides have rows with one value before one of them changes. Called by `scenario`.

use super::Scenario;
use crate::hazards::Hazard;
use crate::plan::Planner;
use crate::query::{Base, Join};
use crate::types::Ty;

impl Planner<'_> {
    fn is_free(&self, (table, column): Base) -> bool {
        let c = &self.schema.tables[table].columns[column];
        c.ty == Ty::Int && c.fk.is_none()
    }

    pub(super) fn join(&mut self, joins: &[(Base, Base, Join)]) -> Scenario {
        let (l, r, class) = *self.dice.pick(joins);
        if !self.is_writable(l) || !self.is_writable(r) {
            return self.unaimed();
        }
        let (v, other) = self.two(l);
        let (left, right) = (self.put(l, &v), self.put(r, &v));
        let mut kinds = vec![0, 1, 2, 3];
        match class {
            Join::Outer => kinds.extend([4, 5, 6, 7, 4, 5, 6, 7]),
            Join::Full => kinds.extend([4, 5, 6, 8, 8, 8, 9, 9]),
            Join::Inner => {}
        }
        let both = |planner: &mut Self| planner.several(vec![left.clone(), right.clone()], &[]);
        match *self.dice.pick(&kinds) {
            0 => {
                let before = both(self);
                let sql = vec![self.delete(r, &v), self.set(l, &other, &v)];
                (before, self.several(sql, &[Hazard::JoinKeyAndPartner]))
            }
            1 => (vec![], self.several(vec![left.clone(), right.clone()], &[Hazard::BothInserted])),
            2 => {
                let before = both(self);
                let sql = vec![self.delete(l, &v), self.delete(r, &v)];
                (before, self.several(sql, &[Hazard::BothDeleted]))
            }
            3 => {
                let (base, before) = if self.dice.chance(50) { (l, left.clone()) } else { (r, right.clone()) };
                let (t, c) = self.table_and_column(base);
                if !self.schema.tables[base.0].columns[base.1].nullable {
                    return self.unaimed();
                }
                let before = self.several(vec![before], &[]);
                let sql = if self.dice.chance(50) {
                    format!("UPDATE {t} SET {c} = NULL WHERE {c} = {v}")
                } else {
                    format!("UPDATE {t} SET {c} = {other} WHERE {c} IS NULL")
                };
                (before, self.one(sql, &[Hazard::NullJoinKey]))
            }
            4 => {
                let sql = vec![self.delete(r, &v), left.clone()];
                let before = self.several(sql, &[]);
                (before, self.several(vec![right.clone()], &[Hazard::FirstMatch]))
            }
            5 => {
                let before = both(self);
                let sql = self.delete(r, &v);
                (before, self.one(sql, &[Hazard::LastMatch]))
            }
            6 => {
                let before = both(self);
                let again = self.put(r, &v);
                let sql = vec![self.delete(r, &v), again];
                (before, self.several(sql, &[Hazard::MatchReplaced]))
            }
            7 => {
                let before = both(self);
                let sql = vec![self.set(l, &other, &v), self.delete(r, &v)];
                (before, self.several(sql, &[Hazard::LeftRowAndMatch]))
            }
            9 => {
                // both move, to where the other was
                let there = self.put(r, &other);
                let before = self.several(vec![left, there], &[]);
                let (moved, back) = (self.set(l, &other, &v), self.set(r, &v, &other));
                (before, self.several(vec![moved, back], &[Hazard::FullJoinBoth]))
            }
            _ => {
                let before = both(self);
                let fresh = self.dice.between(30, 60).to_string();
                // a value that no row has meets no key
                let other = if self.is_free(l) && self.is_free(r) { &fresh } else { &other };
                let sql = vec![self.set(l, other, &v), self.set(r, other, &v)];
                (before, self.several(sql, &[Hazard::FullJoinBoth]))
            }
        }
    }

    pub(super) fn sublink(&mut self, sublinks: &[(Base, Base)]) -> Scenario {
        let (l, r) = *self.dice.pick(sublinks);
        if !self.is_writable(l) || !self.is_writable(r) {
            return self.unaimed();
        }
        let (v, _) = self.two(l);
        let (a, b) = (self.put(l, &v), self.put(r, &v));
        if self.dice.chance(50) {
            return (vec![], self.several(vec![a, b], &[Hazard::ExistsBoth]));
        }
        let before = self.several(vec![a, b], &[]);
        let sql = vec![self.delete(r, &v), self.delete(l, &v)];
        (before, self.several(sql, &[Hazard::ExistsBoth]))
    }
}
