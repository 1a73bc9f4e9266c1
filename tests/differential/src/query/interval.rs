//! Windows of one table, or of two that are joined, in one order, or in two: a changed row concerns its neighbours, or what comes after it.
//! Invariant: the order is total, for tables with a key by the key. Called by `Gen::query`.

use super::{Expr, FromClause, Gen, Query};
use crate::hazards::Hazard;
use crate::types::Ty;

impl Gen<'_> {
    pub fn interval(&mut self, _depth: u32) -> Query {
        self.note(Hazard::WindowInterval);
        let mut from = FromClause::start(self.some_base());
        if self.dice.chance(30) {
            self.note(Hazard::WindowOverJoin);
            let other = self.some_base();
            let on = self.correlation(&from.rels, &other);
            from.sql = format!("{} JOIN {} ON {on}", from.sql, other.sql);
            from.rels.push(other);
        }
        let mut outputs: Vec<Expr> = vec![];
        let mut partition = String::new();
        if self.dice.chance(50) {
            let by = self.comparable(&from.rels);
            if let Some(base) = by.base {
                self.facts.partitions.push(base);
                partition = format!("PARTITION BY {} ", by.sql);
                outputs.push(by);
            }
        } else {
            self.note(Hazard::WindowOverAll);
        }
        for rel in &from.rels {
            if self.dice.chance(80) {
                outputs.extend(rel.key.iter().map(|&k| rel.columns[k].clone()));
            }
        }
        let one = *self.dice.pick(&["", "", " DESC"]);
        let mixed = self.dice.chance(20);
        let directed: Vec<String> = from
            .rels
            .iter()
            .flat_map(|rel| &rel.order)
            .map(|e| format!("{e}{}", if mixed { *self.dice.pick(&["", " DESC"]) } else { one }))
            .collect();
        let mut order = if self.dice.chance(45) { self.with_nulls(&from) } else { vec![] };
        order.extend(directed.iter().cloned());
        let mut windows = vec![format!("{partition}ORDER BY {}", order.join(", "))];
        if self.dice.chance(45) {
            windows.push(self.other_order(&from, &directed));
        }
        let number = self.column_of(&from.rels, Ty::Int).map(|c| c.sql).unwrap_or("1".into());
        if self.dice.chance(60) {
            outputs.push(self.expression(&from.rels));
        }
        for _ in 0..self.dice.between(1, 3) {
            let window = self.dice.pick(&windows).clone();
            let call = self.in_order(&number, &window);
            let sum = matches!(call.ty, Ty::Big) && self.dice.chance(15);
            outputs.push(if sum { Expr { sql: format!("{} + 1", call.sql), ..call } } else { call });
        }
        let filter = self.filter(&from.rels, &from.conditions, 0, 40);
        let mut columns = self.name_outputs(&outputs);
        super::blur(&mut columns);
        let list = self.render_list(&outputs, &columns);
        Query { sql: format!("SELECT {list} FROM {}{filter}", from.sql), columns }
    }

    /// One or two columns that can be NULL, to be ordered by before others.
    fn with_nulls(&mut self, from: &FromClause) -> Vec<String> {
        let able = |e: &Expr| e.ty.is_integer() && e.base.is_some_and(|base| self.nullable(base));
        let all: Vec<Expr> = self.columns_of(&from.rels).into_iter().filter(able).collect();
        let mut order = vec![];
        for _ in 0..self.dice.between(1, 2) {
            let Some(column) = self.dice.maybe(&all).cloned() else { break };
            if let Some(base) = column.base {
                self.note(Hazard::NullsInOrder);
                self.facts.aggregated.push(base);
                self.facts.partitions.push(base);
            }
            let direction = self.dice.pick(&["", " DESC", " NULLS FIRST", " DESC NULLS LAST"]);
            order.push(format!("{}{direction}", column.sql));
        }
        order
    }

    /// Over all rows in another order: by a column that is never NULL, where there is one, before those of the first order, in the other direction.
    fn other_order(&mut self, from: &FromClause, directed: &[String]) -> String {
        self.note(Hazard::SeveralOrders);
        let able = |e: &Expr| e.ty.is_integer() && e.base.is_some_and(|base| !self.nullable(base));
        let all: Vec<Expr> = self.columns_of(&from.rels).into_iter().filter(able).collect();
        let first = if self.dice.chance(30) {
            self.with_nulls(from)
        } else {
            self.dice.maybe(&all).map(|e| e.sql.clone()).into_iter().collect()
        };
        let turned = |e: &String| e.strip_suffix(" DESC").map_or(format!("{e} DESC"), str::to_string);
        let order: Vec<String> = first.into_iter().chain(directed.iter().map(turned)).collect();
        format!("ORDER BY {}", order.join(", "))
    }

    /// A window function that looks at neighbours, or goes on from the row before.
    fn in_order(&mut self, number: &str, window: &str) -> Expr {
        let running = *self.dice.pick(&["", "", " ROWS UNBOUNDED PRECEDING"]);
        let near = *self.dice.pick(&[
            " ROWS 1 PRECEDING",
            " ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING",
            " ROWS BETWEEN CURRENT ROW AND 2 FOLLOWING",
            " ROWS BETWEEN 3 PRECEDING AND 2 PRECEDING",
            " ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW",
        ]);
        let (call, frame, ty) = match self.dice.below(12) {
            0 => ("row_number()".to_string(), "", Ty::Big),
            1 => (format!("{}()", self.dice.pick(&["rank", "dense_rank"])), "", Ty::Big),
            2 | 3 => (format!("sum({number})"), running, Ty::Big),
            4 => (format!("count({number}) FILTER (WHERE {number} > 1)"), running, Ty::Big),
            5 => (format!("{}({number})", self.dice.pick(&["min", "max", "first_value"])), running, Ty::Int),
            6 => (format!("lag({number})"), "", Ty::Int),
            7 => (format!("lead({number}, 2)"), "", Ty::Int),
            8 => (format!("lag({number}, 3, 0)"), "", Ty::Int),
            9 => (format!("{}({number})", self.dice.pick(&["max", "last_value", "first_value"])), near, Ty::Int),
            _ => (format!("sum({number})"), near, Ty::Big),
        };
        self.note(if frame.is_empty() { Hazard::WindowValue } else { Hazard::WindowFrame });
        Expr::plain(format!("{call} OVER ({window}{frame})"), ty)
    }
}
