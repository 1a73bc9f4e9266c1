//! Expressions over aggregates, HAVING.
//! Invariant: total, none fails on any input. Called by the grouped families.

use crate::hazards::Hazard;
use crate::query::{Expr, FromClause, Gen, Rel};
use crate::types::Ty;

impl Gen<'_> {
    /// An expression over one or more aggregates, each made by `make`.
    pub fn over_aggregates(&mut self, from: &FromClause, make: fn(&mut Self, &FromClause) -> Expr) -> Expr {
        self.note(Hazard::OverAggregates);
        let a = make(self, from);
        let b = make(self, from);
        match self.dice.below(6) {
            0..=2 if !a.fuzzy && !b.fuzzy => {
                self.note(Hazard::AggregateDocument);
                Expr::plain(format!("jsonb_build_object('n', count(*), 'a', {}, 'b', {})", a.sql, b.sql), Ty::Jsonb)
            }
            3 if a.ty.is_integer() && b.ty.is_integer() => {
                Expr::plain(format!("({}::numeric / nullif({}, 0))", a.sql, b.sql), Ty::Num)
            }
            4 if a.ty.is_number() && !matches!(a.ty, Ty::Float | Ty::Real) => {
                let fuzzy = a.fuzzy;
                Expr { sql: format!("(coalesce({}, 0) + count(*))", a.sql), ty: self.widened(a.ty), fuzzy, base: None }
            }
            5 if !a.fuzzy => Expr::plain(format!("concat_ws(':', {}, {})", a.text(), "count(*)"), Ty::Text),
            _ => Expr { sql: format!("CASE WHEN count(*) > 1 THEN {} END", a.sql), ..a },
        }
    }

    /// A sub-query that compares with an aggregate of the query around it.
    pub fn of_aggregate(&mut self, from: &FromClause) -> Option<Expr> {
        let (inner, condition) = self.compared_with_aggregate(from)?;
        self.note(Hazard::OuterAggregate);
        self.note(Hazard::BesideAggregates);
        Some(match self.dice.below(3) {
            0 => Expr::plain(format!("EXISTS (SELECT FROM {} WHERE {condition})", inner.sql), Ty::Bool),
            1 => {
                let text = self.any_column(std::slice::from_ref(&inner)).text();
                Expr::plain(format!("(SELECT max({text}) FROM {} WHERE {condition})", inner.sql), Ty::Text)
            }
            _ => Expr::plain(format!("(SELECT count(*) FROM {} WHERE {condition})", inner.sql), Ty::Big),
        })
    }

    fn compared_with_aggregate(&mut self, from: &FromClause) -> Option<(Rel, String)> {
        let column = self.some_column(from, |e| e.ty.is_integer())?;
        let inner = self.simple_rel();
        let own = self.column_of(std::slice::from_ref(&inner), Ty::Int)?;
        let call = self.dice.pick(&["sum({})", "max({})", "count({})", "count(DISTINCT {})", "min({})"]);
        let word = self.dice.pick(&["<", "<=", "=", ">", "<>"]);
        Some((inner, format!("{} {word} {}", own.sql, call.replace("{}", &column.sql))))
    }

    fn widened(&self, ty: Ty) -> Ty {
        if ty == Ty::Num { Ty::Num } else { Ty::Big }
    }

    /// ` HAVING …`: crossed upwards and downwards by single rows, and unknown for NULL.
    pub fn having(&mut self, from: &FromClause) -> String {
        self.note(Hazard::Having);
        let summed = self.some_column(from, |e| e.ty.is_integer());
        let other = self.any_column(&from.rels);
        let limit = self.dice.below(5);
        let condition = match (self.dice.below(12), summed) {
            (9, _) => {
                self.note(Hazard::SublinkInHaving);
                self.note(Hazard::Unconnected);
                let inner = self.simple_rel();
                format!("count(*) <= (SELECT count(*) FROM {})", inner.sql)
            }
            (0..=2, Some(column)) => {
                self.note(Hazard::HavingNull);
                self.facts.havings.extend(column.base);
                format!("sum({}) {} {limit}", column.sql, self.dice.pick(&[">", "<=", "<>"]))
            }
            (3, Some(column)) => {
                self.facts.havings.extend(column.base);
                format!("avg({}) >= {limit}", column.sql)
            }
            (4, Some(column)) => {
                self.note(Hazard::HavingNull);
                self.facts.havings.extend(column.base);
                format!("max({}) > {limit}", column.sql)
            }
            (5, Some(column)) => {
                self.note(Hazard::HavingNull);
                self.facts.havings.extend(column.base);
                format!("(sum({}) > {limit}) IS NOT FALSE", column.sql)
            }
            (10, Some(_)) => match self.compared_with_aggregate(from) {
                Some((inner, condition)) => {
                    self.note(Hazard::OuterAggregate);
                    self.note(Hazard::OuterAggregateInHaving);
                    self.note(Hazard::SublinkInHaving);
                    let word = self.dice.pick(&["", "NOT "]);
                    format!("{word}EXISTS (SELECT FROM {} WHERE {condition})", inner.sql)
                }
                None => "count(*) >= 1".into(),
            },
            (6, _) if other.ty.has_equality() => format!("count(DISTINCT {}) > 1", other.sql),
            (7, _) => format!("count({}) >= 1", other.sql),
            (8, _) => {
                let condition = self.condition(&from.rels, 0);
                format!("bool_or({condition}) AND count(*) > 0")
            }
            _ => format!("count(*) {} {}", self.dice.pick(&[">", "<=", "="]), self.dice.between(1, 2)),
        };
        format!(" HAVING {condition}")
    }
}
