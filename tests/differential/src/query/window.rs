//! Window functions: numbering over a total order, aggregates over partitions and frames. Called by `Gen::query`.

use super::{Expr, Gen, Query};
use crate::hazards::Hazard;
use crate::types::Ty;

impl Gen<'_> {
    pub fn window(&mut self, depth: u32) -> Query {
        let from = self.from(depth.min(1));
        let order = self.total_order(&from);
        let partition = self.comparable(&from.rels);
        self.facts.partitions.extend(partition.base);
        let mut outputs = vec![];
        let visible = self.expression(&from.rels);
        outputs.push(visible);
        for rel in &from.rels {
            if self.dice.chance(60) {
                outputs.extend(rel.key.iter().map(|&k| rel.columns[k].clone()));
            }
        }
        for _ in 0..self.dice.between(1, 2) {
            let by = match self.dice.below(4) {
                0 => String::new(),
                1 => {
                    let other = self.comparable(&from.rels);
                    format!("PARTITION BY {} ", other.sql)
                }
                _ => format!("PARTITION BY {} ", partition.sql),
            };
            let number = self.column_of(&from.rels, Ty::Int).map(|c| c.sql).unwrap_or("1".into());
            let (sql, ty) = match self.dice.below(7) {
                0 | 1 => {
                    self.note(Hazard::RowNumber);
                    (format!("row_number() OVER ({by}ORDER BY {order})"), Ty::Big)
                }
                2 => {
                    self.note(Hazard::RowNumber);
                    (format!("rank() OVER ({by}ORDER BY {number})"), Ty::Big)
                }
                3 => {
                    self.note(Hazard::WindowSum);
                    (format!("sum({number}) OVER ({by})"), Ty::Big)
                }
                4 => {
                    self.note(Hazard::WindowSum);
                    (format!("count(*) OVER ({by}ORDER BY {number})"), Ty::Big)
                }
                5 => {
                    self.note(Hazard::WindowFrame);
                    (
                        format!("sum({number}) OVER ({by}ORDER BY {order} ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)"),
                        Ty::Big,
                    )
                }
                _ => {
                    self.note(Hazard::WindowFrame);
                    (format!("lag({number}) OVER ({by}ORDER BY {order})"), Ty::Int)
                }
            };
            outputs.push(Expr { sql, ty, fuzzy: false, base: None });
        }
        let filter = self.filter(&from.rels, &from.conditions, 0, 30);
        let mut columns = self.name_outputs(&outputs);
        super::blur(&mut columns);
        let list = self.render_list(&outputs, &columns);
        let sql = format!("SELECT {list} FROM {}{filter}", from.sql);
        if outputs.last().is_some_and(|e| e.sql.starts_with("row_number")) && self.dice.chance(50) {
            // the best row of each partition
            let last = columns.last().map(|c| c.name.clone()).unwrap_or_default();
            let alias = self.alias();
            return Query { sql: format!("SELECT * FROM ({sql}) AS {alias} WHERE {alias}.{last} = 1"), columns };
        }
        Query { sql, columns }
    }
}
