//! Aggregates without GROUP BY.
//! Invariant: such a query has one row, or by HAVING none. Called by `Gen::query`, and by `foldable` where it has no keys.

use crate::hazards::Hazard;
use crate::query::{Expr, FromClause, Gen, Query};
use crate::types::Ty;

impl Gen<'_> {
    pub fn ungrouped(&mut self, depth: u32) -> Query {
        let from = self.clause(depth);
        let filter = self.filter(&from.rels, &from.conditions, depth.min(2), 35);
        self.without_groups(&from, Self::aggregate, &filter)
    }

    /// Aggregates of the distinct values of several columns, whose parts are kept apart.
    fn distinct_of_several(&mut self, from: &FromClause, outputs: &mut Vec<Expr>) {
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
            outputs.push(Expr::plain(call, ty));
        }
    }

    pub(super) fn without_groups(
        &mut self,
        from: &FromClause,
        make: fn(&mut Self, &FromClause) -> Expr,
        filter: &str,
    ) -> Query {
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
