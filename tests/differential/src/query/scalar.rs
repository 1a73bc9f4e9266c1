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
            (Some(key), Some(outer), _) if self.dice.chance(85) => {
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

    /// A document with an array of rows of another table, from 100 bytes to some megabytes.
    fn document_of_rows(&mut self, rels: &[Rel], inner: &Rel, condition: &str) -> Expr {
        self.note(Hazard::DocumentOfRows);
        let scope = std::slice::from_ref(inner);
        let (one, other, head) = (self.any_column(scope), self.any_column(scope), self.any_column(rels));
        let value = |e: &Expr| if e.fuzzy { "NULL".to_string() } else { e.sql.clone() };
        let long = *self.dice.pick(&[
            "",
            "",
            ", 'long', repeat(md5(K::text), 20)",
            ", 'long', repeat(K::text || ' words of a long text ', 300)",
            // of thousands of rows it would be gigabytes
            if self.schema.large { "" } else { ", 'long', repeat(K::text || ' words of a long text ', 50000)" },
        ]);
        let long = long.replace('K', &format!("({})", inner.order.first().map_or("1", String::as_str)));
        let element = match self.dice.below(6) {
            0 => value(&one),
            1 => format!("jsonb_build_object('a', {}, 'a', {}{long})", value(&one), value(&other)),
            _ => format!("jsonb_build_object('a', {}, 'n', 1.50, 'b', {}{long})", value(&one), value(&other)),
        };
        let filter =
            if self.dice.chance(20) { format!(" FILTER (WHERE {} IS NOT NULL)", one.sql) } else { String::new() };
        let element = if element == "NULL" { "1.0".into() } else { element };
        let array = format!(
            "(SELECT jsonb_agg({element} ORDER BY {}){filter} FROM {} WHERE {condition})",
            inner.order.join(", "),
            inner.sql
        );
        let array = if self.dice.chance(50) { format!("COALESCE({array}, '[]')") } else { array };
        let nested = format!("jsonb_build_object('h', {}, 'n', 2.00)", value(&head));
        let sql = match self.dice.below(4) {
            0 => array,
            1 => format!("jsonb_build_object('list', {array}, 'head', {nested})"),
            2 => format!("jsonb_build_object('head', {}, 'list', {array}, 'head', {nested})", value(&head)),
            _ => format!(
                "jsonb_build_object('one', jsonb_build_object('list', {array}, 'x', 1.0), 'head', {nested}, 'h', {})",
                value(&head)
            ),
        };
        Expr::plain(sql, Ty::Jsonb)
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
        match self.dice.below(35) {
            20..=23 => self.aggregate_of_first(&inner, &format!("{i} = {o}")),
            24 | 25 => self.aggregate_of_both(rels),
            27 | 28 | 33 if self.schema.features.version >= 16 => {
                self.note(Hazard::JsonArrayOfQuery);
                let text = own.text();
                let returning = self.dice.pick(&["", " RETURNING jsonb"]).to_string();
                let ty = if returning.is_empty() { Ty::Json } else { Ty::Jsonb };
                let query = format!("SELECT {text} FROM {from} WHERE {i} = {o} ORDER BY {text}");
                expr(format!("JSON_ARRAY({query}{returning})"), ty, own.fuzzy)
            }
            16..=19 => self.document_of_rows(rels, &inner, &format!("{i} = {o}")),
            3 | 6 => {
                self.note(Hazard::ArraySubquery);
                let text = own.text();
                expr(format!("ARRAY(SELECT {text} FROM {from} WHERE {i} = {o} ORDER BY {text})"), Ty::Texts, own.fuzzy)
            }
            7 | 15 | 34 => {
                self.note(Hazard::ScalarNullOrValue);
                let picked = self.any_column(scope);
                let text = picked.text();
                expr(format!("(SELECT min({text}) FROM {from} WHERE {i} = {o})"), Ty::Text, picked.fuzzy)
            }
            8 | 9 | 11 | 14 | 31 | 32 => self.single_row(rels, &inner, &format!("{i} = {o}")),
            5 | 26 | 29 | 30 => {
                self.note(Hazard::UnconnectedValue);
                let condition = self.condition(scope, 0);
                let picked = self.any_column(scope);
                let text = picked.text();
                let key = inner.key.first().filter(|_| inner.key.len() == 1).map(|&k| inner.columns[k].clone());
                match key.filter(|k| k.ty == Ty::Int) {
                    _ if self.dice.chance(40) => {
                        let array = format!("ARRAY(SELECT {text} FROM {from} WHERE {condition} ORDER BY {text})");
                        expr(array, Ty::Texts, picked.fuzzy)
                    }
                    Some(key) if self.dice.chance(60) => {
                        let number = self.dice.between(1, 9);
                        expr(
                            format!("(SELECT {text} FROM {from} WHERE {} = {number})", key.sql),
                            Ty::Text,
                            picked.fuzzy,
                        )
                    }
                    _ => {
                        let first = format!("SELECT {text} FROM {from} WHERE {condition} ORDER BY {text} LIMIT 1");
                        expr(format!("({first})"), Ty::Text, picked.fuzzy)
                    }
                }
            }
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
