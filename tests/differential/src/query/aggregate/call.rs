//! One aggregate call of any kind, with FILTER now and then.
//! Invariant: what depends on the order of its input has a total ORDER BY. Called by the grouped families.

use crate::hazards::Hazard;
use crate::query::{Expr, FromClause, Gen};
use crate::types::Ty;

impl Gen<'_> {
    /// Any aggregate.
    pub fn aggregate(&mut self, from: &FromClause) -> Expr {
        let call = match self.dice.below(20) {
            0..=7 => return self.invertible(from),
            8..=10 => self.extremum(from),
            11 => self.logical(from),
            12..=14 => self.list_aggregate(from),
            15 => {
                let call = self.distinct_aggregate(from);
                if self.dice.chance(30) && call.sql.contains("DISTINCT") {
                    self.note(Hazard::FilteredDistinct);
                    self.note(Hazard::FilteredAggregate);
                    let condition = self.condition(&from.rels, 0);
                    return Expr { sql: format!("{} FILTER (WHERE {condition})", call.sql), ..call };
                }
                call
            }
            16 => self.variance(from),
            17 => self.regression(from),
            18 => self.ordered_set(from),
            _ => self.own_aggregate(from),
        };
        self.filtered(call, from)
    }

    /// Adds FILTER now and then.
    pub fn filtered(&mut self, call: Expr, from: &FromClause) -> Expr {
        if !self.dice.chance(14) {
            return call;
        }
        self.note(Hazard::FilteredAggregate);
        let condition = self.condition(&from.rels, 0);
        Expr { sql: format!("{} FILTER (WHERE {condition})", call.sql), ..call }
    }

    /// Notes the aggregated column, so that writes can be aimed at it.
    pub fn aggregated(&mut self, column: &Expr) {
        self.facts.aggregated.extend(column.base);
    }

    pub fn some_column(&mut self, from: &FromClause, able: impl Fn(&Expr) -> bool) -> Option<Expr> {
        let all: Vec<Expr> = self.columns_of(&from.rels).into_iter().filter(|e| able(e)).collect();
        self.dice.maybe(&all).cloned()
    }

    pub fn extremum(&mut self, from: &FromClause) -> Expr {
        let newer = self.features.version >= 18;
        let able = |e: &Expr| e.ty.has_extrema() || newer && e.ty == Ty::Bytea;
        let Some(column) = self.some_column(from, able) else {
            return Expr::plain("count(*)", Ty::Big);
        };
        self.note(Hazard::Extremum);
        self.aggregated(&column);
        self.facts.extrema.extend(column.base);
        let word = self.dice.pick(&["min", "max"]);
        // of a domain, the extremum has the type below it
        let ty = match column.ty {
            Ty::PosInt => Ty::Int,
            Ty::Varchar => Ty::Text,
            ty => ty,
        };
        let fuzzy = column.fuzzy || ty.is_ambiguous();
        Expr { sql: format!("{word}({})", column.sql), ty, fuzzy, base: None }
    }

    fn logical(&mut self, from: &FromClause) -> Expr {
        self.note(Hazard::LogicalAggregate);
        let integer = self.some_column(from, |e| matches!(e.ty, Ty::Int | Ty::Big | Ty::Small));
        match integer {
            Some(column) if self.dice.chance(50) => {
                self.aggregated(&column);
                let word = self.dice.pick(&["bit_and", "bit_or", "bit_xor"]);
                Expr::plain(format!("{word}({})", column.sql), column.ty)
            }
            _ => {
                let argument = match self.some_column(from, |e| e.ty == Ty::Bool) {
                    Some(column) => column.sql,
                    None => self.condition(&from.rels, 0),
                };
                let word = self.dice.pick(&["bool_or", "bool_and", "every"]);
                Expr::plain(format!("{word}({argument})"), Ty::Bool)
            }
        }
    }

    fn distinct_aggregate(&mut self, from: &FromClause) -> Expr {
        self.note(Hazard::DistinctAggregate);
        let Some(column) = self.some_column(from, |e| e.ty.has_equality()) else {
            return Expr::plain("count(*)", Ty::Big);
        };
        self.aggregated(&column);
        let c = &column.sql;
        let text = column.text();
        match self.dice.below(5) {
            0 if column.ty.sum().is_some() => {
                let ty = column.ty.sum().unwrap_or(Ty::Num);
                let fuzzy = column.fuzzy || column.ty.is_ambiguous();
                Expr { sql: format!("sum(DISTINCT {c})"), ty, fuzzy, base: None }
            }
            1 if column.ty.is_integer() => Expr::plain(format!("avg(DISTINCT {c})"), Ty::Num),
            2 if !column.fuzzy => Expr::plain(format!("string_agg(DISTINCT {text}, '/' ORDER BY {text})"), Ty::Text),
            3 if !column.fuzzy => Expr::plain(format!("array_agg(DISTINCT {text} ORDER BY {text} DESC)"), Ty::Texts),
            _ => Expr::plain(format!("count(DISTINCT {c})"), Ty::Big),
        }
    }

    /// An aggregate of the user's: one with an inverse, which PostgreSQL uses for moving windows, and one without.
    fn own_aggregate(&mut self, from: &FromClause) -> Expr {
        match self.some_column(from, |e| e.ty == Ty::Int) {
            Some(column) => {
                self.note(Hazard::OwnAggregate);
                self.aggregated(&column);
                let word = self.dice.pick(&["squares", "residue"]);
                Expr::plain(format!("{word}({})", column.sql), Ty::Big)
            }
            None => Expr::plain("count(*)", Ty::Big),
        }
    }
}
