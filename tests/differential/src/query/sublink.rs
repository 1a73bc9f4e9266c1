//! Sub-queries in expressions: EXISTS, IN, ANY, ALL and scalar ones, correlated or not. Called by `expression` and `select`.

use super::{Expr, Gen, Rel};
use crate::hazards::Hazard;
use crate::types::Ty;

impl Gen<'_> {
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
        let sql = match self.dice.below(17) {
            13 => {
                self.note(Hazard::UnconnectedExists);
                let more = self.dice.pick(&["", " GROUP BY {i} HAVING count(*) > 1"]).replace("{i}", i);
                format!("EXISTS (SELECT {i} FROM {from} WHERE {}{more})", self.condition(scope, 0))
            }
            14..=16 => self.compared_with_value(rels, &outer, &own, &inner),
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
            9 => {
                self.note(Hazard::Any);
                let word = self.dice.pick(&["= ANY", "<> ANY", ">= ALL", "< ANY"]);
                format!("{o} {word} (SELECT {i} FROM {from} WHERE true{extra})")
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

    /// A scalar sub-query without aggregate or LIMIT: of one row by key, or of none until a column gets an unusual value, and an error after that.
    fn single_row(&mut self, rels: &[Rel], inner: &Rel, condition: &str) -> Expr {
        let scope = std::slice::from_ref(inner);
        let key = inner.key.first().filter(|_| inner.key.len() == 1).map(|&k| inner.columns[k].clone());
        let outer = key.as_ref().and_then(|k| self.column_of(rels, k.ty));
        let picked = self.any_column(scope);
        let condition = match (key, outer, self.column_of(scope, Ty::Int)) {
            (Some(key), Some(outer), _) if self.dice.chance(50) => {
                self.note(Hazard::ScalarByKey);
                format!("{} = {}", key.sql, outer.sql)
            }
            (_, _, Some(column)) if column.base.is_some() => {
                self.facts.unusual.extend(column.base);
                let alone = self.dice.chance(60);
                format!("{}{} = 9", if alone { String::new() } else { format!("{condition} AND ") }, column.sql)
            }
            _ => {
                return Expr {
                    sql: format!("(SELECT count(*) FROM {})", inner.sql),
                    ty: Ty::Big,
                    fuzzy: false,
                    base: None,
                };
            }
        };
        let fuzzy = picked.fuzzy || picked.ty.is_ambiguous();
        let sql = format!("(SELECT {} FROM {} WHERE {condition})", picked.sql, inner.sql);
        Expr { sql, ty: picked.ty, fuzzy, base: None }
    }

    /// A scalar sub-query for the select list.
    pub fn scalar_subquery(&mut self, rels: &[Rel]) -> Expr {
        let mut inner = self.simple_rel();
        for _ in 0..2 {
            // by key there is one row
            if inner.key.len() != 1 {
                inner = self.simple_rel();
            }
        }
        self.note(Hazard::ScalarSubquery);
        let plain = |sql: String, ty: Ty, fuzzy: bool| Expr { sql, ty, fuzzy, base: None };
        let Some((outer, own)) = self.match_up(rels, &inner) else {
            return plain(format!("(SELECT count(*) FROM {})", inner.sql), Ty::Big, false);
        };
        let scope = std::slice::from_ref(&inner);
        let (from, o, i) = (inner.sql.clone(), outer.sql, own.sql.clone());
        match self.dice.below(16) {
            3 | 6 => {
                self.note(Hazard::ArraySubquery);
                let text = own.text();
                plain(format!("ARRAY(SELECT {text} FROM {from} WHERE {i} = {o} ORDER BY {text})"), Ty::Texts, own.fuzzy)
            }
            7 => {
                self.note(Hazard::ScalarNullOrValue);
                let picked = self.any_column(scope);
                let text = picked.text();
                plain(format!("(SELECT min({text}) FROM {from} WHERE {i} = {o})"), Ty::Text, picked.fuzzy)
            }
            8 | 9 | 11 | 14 | 15 => self.single_row(rels, &inner, &format!("{i} = {o}")),
            0 => {
                self.note(Hazard::Unconnected);
                let condition = self.condition(scope, 0);
                match self.column_of(scope, Ty::Int) {
                    Some(c) if self.dice.chance(40) => {
                        let what = *self.dice.pick(&["sum({})", "max({})", "count(DISTINCT {})"]);
                        let value = what.replace("{}", &c.sql);
                        let ty = if what.starts_with("max") { Ty::Int } else { Ty::Big };
                        plain(format!("(SELECT {value} FROM {from} WHERE {condition})"), ty, false)
                    }
                    _ if self.dice.chance(30) => {
                        self.note(Hazard::UnconnectedExists);
                        plain(format!("EXISTS (SELECT FROM {from} WHERE {condition})"), Ty::Bool, false)
                    }
                    _ => plain(format!("(SELECT count(*) FROM {from} WHERE {condition})"), Ty::Big, false),
                }
            }
            10 | 13 => {
                self.note(Hazard::InnerList);
                let below = self.some_base();
                let on = self.correlation(scope, &below);
                let count = format!("(SELECT count(*) FROM {} WHERE {on})", below.sql);
                let list = self.dice.pick(&["max({})", "sum({})", "count(DISTINCT {})"]).replace("{}", &count);
                let ty = if list.starts_with("sum") { Ty::Num } else { Ty::Big };
                plain(format!("(SELECT {list} FROM {from} WHERE {i} = {o})"), ty, false)
            }
            1 | 2 => {
                self.note(Hazard::CorrelatedCount);
                plain(format!("(SELECT count(*) FROM {from} WHERE {i} = {o})"), Ty::Big, false)
            }
            12 => match self.column_of(scope, Ty::Int) {
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
