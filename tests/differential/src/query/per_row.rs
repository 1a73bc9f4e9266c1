//! Sub-queries that applications write for each row: the latest few as one value, several tables together, values beside aggregates.
//! Invariant: rows are the first ones by a total order, and lists are ordered by what they show. Called by `scalar`, `sublink` and `lateral`.

use super::{Expr, Gen, Rel};
use crate::hazards::Hazard;
use crate::types::Ty;

impl Gen<'_> {
    /// A query over rows of two tables that belong to the row, with one column of text; whether the column can be told.
    pub fn rows_of_both(&mut self, rels: &[Rel]) -> (String, bool) {
        self.note(Hazard::UnionPerRow);
        let branch = |query: &mut Self| {
            let inner = query.some_base();
            let condition = query.correlation(rels, &inner);
            let picked = query.any_column(std::slice::from_ref(&inner));
            (format!("SELECT {} AS v FROM {} WHERE {condition}", picked.text(), inner.sql), picked.fuzzy)
        };
        let (one, other) = (branch(self), branch(self));
        let word = *self.dice.pick(&["UNION ALL", "UNION ALL", "UNION", "EXCEPT", "INTERSECT ALL"]);
        (format!("{} {word} {}", one.0, other.0), one.1 || other.1)
    }

    /// An aggregate over the first rows of another table, or over its rows with their ranks.
    pub fn aggregate_of_first(&mut self, inner: &Rel, condition: &str) -> Expr {
        self.note(Hazard::AggregateOfFirst);
        let picked = self.any_column(std::slice::from_ref(inner));
        let order = inner.order.join(", ");
        let alias = self.alias();
        let (text, from) = (picked.text(), &inner.sql);
        let limit = self.dice.between(1, 3);
        let first = format!("SELECT {text} AS v FROM {from} WHERE {condition} ORDER BY {order} LIMIT {limit}");
        let (sql, ty) = match self.dice.below(6) {
            0 => (format!("(SELECT count(*) FROM ({first}) {alias})"), Ty::Big),
            1 => {
                let documents = format!("jsonb_agg(jsonb_build_object('v', {alias}.v) ORDER BY {alias}.v)");
                (format!("COALESCE((SELECT {documents} FROM ({first}) {alias}), '[]')"), Ty::Jsonb)
            }
            2 => {
                let one = format!("SELECT {text} AS v FROM {from} WHERE {condition} ORDER BY {order} LIMIT 1");
                (format!("(SELECT row_to_json({alias})::jsonb FROM ({one}) {alias})"), Ty::Jsonb)
            }
            3 => {
                let ranked = format!(
                    "SELECT {text} AS v, row_number() OVER (ORDER BY {order}) AS r FROM {from} WHERE {condition}"
                );
                let list =
                    format!("string_agg({alias}.r::text || ':' || COALESCE({alias}.v, ''), ',' ORDER BY {alias}.r)");
                (format!("(SELECT {list} FROM ({ranked}) {alias})"), Ty::Text)
            }
            4 => {
                let distinct = format!("SELECT DISTINCT {text} AS v FROM {from} WHERE {condition} LIMIT 1000");
                (format!("(SELECT string_agg({alias}.v, ',' ORDER BY {alias}.v) FROM ({distinct}) {alias})"), Ty::Text)
            }
            _ => (format!("(SELECT string_agg({alias}.v, ',' ORDER BY {alias}.v) FROM ({first}) {alias})"), Ty::Text),
        };
        Expr { sql, ty, fuzzy: picked.fuzzy, base: None }
    }

    /// A list, or the number, of the rows of two tables that belong to the row.
    pub fn aggregate_of_both(&mut self, rels: &[Rel]) -> Expr {
        let (rows, fuzzy) = self.rows_of_both(rels);
        let alias = self.alias();
        match self.dice.below(3) {
            0 => Expr::plain(format!("ARRAY({rows} ORDER BY 1)"), Ty::Texts).or_fuzzy(fuzzy),
            1 => {
                let list = format!("(SELECT string_agg({alias}.v, ',' ORDER BY {alias}.v) FROM ({rows}) {alias})");
                Expr::plain(list, Ty::Text).or_fuzzy(fuzzy)
            }
            _ => Expr::plain(format!("(SELECT count(*) FROM ({rows}) {alias})"), Ty::Big).or_fuzzy(fuzzy),
        }
    }

    /// Aggregates of another table, and beside them a value of a third one: the columns `v` and `w`.
    pub fn value_beside(&mut self, rels: &[Rel]) -> String {
        self.note(Hazard::ValueBeside);
        let (inner, other) = (self.some_base(), self.some_base());
        let (here, there) = (self.correlation(rels, &inner), self.correlation(rels, &other));
        let text = self.any_column(std::slice::from_ref(&other)).text();
        format!(
            "SELECT count(*) AS v, (SELECT max({text}) FROM {} WHERE {there}) AS w FROM {} WHERE {here}",
            other.sql, inner.sql
        )
    }
}

impl Expr {
    fn or_fuzzy(self, fuzzy: bool) -> Expr {
        Expr { fuzzy: self.fuzzy || fuzzy, ..self }
    }
}
