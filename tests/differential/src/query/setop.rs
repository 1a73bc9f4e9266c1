//! UNION, INTERSECT and EXCEPT, with and without ALL, of overlapping branches, nested.
//! Invariant: the branches have the same types. Called by `Gen::query`.

use super::{Expr, Gen, Query, blur};
use crate::hazards::Hazard;
use crate::types::Ty;

const WORDS: &[(u32, &str)] =
    &[(4, "UNION"), (4, "UNION ALL"), (4, "INTERSECT"), (4, "INTERSECT ALL"), (4, "EXCEPT"), (4, "EXCEPT ALL")];

impl Gen<'_> {
    /// A SELECT of these types without its list, and the list.
    fn branch(&mut self, types: &[Ty], depth: u32) -> (String, Vec<Expr>) {
        let count = self.dice.weighted(&[(75, 1), (25, 2)]);
        let from = self.join_of(depth, count);
        let outputs: Vec<Expr> = types
            .iter()
            .map(|&ty| match self.column_of(&from.rels, ty) {
                Some(e) => e,
                None => Expr::plain(ty.literal_or_null(self.dice), ty),
            })
            .collect();
        let filter = self.filter(&from.rels, &from.conditions, depth.min(2), 40);
        (format!("{}{filter}", from.sql), outputs)
    }

    fn word(&mut self) -> &'static str {
        let word = self.dice.weighted(WORDS);
        self.note(match word {
            "UNION" => Hazard::Union,
            "UNION ALL" => Hazard::UnionAll,
            "INTERSECT" | "INTERSECT ALL" => Hazard::Intersect,
            _ => Hazard::Except,
        });
        word
    }

    /// One more branch as SQL; remembers the columns that it makes undetermined.
    fn further(&mut self, types: &[Ty], depth: u32, fuzzy: &mut [bool]) -> String {
        let (from, outputs) = self.branch(types, depth);
        for (f, o) in fuzzy.iter_mut().zip(&outputs) {
            *f |= o.fuzzy;
        }
        let plain = outputs.iter().map(|e| e.sql.clone()).collect::<Vec<_>>().join(", ");
        format!("SELECT {plain} FROM {from}")
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
        let below = depth.saturating_sub(1);
        let (left, outputs) = self.branch(&types, below);
        let mut columns = self.name_outputs(&outputs);
        let mut fuzzy = vec![false; types.len()];
        let right = self.further(&types, below, &mut fuzzy);
        let list = self.render_list(&outputs, &columns);
        let word = self.word();
        let mut sql = format!("SELECT {list} FROM {left} {word} {right}");
        let mut distinct = word != "UNION ALL";
        match self.dice.below(10) {
            0 | 1 => {
                self.note(Hazard::NestedSetOperation);
                let third = self.further(&types, below, &mut fuzzy);
                let word = self.word();
                distinct |= word != "UNION ALL";
                sql = format!("({sql}) {word} {third}");
            }
            2 | 3 => {
                self.note(Hazard::NestedSetOperation);
                let (third, fourth) = (self.further(&types, 0, &mut fuzzy), self.further(&types, 0, &mut fuzzy));
                let (outer, inner) = (self.word(), self.word());
                distinct |= outer != "UNION ALL" || inner != "UNION ALL";
                sql = format!("({sql}) {outer} ({third} {inner} {fourth})");
            }
            _ => {}
        }
        for (c, f) in columns.iter_mut().zip(fuzzy) {
            c.fuzzy |= f;
        }
        if distinct {
            blur(&mut columns);
        }
        if self.dice.chance(15) {
            sql = format!("{sql} ORDER BY 1");
        }
        Query { sql, columns }
    }
}
