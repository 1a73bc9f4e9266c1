//! Scalar sub-queries for the select list, correlated or not, by key, with aggregates, with LIMIT. Called by `select` and the grouped families.
//! Invariant: a sub-query that may return two rows, which is an error, does so only for a value that is in `facts.unusual`.

use super::{Expr, Gen, Rel};
use crate::hazards::Hazard;
use crate::types::Ty;

fn expr(sql: String, ty: Ty, fuzzy: bool) -> Expr {
    Expr { fuzzy, ..Expr::plain(sql, ty) }
}

impl Gen<'_> {
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
                return Expr::plain(format!("(SELECT count(*) FROM {})", inner.sql), Ty::Big);
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
        let Some((outer, own)) = self.match_up(rels, &inner) else {
            return expr(format!("(SELECT count(*) FROM {})", inner.sql), Ty::Big, false);
        };
        let scope = std::slice::from_ref(&inner);
        let (from, o, i) = (inner.sql.clone(), outer.sql, own.sql.clone());
        match self.dice.below(16) {
            3 | 6 => {
                self.note(Hazard::ArraySubquery);
                let text = own.text();
                expr(format!("ARRAY(SELECT {text} FROM {from} WHERE {i} = {o} ORDER BY {text})"), Ty::Texts, own.fuzzy)
            }
            7 => {
                self.note(Hazard::ScalarNullOrValue);
                let picked = self.any_column(scope);
                let text = picked.text();
                expr(format!("(SELECT min({text}) FROM {from} WHERE {i} = {o})"), Ty::Text, picked.fuzzy)
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
                        expr(format!("(SELECT {value} FROM {from} WHERE {condition})"), ty, false)
                    }
                    _ if self.dice.chance(30) => {
                        self.note(Hazard::UnconnectedExists);
                        expr(format!("EXISTS (SELECT FROM {from} WHERE {condition})"), Ty::Bool, false)
                    }
                    _ => expr(format!("(SELECT count(*) FROM {from} WHERE {condition})"), Ty::Big, false),
                }
            }
            10 | 13 => {
                self.note(Hazard::InnerList);
                let below = self.some_base();
                let on = self.correlation(scope, &below);
                let count = format!("(SELECT count(*) FROM {} WHERE {on})", below.sql);
                let list = self.dice.pick(&["max({})", "sum({})", "count(DISTINCT {})"]).replace("{}", &count);
                let ty = if list.starts_with("sum") { Ty::Num } else { Ty::Big };
                expr(format!("(SELECT {list} FROM {from} WHERE {i} = {o})"), ty, false)
            }
            1 | 2 => {
                self.note(Hazard::CorrelatedCount);
                expr(format!("(SELECT count(*) FROM {from} WHERE {i} = {o})"), Ty::Big, false)
            }
            12 => match self.column_of(scope, Ty::Int) {
                Some(c) => expr(format!("(SELECT sum({}) FROM {from} WHERE {i} = {o})", c.sql), Ty::Big, false),
                None => expr(format!("EXISTS (SELECT FROM {from} WHERE {i} = {o})"), Ty::Bool, false),
            },
            4 => {
                self.note(Hazard::Exists);
                expr(format!("({o} IN (SELECT {i} FROM {from}))"), Ty::Bool, false)
            }
            _ => {
                self.note(Hazard::LimitInside);
                let picked = self.any_column(scope);
                expr(
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
