//! GROUP BY, aggregates without GROUP BY. Called by `Gen::query`.
//! `call` makes one aggregate of any kind, `over` expressions over them and HAVING, `sets` GROUPING SETS, `invertible`, `lists` and `statistics` are the kinds.

mod call;
mod invertible;
mod lists;
mod over;
mod sets;
mod statistics;

use super::{Expr, Gen, Query, from::From};
use crate::hazards::Hazard;
use crate::types::Ty;

impl Gen<'_> {
    fn group_key(&mut self, from: &From) -> Expr {
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
            return Expr { sql: "(1 + 1)".into(), ty: Ty::Int, fuzzy: false, base: None };
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
                _ => Expr { sql: format!("({} IS NULL)", e.sql), ty: Ty::Bool, fuzzy: false, base: None },
            };
        }
        let fuzzy = e.fuzzy || e.ty.is_ambiguous();
        Expr { fuzzy, ..e }
    }

    fn group_keys(&mut self, from: &From, counts: &[(u32, usize)]) -> Vec<Expr> {
        let mut keys: Vec<Expr> = vec![];
        for _ in 0..self.dice.weighted(counts) {
            let key = self.group_key(from);
            if keys.iter().all(|k| k.sql != key.sql) {
                keys.push(key);
            }
        }
        keys
    }

    fn aggregates(&mut self, from: &From, make: fn(&mut Self, &From) -> Expr) -> Vec<Expr> {
        if from.sql.contains("GROUP BY") {
            self.note(Hazard::AggregateOfAggregate);
        }
        if from.sql.contains("SELECT DISTINCT") {
            self.note(Hazard::DistinctBelow);
        }
        let count = self.dice.between(1, 4);
        (0..count)
            .map(|_| if self.dice.chance(18) { self.over_aggregates(from, make) } else { make(self, from) })
            .collect()
    }

    /// The outputs: keys, of which some may be left out, and aggregates.
    fn grouped_outputs(&mut self, keys: Vec<Expr>, from: &From, make: fn(&mut Self, &From) -> Expr) -> Vec<Expr> {
        let mut outputs = keys;
        if self.dice.chance(15) {
            self.note(Hazard::KeyNotInOutput);
            let keep = if self.dice.chance(50) { 0 } else { outputs.len().saturating_sub(1) };
            outputs.truncate(keep);
        }
        let plain: Vec<Expr> = outputs.iter().filter(|e| e.base.is_some()).cloned().collect();
        outputs.extend(self.aggregates(from, make));
        if self.dice.chance(6) {
            self.note(Hazard::BesideAggregates);
            let keys = super::Rel { sql: String::new(), order: vec![], columns: plain, names: vec![], key: vec![] };
            let sublink = self.scalar_subquery(&[keys]);
            outputs.push(sublink);
        }
        if self.dice.chance(9)
            && let Some(sublink) = self.of_aggregate(from)
        {
            outputs.push(sublink);
        }
        if self.dice.chance(4) {
            self.note(Hazard::WindowOverAggregates);
            let sql = *self.dice.pick(&["rank() OVER (ORDER BY count(*))", "sum(count(*)) OVER ()"]);
            let ty = if sql.starts_with("rank") { Ty::Big } else { Ty::Num };
            outputs.push(call::plain(sql.into(), ty));
        }
        outputs
    }

    fn grouped_query(&mut self, from: &From, keys: Vec<Expr>, outputs: &[Expr], filter: &str, having: &str) -> Query {
        let group = keys.iter().map(|k| k.sql.clone()).collect::<Vec<_>>().join(", ");
        let mut columns = self.name_outputs(outputs);
        let list = self.render_list(outputs, &columns);
        for (column, output) in columns.iter_mut().zip(outputs) {
            column.origin = output.base;
        }
        let mut distinct = "";
        if self.dice.chance(7) && outputs.iter().all(|e| e.ty.has_equality()) {
            self.note(Hazard::DistinctOverGroups);
            distinct = "DISTINCT ";
            super::blur(&mut columns);
        }
        Query { sql: format!("SELECT {distinct}{list} FROM {}{filter} GROUP BY {group}{having}", from.sql), columns }
    }

    pub fn grouped(&mut self, depth: u32) -> Query {
        self.note(Hazard::Grouped);
        let from = self.from(depth);
        let keys = self.group_keys(&from, &[(60, 1), (32, 2), (8, 3)]);
        let outputs = self.grouped_outputs(keys.clone(), &from, Self::aggregate);
        let filter = self.filter(&from.rels, &from.conditions, depth.min(2), 35);
        let having = if self.dice.chance(25) { self.having(&from) } else { String::new() };
        self.grouped_query(&from, keys, &outputs, &filter, &having)
    }

    /// Only what a sum of changes can maintain: base tables, inner and left joins on equality, invertible aggregates.
    pub fn foldable(&mut self) -> Query {
        self.note(Hazard::Grouped);
        self.note(Hazard::Foldable);
        let from = self.plain_joins();
        let keys = self.group_keys(&from, &[(6, 0), (60, 1), (28, 2), (6, 3)]);
        let filter = self.filter(&from.rels, &from.conditions, 0, 35);
        if keys.is_empty() {
            return self.without_groups(&from, Self::invertible, &filter);
        }
        let outputs = self.grouped_outputs(keys.clone(), &from, Self::invertible);
        let having = if self.dice.chance(20) { self.having(&from) } else { String::new() };
        self.grouped_query(&from, keys, &outputs, &filter, &having)
    }

    /// A grouped sub-query joined and grouped again.
    pub fn layered(&mut self, depth: u32) -> Query {
        self.note(Hazard::Grouped);
        self.note(Hazard::GroupedJoinedGrouped);
        let inner = match self.dice.below(3) {
            0 => self.foldable(),
            1 => self.grouped(depth.saturating_sub(1).min(1)),
            _ => self.distinct(0),
        };
        let first = self.named(&format!("({})", inner.sql), &inner.columns);
        let mut from = From::start(first);
        let count = self.dice.between(0, 2);
        self.add_joins(&mut from, depth.saturating_sub(1), count);
        let keys = self.group_keys(&from, &[(70, 1), (30, 2)]);
        let make = if self.dice.chance(60) { Self::invertible } else { Self::aggregate };
        let outputs = self.grouped_outputs(keys.clone(), &from, make);
        let filter = self.filter(&from.rels, &from.conditions, 0, 25);
        let having = if self.dice.chance(15) { self.having(&from) } else { String::new() };
        self.grouped_query(&from, keys, &outputs, &filter, &having)
    }

    pub fn ungrouped(&mut self, depth: u32) -> Query {
        let from = self.from(depth);
        let filter = self.filter(&from.rels, &from.conditions, depth.min(2), 35);
        self.without_groups(&from, Self::aggregate, &filter)
    }

    /// Aggregates of the distinct values of several columns, whose parts are kept apart.
    fn distinct_of_several(&mut self, from: &From, outputs: &mut Vec<Expr>) {
        let columns: Vec<Expr> = (0..self.dice.between(2, 3)).map(|_| self.comparable(&from.rels)).collect();
        if columns.iter().any(|c| c.sql != columns[0].sql) {
            self.note(Hazard::DistinctOfSeveral);
        }
        for column in columns {
            self.facts.aggregated.extend(column.base);
            let call = match self.dice.below(3) {
                0 if matches!(column.ty, Ty::Int | Ty::Big) => format!("sum(DISTINCT {})", column.sql),
                1 => format!("count(DISTINCT {}) FILTER (WHERE {})", column.sql, self.condition(&from.rels, 0)),
                _ => format!("count(DISTINCT {})", column.sql),
            };
            let ty = if call.starts_with("sum") && column.ty == Ty::Big { Ty::Num } else { Ty::Big };
            outputs.push(call::plain(call, ty));
        }
    }

    fn without_groups(&mut self, from: &From, make: fn(&mut Self, &From) -> Expr, filter: &str) -> Query {
        self.note(Hazard::NoGroupBy);
        let mut outputs = self.aggregates(from, make);
        if self.dice.chance(30) {
            self.distinct_of_several(from, &mut outputs);
        }
        if let Some((table, _)) = from.rels[0].columns.first().and_then(|c| c.base) {
            self.facts.ungrouped.push(table);
        }
        let having = if self.dice.chance(15) { self.having(from) } else { String::new() };
        let columns = self.name_outputs(&outputs);
        let list = self.render_list(&outputs, &columns);
        Query { sql: format!("SELECT {list} FROM {}{filter}{having}", from.sql), columns }
    }
}
