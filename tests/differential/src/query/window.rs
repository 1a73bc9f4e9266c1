//! Window functions: numbering over a total order, aggregates over partitions and frames, over grouped queries. Called by `Gen::query`.
//! Invariant: what depends on the order of rows has a total order; ties get the same value (rank, RANGE frames) otherwise. Rows that are the same in
//! every column stand in any order, which could be another one in another partition: where there may be such rows, what depends on the order is
//! all over the same window.

use super::{Expr, FromClause, Gen, Query};
use crate::hazards::Hazard;
use crate::types::Ty;

impl Gen<'_> {
    /// One call, over a new window definition or over a named window.
    fn window_call(&mut self, from: &FromClause, partitions: &[Expr], order: &str, only: Option<&str>) -> Expr {
        let by = self.partition(partitions);
        let ordered = only.unwrap_or(&by);
        let number = self.column_of(&from.rels, Ty::Int).map(|c| c.sql).unwrap_or("1".into());
        let total = format!("({ordered}ORDER BY {order})");
        let ties = format!("({by}ORDER BY {number})");
        let mut note = |hazard| self.facts.hazards.insert(hazard);
        let (sql, ty) = match self.dice.below(17) {
            0..=2 => {
                note(Hazard::RowNumber);
                (format!("row_number() OVER {total}"), Ty::Big)
            }
            3 => {
                note(Hazard::RowNumber);
                let word = self.dice.pick(&["rank", "dense_rank"]);
                (format!("{word}() OVER {ties}"), Ty::Big)
            }
            4 => {
                note(Hazard::Distribution);
                let word = self.dice.pick(&["percent_rank", "cume_dist"]);
                return Expr { sql: format!("{word}() OVER {ties}"), ty: Ty::Approx, fuzzy: true, base: None };
            }
            5 => {
                note(Hazard::Distribution);
                (format!("ntile(2) OVER {total}"), Ty::Int)
            }
            6 | 7 => {
                note(Hazard::WindowSum);
                (format!("sum({number}) OVER ({by})"), Ty::Big)
            }
            8 => {
                note(Hazard::WindowSum);
                (format!("count(*) OVER {ties}"), Ty::Big)
            }
            9 => {
                note(Hazard::WindowSum);
                (format!("count(*) FILTER (WHERE {number} > 1) OVER ({by})"), Ty::Big)
            }
            10 | 11 => {
                note(Hazard::WindowFrame);
                let frame = *self.dice.pick(&[
                    "ROWS BETWEEN 1 PRECEDING AND CURRENT ROW",
                    "ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING",
                    "ROWS BETWEEN 1 FOLLOWING AND 2 FOLLOWING",
                    "ROWS UNBOUNDED PRECEDING",
                    "",
                    "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW",
                    "ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
                ]);
                (format!("sum({number}) OVER ({ordered}ORDER BY {order} {frame})"), Ty::Big)
            }
            12 => {
                note(Hazard::WindowFrame);
                let frame = *self.dice.pick(&[
                    "RANGE BETWEEN 1 PRECEDING AND 1 FOLLOWING",
                    "GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE TIES",
                    "GROUPS BETWEEN CURRENT ROW AND 1 FOLLOWING EXCLUDE GROUP",
                ]);
                // of rows that are equal in the order, EXCLUDE TIES keeps the current one: a sum over them is the same for each
                (format!("sum({number}) OVER ({by}ORDER BY {number} {frame})"), Ty::Big)
            }
            n @ (13 | 14) => {
                let word = match n {
                    13 => format!("{}({number})", self.dice.pick(&["lag", "lead", "first_value", "last_value"])),
                    _ => format!("nth_value({number}, 2)"),
                };
                let nulls = match self.schema.features.version {
                    19.. => *self.dice.pick(&["", " IGNORE NULLS", " IGNORE NULLS", " RESPECT NULLS"]),
                    _ => "",
                };
                self.note(Hazard::WindowValue);
                if !nulls.is_empty() {
                    self.note(Hazard::IgnoreNulls);
                }
                (format!("{word}{nulls} OVER {total}"), Ty::Int)
            }
            _ => {
                note(Hazard::NamedWindow);
                let word = self.dice.pick(&["row_number()", "count(*)", "max(1)"]);
                (format!("{word} OVER w{}", self.dice.below(2)), Ty::Big)
            }
        };
        let ty = if sql.starts_with("max(1)") { Ty::Int } else { ty };
        Expr::plain(sql, ty)
    }

    /// `PARTITION BY …`, or nothing.
    fn partition(&mut self, partitions: &[Expr]) -> String {
        match self.dice.below(5) {
            0 => {
                self.note(Hazard::WindowOverAll);
                String::new()
            }
            _ => format!("PARTITION BY {} ", self.dice.pick(partitions).sql),
        }
    }

    pub fn window(&mut self, depth: u32) -> Query {
        let from = if depth > 0 && self.dice.chance(25) {
            self.note(Hazard::WindowOverGroups);
            let inner = self.foldable();
            let rel = self.named(&format!("({})", inner.sql), &inner.columns);
            FromClause::start(rel)
        } else {
            self.clause(depth.min(2))
        };
        let order = self.total_order(&from);
        let mut partitions: Vec<Expr> = vec![];
        for _ in 0..self.dice.between(1, 2) {
            let e = self.comparable(&from.rels);
            if let Some(base) = e.base {
                self.facts.partitions.push(base);
                if self.nullable(base) {
                    self.note(Hazard::NullPartition);
                }
            }
            partitions.push(e);
        }
        let mut outputs = vec![self.expression(&from.rels)];
        for rel in &from.rels {
            if self.dice.chance(60) {
                outputs.extend(rel.key.iter().map(|&k| rel.columns[k].clone()));
            }
        }
        let only = from.rels.iter().any(|r| r.key.is_empty()).then(|| self.partition(&partitions));
        let calls: Vec<Expr> = (0..self.dice.between(1, 3))
            .map(|_| self.window_call(&from, &partitions, &order, only.as_deref()))
            .collect();
        let used = |p: &Expr| calls.iter().any(|c| c.sql.contains(&format!("PARTITION BY {} ", p.sql)));
        if partitions.len() == 2 && partitions[0].sql != partitions[1].sql && partitions.iter().all(used) {
            self.note(Hazard::TwoPartitions);
            if from.rels.iter().any(|r| r.key.is_empty()) {
                self.note(Hazard::PartitionsWithoutKey);
            }
        }
        let named = calls.iter().any(|c| c.sql.contains(" OVER w"));
        outputs.extend(calls);
        if self.dice.chance(18)
            && let Some(rows) = self.rows_of(&from.rels)
        {
            self.note(Hazard::SetsOverWindows);
            outputs.push(rows);
        }
        let mut filter = self.filter(&from.rels, &from.conditions, 0, 30);
        if named {
            let by =
                |p: Option<&Expr>| only.clone().or(p.map(|p| format!("PARTITION BY {} ", p.sql))).unwrap_or_default();
            let (first, last) = (by(partitions.first()), by(partitions.last()));
            filter += &format!(" WINDOW w0 AS ({first}ORDER BY {order}), w1 AS ({last}ORDER BY {order})");
        }
        let mut columns = self.name_outputs(&outputs);
        super::blur(&mut columns);
        let list = self.render_list(&outputs, &columns);
        let mut distinct = "";
        if self.dice.chance(12) && outputs.iter().all(|e| e.ty.has_equality()) {
            self.note(Hazard::DistinctOverWindows);
            distinct = "DISTINCT ";
        }
        let sql = format!("SELECT {distinct}{list} FROM {}{filter}", from.sql);
        let best = outputs.iter().position(|e| e.sql.starts_with("row_number"));
        if let Some(number) = best.filter(|_| self.dice.chance(50)) {
            // the best rows of each partition
            self.note(Hazard::BestRow);
            let alias = self.alias();
            let limit = self.dice.pick(&["= 1", "<= 2"]);
            let condition = format!("{alias}.{} {limit}", columns[number].name);
            return Query { sql: format!("SELECT * FROM ({sql}) AS {alias} WHERE {condition}"), columns };
        }
        Query { sql, columns }
    }
}
