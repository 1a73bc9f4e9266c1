//! Sub-queries in expressions: EXISTS, IN, ANY, ALL and scalar ones, correlated or not. Called by `expression` and `select`.

use super::{Expr, Gen, Rel};
use crate::hazards::Hazard;
use crate::types::Ty;

impl Gen<'_> {
    fn inner(&mut self) -> Rel {
        if !self.sources.is_empty() && self.dice.chance(15) {
            let source = self.dice.pick(self.sources).clone();
            self.note(if source.is_tview { Hazard::TviewSource } else { Hazard::ViewSource });
            self.facts.sources.insert(source.name.clone());
            return self.named(&source.name, &source.columns);
        }
        let table = self.dice.below(self.schema.tables.len());
        self.base(table)
    }

    /// Columns of the same type on both sides.
    fn match_up(&mut self, rels: &[Rel], inner: &Rel) -> Option<(Expr, Expr)> {
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
        let inner = self.inner();
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
        let sql = match self.dice.below(10) {
            0 | 1 => {
                self.note(Hazard::Exists);
                format!("EXISTS (SELECT 1 FROM {from} WHERE {i} = {o}{extra})")
            }
            2 | 3 => {
                self.note(Hazard::Exists);
                format!("NOT EXISTS (SELECT 1 FROM {from} WHERE {i} = {o}{extra})")
            }
            4 => {
                self.note(Hazard::ExistsGrouped);
                format!("EXISTS (SELECT {i} FROM {from} WHERE {i} = {o}{extra} GROUP BY {i} HAVING count(*) > 1)")
            }
            5 => {
                self.note(Hazard::InSubquery);
                format!("{o} IN (SELECT {i} FROM {from} WHERE true{extra})")
            }
            6 => {
                self.note(Hazard::NotIn);
                format!("{o} NOT IN (SELECT {i} FROM {from} WHERE true{extra})")
            }
            7 => {
                self.note(Hazard::NotIn);
                format!("{o} <> ALL (SELECT {i} FROM {from} WHERE true{extra})")
            }
            8 => {
                self.note(Hazard::CorrelatedCount);
                format!(
                    "(SELECT count(*) FROM {from} WHERE {i} = {o}{extra}) {}",
                    self.dice.pick(&["= 0", "> 1", "< 2"])
                )
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
        match self.dice.below(6) {
            0 => {
                self.note(Hazard::SublinkBelow);
                let other = self.condition(rels, 0);
                format!("({sql} OR {other})")
            }
            1 => {
                self.note(Hazard::SublinkBelow);
                format!("NOT ({sql})")
            }
            2 => {
                self.note(Hazard::SublinkBelow);
                let other = self.condition(rels, 0);
                format!("CASE WHEN {other} THEN {sql} ELSE true END")
            }
            _ => sql,
        }
    }

    /// A scalar sub-query for the select list.
    pub fn scalar_subquery(&mut self, rels: &[Rel]) -> Expr {
        let inner = self.inner();
        self.note(Hazard::ScalarSubquery);
        let plain = |sql: String, ty: Ty, fuzzy: bool| Expr { sql, ty, fuzzy, base: None };
        let Some((outer, own)) = self.match_up(rels, &inner) else {
            return plain(format!("(SELECT count(*) FROM {})", inner.sql), Ty::Big, false);
        };
        let scope = std::slice::from_ref(&inner);
        let (from, o, i) = (inner.sql.clone(), outer.sql, own.sql);
        match self.dice.below(6) {
            0 => plain(format!("(SELECT count(*) FROM {from})"), Ty::Big, false),
            1 | 2 => {
                self.note(Hazard::CorrelatedCount);
                plain(format!("(SELECT count(*) FROM {from} WHERE {i} = {o})"), Ty::Big, false)
            }
            3 => match self.column_of(scope, Ty::Int) {
                Some(c) => plain(format!("(SELECT sum({}) FROM {from} WHERE {i} = {o})", c.sql), Ty::Big, false),
                None => plain(format!("EXISTS (SELECT FROM {from} WHERE {i} = {o})"), Ty::Bool, false),
            },
            4 => {
                self.note(Hazard::Exists);
                plain(format!("({o} IN (SELECT {i} FROM {from}))"), Ty::Bool, false)
            }
            _ => {
                self.note(Hazard::LimitInside);
                let picked = self.any_column(scope);
                plain(
                    format!(
                        "(SELECT {} FROM {from} WHERE {i} = {o} ORDER BY {} LIMIT 1)",
                        picked.sql,
                        inner.order.join(", ")
                    ),
                    picked.ty,
                    picked.fuzzy || picked.ty.is_ambiguous(),
                )
            }
        }
    }
}
