//! GROUP BY, aggregates without GROUP BY. Called by `Gen::query`.
//! Invariant: what an aggregate returns does not depend on the order of its input, unless it says which order.
//! `keys` makes keys, `call` one aggregate of any kind, `over` expressions over them and HAVING, `sets` GROUPING SETS, `ungrouped` what has no
//! keys; `invertible`, `lists` and `statistics` are the kinds.

mod call;
mod invertible;
mod keys;
mod lists;
mod over;
mod sets;
mod statistics;
mod ungrouped;

use super::{Expr, FromClause, Gen, Query};
use crate::hazards::Hazard;
use crate::types::Ty;

impl Gen<'_> {
    fn aggregates(&mut self, from: &FromClause, make: fn(&mut Self, &FromClause) -> Expr) -> Vec<Expr> {
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
    fn grouped_outputs(
        &mut self,
        keys: Vec<Expr>,
        from: &FromClause,
        make: fn(&mut Self, &FromClause) -> Expr,
    ) -> Vec<Expr> {
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
            outputs.push(Expr::plain(sql, ty));
        }
        outputs
    }

    fn grouped_query(
        &mut self,
        from: &FromClause,
        keys: Vec<Expr>,
        outputs: &[Expr],
        filter: &str,
        having: &str,
    ) -> Query {
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
        let from = self.clause(depth);
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
        let keys = self.group_keys(&from, &[(8, 0), (60, 1), (27, 2), (5, 3)]);
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
        let mut from = FromClause::start(first);
        let count = self.dice.between(0, 2);
        self.add_joins(&mut from, depth.saturating_sub(1), count);
        let keys = self.group_keys(&from, &[(70, 1), (30, 2)]);
        let make = if self.dice.chance(60) { Self::invertible } else { Self::aggregate };
        let outputs = self.grouped_outputs(keys.clone(), &from, make);
        let filter = self.filter(&from.rels, &from.conditions, 0, 25);
        let having = if self.dice.chance(15) { self.having(&from) } else { String::new() };
        self.grouped_query(&from, keys, &outputs, &filter, &having)
    }
}
