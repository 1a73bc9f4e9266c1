//! Sub-queries in conditions: EXISTS, IN, ANY, ALL, comparisons with an aggregate, correlated or not.
//! Invariant: none returns more than one row where one is allowed. Called by `condition`, and by joins for theirs.

use super::{Expr, Gen, Rel};
use crate::hazards::Hazard;
use crate::types::Ty;

impl Gen<'_> {
    /// Columns of the same type on both sides.
    pub(super) fn match_up(&mut self, rels: &[Rel], inner: &Rel) -> Option<(Expr, Expr)> {
        let mut pairs = vec![];
        for l in self.columns_of(rels) {
            for r in &inner.columns {
                if l.ty == r.ty && l.ty.has_equality() {
                    pairs.push((l.clone(), r.clone()));
                }
            }
        }
        let pair = self.dice.maybe(&pairs).cloned();
        if let Some((Some(l), Some(r))) = pair.as_ref().map(|(l, r)| (l.base, r.base)) {
            self.facts.sublinks.push((l, r));
        }
        pair
    }

    pub fn sublink(&mut self, rels: &[Rel], depth: u32) -> String {
        let inner = self.simple_rel();
        let Some((outer, own)) = self.match_up(rels, &inner) else {
            return "true".into();
        };
        let scope = std::slice::from_ref(&inner);
        let (from, o, i) = (&inner.sql, &outer.sql, &own.sql);
        let extra = match self.dice.below(4) {
            0 => format!(" AND {}", self.condition(scope, 0)),
            1 | 2 if depth > 0 => {
                self.note(Hazard::NestedExists);
                let both: Vec<Rel> = rels.iter().cloned().chain([inner.clone()]).collect();
                format!(" AND {}", self.sublink(&both, depth - 1))
            }
            _ => String::new(),
        };
        let sql = match self.dice.below(18) {
            17 => {
                let (rows, _) = self.rows_of_both(rels);
                format!("{} ({rows})", self.dice.pick(&["EXISTS", "NOT EXISTS"]))
            }
            13 => {
                self.note(Hazard::UnconnectedExists);
                let more = self.dice.pick(&["", " GROUP BY {i} HAVING count(*) > 1"]).replace("{i}", i);
                format!("EXISTS (SELECT {i} FROM {from} WHERE {}{more})", self.condition(scope, 0))
            }
            14..=16 => self.compared_with_value(rels, &outer, &own, &inner),
            n @ 0..=3 => {
                self.note(Hazard::Exists);
                let word = if n < 2 { "EXISTS" } else { "NOT EXISTS" };
                format!("{word} (SELECT 1 FROM {from} WHERE {i} = {o}{extra})")
            }
            4 => {
                self.note(Hazard::ExistsGrouped);
                format!("EXISTS (SELECT {i} FROM {from} WHERE {i} = {o}{extra} GROUP BY {i} HAVING count(*) > 1)")
            }
            n @ (5..=7 | 9) => {
                let (hazard, word) = match n {
                    5 => (Hazard::InSubquery, "IN"),
                    6 => (Hazard::NotIn, "NOT IN"),
                    7 => (Hazard::NotIn, "<> ALL"),
                    _ => (Hazard::Any, *self.dice.pick(&["= ANY", "<> ANY", ">= ALL", "< ANY"])),
                };
                self.note(hazard);
                format!("{o} {word} (SELECT {i} FROM {from} WHERE true{extra})")
            }
            8 => {
                self.note(Hazard::CorrelatedCount);
                format!(
                    "(SELECT count(*) FROM {from} WHERE {i} = {o}{extra}) {}",
                    self.dice.pick(&["= 0", "> 1", "< 2"])
                )
            }
            10 if own.ty.has_extrema() => {
                self.note(Hazard::ScalarInWhere);
                let word = self.dice.pick(&["=", "<", ">="]);
                let which = self.dice.pick(&["max", "min"]);
                format!("{o} {word} (SELECT {which}({i}) FROM {from} WHERE true{extra})")
            }
            11 => {
                self.note(Hazard::Exists);
                self.note(Hazard::ExistsJoin);
                let other = self.some_base();
                let condition = self.correlation(scope, &other);
                format!("EXISTS (SELECT FROM {from} JOIN {} ON {condition} WHERE {i} = {o}{extra})", other.sql)
            }
            _ => match self.match_up(rels, &inner) {
                Some((outer2, own2)) => {
                    self.note(Hazard::RowIn);
                    let word = self.dice.pick(&["IN", "NOT IN"]);
                    format!("({o}, {}) {word} (SELECT {i}, {} FROM {from} WHERE true{extra})", outer2.sql, own2.sql)
                }
                None => "true".into(),
            },
        };
        let below = self.dice.below(6);
        if below <= 2 {
            self.note(Hazard::SublinkBelow);
        }
        match below {
            0 => format!("({sql} OR {})", self.condition(rels, 0)),
            1 => format!("NOT ({sql})"),
            2 => format!("CASE WHEN {} THEN {sql} ELSE true END", self.condition(rels, 0)),
            _ => sql,
        }
    }

    /// A comparison with an aggregate over other rows, always the same ones.
    fn compared_with_value(&mut self, rels: &[Rel], outer: &Expr, own: &Expr, inner: &Rel) -> String {
        self.note(Hazard::UnconnectedAggregate);
        let word = self.dice.pick(&["<", ">=", ">", "<=", "<", ">=", "=", "IS DISTINCT FROM"]).to_string();
        if let Some(number) = self.column_of(rels, Ty::Int).filter(|_| self.dice.chance(40)) {
            // of one type on both sides, so that there is an order to go by, or of two
            let cast = self.dice.pick(&["::bigint", "::bigint", ""]);
            return format!("{}{cast} {word} (SELECT count(*) FROM {})", number.sql, inner.sql);
        }
        let condition = self.condition(std::slice::from_ref(inner), 0);
        let rows = format!("FROM {} WHERE {condition}", inner.sql);
        if own.ty.has_extrema() && self.dice.chance(70) {
            let which = self.dice.pick(&["max", "min"]);
            return format!("{} {word} (SELECT {which}({}) {rows})", outer.sql, own.sql);
        }
        format!("(SELECT count(*) {rows}) {}", self.dice.pick(&["% 2 = 0", "> 3", "< 4"]))
    }
}
