//! Keys of GROUP BY: columns, expressions, COALESCE of both sides of a join.
//! Invariant: of a key with equal values that are not the same, which one is shown is not determined (`fuzzy`). Called by the grouped families.

use crate::hazards::Hazard;
use crate::query::{Expr, FromClause, Gen};
use crate::types::Ty;

impl Gen<'_> {
    pub(super) fn group_key(&mut self, from: &FromClause) -> Expr {
        // the key of an outer join, whichever side it is from
        if let Some((l, r)) = self.dice.maybe(&from.met).cloned().filter(|(l, r)| l.ty == r.ty && self.dice.chance(35))
        {
            self.note(Hazard::CoalesceKey);
            self.note(Hazard::CoalesceJoinKey);
            self.facts.groups.extend([l.base, r.base].into_iter().flatten());
            let fuzzy = l.ty.is_ambiguous() || l.fuzzy || r.fuzzy;
            return Expr { sql: format!("coalesce({}, {})", l.sql, r.sql), ty: l.ty, fuzzy, base: None };
        }
        if from.rels.len() >= 2 && self.dice.chance(15) {
            let l = self.comparable(&from.rels[..1]);
            if let Some(r) = self.column_of(&from.rels[1..], l.ty) {
                self.note(Hazard::CoalesceKey);
                self.facts.groups.extend(l.base);
                let fuzzy = l.ty.is_ambiguous() || l.fuzzy || r.fuzzy;
                return Expr { sql: format!("coalesce({}, {})", l.sql, r.sql), ty: l.ty, fuzzy, base: None };
            }
        }
        let all: Vec<Expr> = self.columns_of(&from.rels).into_iter().filter(|e| e.ty.has_equality()).collect();
        // small domains make groups of several rows
        let small: Vec<Expr> =
            all.iter().filter(|e| matches!(e.ty, Ty::Int | Ty::Bool | Ty::Text | Ty::Mood)).cloned().collect();
        // of several equal values of these, any can stand for a group
        let ambiguous: Vec<Expr> = all.iter().filter(|e| e.ty.is_ambiguous() && e.base.is_some()).cloned().collect();
        if let Some(e) = self.dice.maybe(&ambiguous).cloned().filter(|_| self.dice.chance(20)) {
            self.facts.groups.extend(e.base);
            return Expr { fuzzy: true, ..e };
        }
        let pool = if small.is_empty() || self.dice.chance(50) { all } else { small };
        let Some(e) = self.dice.maybe(&pool).cloned() else {
            return Expr::plain("(1 + 1)", Ty::Int);
        };
        if let Some(base) = e.base {
            self.facts.groups.push(base);
            if self.nullable(base) {
                self.note(Hazard::NullGroup);
            }
        }
        if self.dice.chance(20) {
            self.note(Hazard::ExpressionKey);
            return match e.ty {
                Ty::Int | Ty::Big => Expr { sql: format!("({} % 2)", e.sql), base: None, ..e },
                Ty::Text => Expr { sql: format!("upper({})", e.sql), base: None, ..e },
                _ => Expr::plain(format!("({} IS NULL)", e.sql), Ty::Bool),
            };
        }
        let fuzzy = e.fuzzy || e.ty.is_ambiguous();
        Expr { fuzzy, ..e }
    }

    /// Some different ones.
    pub(super) fn group_keys(&mut self, from: &FromClause, counts: &[(u32, usize)]) -> Vec<Expr> {
        let mut keys: Vec<Expr> = vec![];
        for _ in 0..self.dice.weighted(counts) {
            let key = self.group_key(from);
            if keys.iter().all(|k| k.sql != key.sql) {
                keys.push(key);
            }
        }
        keys
    }
}
