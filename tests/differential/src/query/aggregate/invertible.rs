//! Aggregates that can be folded: extrema, and count, sum and avg of every type they have, over columns, products of columns of two tables, CASE;
//! statistics, which the option approximate is for.
//! Invariant: a sum of changes can maintain them, but for an extremum that leaves. Called by `aggregate` and by the family that is only about them.

use crate::hazards::Hazard;
use crate::query::{Expr, FromClause, Gen};
use crate::types::Ty;

impl Gen<'_> {
    pub fn invertible(&mut self, from: &FromClause) -> Expr {
        if self.dice.chance(6) {
            return self.partial(from);
        }
        if self.dice.chance(6) {
            let call = if self.dice.chance(50) { self.variance(from) } else { self.regression(from) };
            return self.filtered(call, from);
        }
        let call = match self.dice.below(14) {
            0 | 1 => Expr::plain("count(*)", Ty::Big),
            2 | 3 => {
                let column = self.any_column(&from.rels);
                self.aggregated(&column);
                Expr::plain(format!("count({})", column.sql), Ty::Big)
            }
            4 => return self.conditional_sum(from),
            5 => self.product(from),
            6 | 7 => self.average(from),
            8 | 9 => self.extremum(from),
            _ => self.sum(from),
        };
        self.filtered(call, from)
    }

    /// A column to be summed; tables have more of int than of all others.
    fn some_summed(&mut self, from: &FromClause, able: impl Fn(&Expr) -> bool) -> Option<Expr> {
        let other = self.some_column(from, |e| e.ty != Ty::Int && able(e)).filter(|_| self.dice.chance(40));
        other.or_else(|| self.some_column(from, able))
    }

    /// Says which type is summed.
    fn note_summed(&mut self, ty: Ty) {
        let hazard = match ty {
            Ty::Float => Hazard::FloatAggregate,
            Ty::Real => Hazard::RealAggregate,
            Ty::Num => Hazard::NumericScale,
            Ty::Interval => Hazard::IntervalAggregate,
            Ty::Money => Hazard::MoneyAggregate,
            Ty::Small => Hazard::SmallintAggregate,
            Ty::Big => Hazard::BigintAggregate,
            _ => return,
        };
        self.note(hazard);
    }

    fn sum(&mut self, from: &FromClause) -> Expr {
        let Some(column) = self.some_summed(from, |e| e.ty.sum().is_some()) else {
            return Expr::plain("count(*)", Ty::Big);
        };
        self.aggregated(&column);
        self.note_summed(column.ty);
        let ty = column.ty.sum().unwrap_or(Ty::Num);
        let argument = match self.dice.below(8) {
            0 if column.ty.is_number() => format!("coalesce({}, 0)", column.sql),
            1 if !matches!(column.ty, Ty::PosInt | Ty::Money) => format!("-{}", column.sql),
            _ => column.sql,
        };
        Expr {
            sql: format!("sum({argument})"),
            ty,
            fuzzy: column.fuzzy || matches!(ty, Ty::Float | Ty::Real),
            base: None,
        }
    }

    fn average(&mut self, from: &FromClause) -> Expr {
        // A month is 30 days until it is divided: equal intervals have averages that are not.
        let able = |e: &Expr| e.ty.avg().is_some() && !(e.ty == Ty::Interval && e.fuzzy);
        let Some(column) = self.some_summed(from, able) else {
            return Expr::plain("count(*)", Ty::Big);
        };
        self.aggregated(&column);
        self.note_summed(column.ty);
        self.note(Hazard::Average);
        let ty = column.ty.avg().unwrap_or(Ty::Num);
        Expr { sql: format!("avg({})", column.sql), ty, fuzzy: column.fuzzy || ty == Ty::Approx, base: None }
    }

    /// A sum over a product, of two tables where there are two.
    fn product(&mut self, from: &FromClause) -> Expr {
        let integer = |e: &Expr| matches!(e.ty, Ty::Int | Ty::PosInt);
        let Some(l) = self.some_column(from, integer) else {
            return self.sum(from);
        };
        let right: Vec<Expr> =
            from.rels.last().map(|r| r.columns.iter().filter(|e| integer(e)).cloned().collect()).unwrap_or_default();
        let r = self.dice.maybe(&right).cloned().unwrap_or_else(|| l.clone());
        self.aggregated(&l);
        self.aggregated(&r);
        if from.rels.len() > 1 && l.sql != r.sql {
            self.note(Hazard::SumOfProduct);
        }
        Expr::plain(format!("sum({} * {})", l.sql, r.sql), Ty::Big)
    }

    /// A sum of what cannot be computed for all values: behind a FILTER that leaves these out, or of two columns that seldom have them.
    fn partial(&mut self, from: &FromClause) -> Expr {
        let integer = |e: &Expr| e.ty == Ty::Int && e.base.is_some();
        let (Some(l), Some(r)) = (self.some_column(from, integer), self.some_column(from, integer)) else {
            return self.sum(from);
        };
        self.aggregated(&l);
        if self.dice.chance(60) || l.sql == r.sql {
            self.note(Hazard::GuardedArgument);
            return Expr::plain(format!("sum(12 / {0}) FILTER (WHERE {0} <> 0)", l.sql), Ty::Big);
        }
        self.note(Hazard::PartialExpression);
        Expr::plain(format!("sum(12 / (2 * {} - {} + 17))", l.sql, r.sql), Ty::Big)
    }

    fn conditional_sum(&mut self, from: &FromClause) -> Expr {
        self.note(Hazard::FilteredAggregate);
        let condition = self.condition(&from.rels, 0);
        match self.some_column(from, |e| e.ty == Ty::Int) {
            Some(column) if self.dice.chance(50) => {
                self.aggregated(&column);
                Expr::plain(format!("sum(CASE WHEN {condition} THEN {} END)", column.sql), Ty::Big)
            }
            _ => Expr::plain(format!("sum(CASE WHEN {condition} THEN 1 ELSE 0 END)"), Ty::Big),
        }
    }
}
