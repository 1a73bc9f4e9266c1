//! Aggregates that keep all their input: strings, arrays, JSON, ranges.
//! Invariant: their input has an order, by which rows that are not the same are told apart where the result shows it. Called by `aggregate`.

use crate::hazards::Hazard;
use crate::query::{Expr, FromClause, Gen};
use crate::types::Ty;

impl Gen<'_> {
    pub fn list_aggregate(&mut self, from: &FromClause) -> Expr {
        let Some(column) = self.some_column(from, |e| !e.fuzzy) else {
            return Expr::plain("count(*)", Ty::Big);
        };
        let order = self.total_order(from);
        self.note(Hazard::OrderedAggregate);
        self.aggregated(&column);
        let (c, text) = (&column.sql, column.text());
        let json16 = self.features.version >= 16;
        let (sql, ty) = match self.dice.below(14) {
            0 | 1 => (format!("string_agg({text}, ',' ORDER BY {text})"), Ty::Text),
            2 => (format!("string_agg({text}, ',' ORDER BY {order})"), Ty::Text),
            3 if !matches!(column.ty, Ty::Ints | Ty::Texts) => {
                (format!("array_agg({text} ORDER BY {text} DESC)"), Ty::Texts)
            }
            4 if column.ty == Ty::Int => (format!("array_agg({c} ORDER BY {c} NULLS FIRST)"), Ty::Ints),
            5 | 6 => {
                self.note(Hazard::Document);
                (format!("jsonb_agg({c} ORDER BY {order})"), Ty::Jsonb)
            }
            7 => (format!("json_agg({c} ORDER BY {order})"), Ty::Json),
            8 => {
                self.note(Hazard::ObjectAggregate);
                (format!("jsonb_object_agg(coalesce({text}, '~'), {c} ORDER BY {order})"), Ty::Jsonb)
            }
            9 => {
                self.note(Hazard::ObjectAggregate);
                (format!("json_object_agg(coalesce({text}, '~'), {c} ORDER BY {order})"), Ty::Json)
            }
            10 if json16 => {
                self.note(Hazard::SqlJsonAggregate);
                let null = self.dice.pick(&["NULL", "ABSENT"]);
                (format!("JSON_ARRAYAGG({c} ORDER BY {order} {null} ON NULL RETURNING jsonb)"), Ty::Jsonb)
            }
            // its syntax has no ORDER BY: the last of several equal keys would win, in whatever order
            11 if json16 => {
                self.note(Hazard::SqlJsonAggregate);
                (format!("JSON_OBJECTAGG(coalesce({text}, '~') VALUE {text} RETURNING jsonb)"), Ty::Jsonb)
            }
            12 if column.ty == Ty::Range => (format!("range_agg({c})::text"), Ty::Text),
            12 if column.ty == Ty::Bytea => (format!("string_agg({c}, '\\x2c' ORDER BY {c})"), Ty::Bytea),
            _ => {
                self.note(Hazard::Document);
                let document = self.document(from);
                (format!("jsonb_agg({document} ORDER BY {order})"), Ty::Jsonb)
            }
        };
        Expr::plain(sql, ty)
    }

    /// A small document of some columns.
    pub fn document(&mut self, from: &FromClause) -> String {
        let mut parts = vec![];
        for name in ["p", "q"] {
            if let Some(column) = self.some_column(from, |e| !e.fuzzy) {
                parts.push(format!("'{name}', {}", column.sql));
            }
        }
        format!("jsonb_build_object({})", parts.join(", "))
    }
}
