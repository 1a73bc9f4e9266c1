//! UNION, INTERSECT and EXCEPT, with and without ALL, of overlapping branches. Called by `Gen::query`.

use super::{blur, Expr, Gen, Query};
use crate::hazards::Hazard;
use crate::types::Ty;

impl Gen<'_> {
    fn branch(&mut self, types: &[Ty], depth: u32) -> (String, Vec<Expr>) {
        let count = self.dice.weighted(&[(75, 1), (25, 2)]);
        let from = self.join_of(depth, count);
        let outputs: Vec<Expr> = types
            .iter()
            .map(|&ty| match self.column_of(&from.rels, ty) {
                Some(e) => e,
                None => Expr { sql: ty.literal_or_null(self.dice), ty, fuzzy: false, base: None },
            })
            .collect();
        let filter = self.filter(&from.rels, &from.conditions, depth.min(1), 40);
        (format!("{}{filter}", from.sql), outputs)
    }

    pub fn set_operation(&mut self, depth: u32) -> Query {
        let first = self.dice.below(self.schema.tables.len());
        let mut types: Vec<Ty> = vec![Ty::Int];
        for _ in 0..self.dice.below(3) {
            let column = self.dice.pick(&self.schema.tables[first].columns).ty;
            if column.has_equality() {
                types.push(column);
            }
        }
        let word = self.dice.weighted(&[
            (4, "UNION"),
            (4, "UNION ALL"),
            (2, "INTERSECT"),
            (2, "INTERSECT ALL"),
            (2, "EXCEPT"),
            (3, "EXCEPT ALL"),
        ]);
        self.note(match word {
            "UNION" => Hazard::Union,
            "UNION ALL" => Hazard::UnionAll,
            "INTERSECT" | "INTERSECT ALL" => Hazard::Intersect,
            _ => Hazard::Except,
        });
        let below = depth.saturating_sub(1);
        let (left, outputs) = self.branch(&types, below);
        let (right, others) = self.branch(&types, below);
        let mut columns = self.name_outputs(&outputs);
        for (c, o) in columns.iter_mut().zip(&others) {
            c.fuzzy |= o.fuzzy;
        }
        if word != "UNION ALL" {
            blur(&mut columns);
        }
        let list = self.render_list(&outputs, &columns);
        let plain = others.iter().map(|e| e.sql.clone()).collect::<Vec<_>>().join(", ");
        let mut sql = format!("SELECT {list} FROM {left} {word} SELECT {plain} FROM {right}");
        if self.dice.chance(15) {
            let (third, outputs) = self.branch(&types, below);
            for (c, o) in columns.iter_mut().zip(&outputs) {
                c.fuzzy |= o.fuzzy;
            }
            blur(&mut columns);
            let plain = outputs.iter().map(|e| e.sql.clone()).collect::<Vec<_>>().join(", ");
            let word = self.dice.pick(&["UNION", "UNION ALL", "EXCEPT"]);
            sql = format!("({sql}) {word} SELECT {plain} FROM {third}");
        }
        Query { sql, columns }
    }
}
