//! Variance, regression and ordered-set aggregates.
//! Invariant: of floating input in an order nobody determines only the first digits count (`Ty::Approx`). Called by `aggregate`.

use crate::hazards::Hazard;
use crate::query::{Expr, FromClause, Gen};
use crate::types::Ty;

fn approximate(sql: String) -> Expr {
    Expr { sql, ty: Ty::Approx, fuzzy: true, base: None }
}

impl Gen<'_> {
    pub fn variance(&mut self, from: &FromClause) -> Expr {
        let floating =
            self.some_column(from, |e| matches!(e.ty, Ty::Float | Ty::Real)).filter(|_| self.dice.chance(50));
        let Some(column) = floating.or_else(|| self.some_column(from, |e| e.ty.is_number())) else {
            return Expr::plain("count(*)", Ty::Big);
        };
        self.note(Hazard::Variance);
        self.aggregated(&column);
        let word = self.dice.pick(&["stddev", "stddev_pop", "stddev_samp", "variance", "var_pop", "var_samp"]);
        let sql = format!("{word}({})", column.sql);
        match column.ty {
            Ty::Float | Ty::Real => approximate(sql),
            _ => Expr { sql, ty: Ty::Num, fuzzy: column.fuzzy, base: None },
        }
    }

    pub fn regression(&mut self, from: &FromClause) -> Expr {
        let able = |e: &Expr| e.ty.is_integer() || matches!(e.ty, Ty::Float | Ty::Real);
        let (Some(x), Some(y)) = (self.some_column(from, able), self.some_column(from, able)) else {
            return Expr::plain("count(*)", Ty::Big);
        };
        self.note(Hazard::Regression);
        self.aggregated(&x);
        let word = *self.dice.pick(&[
            "corr",
            "covar_pop",
            "covar_samp",
            "regr_avgx",
            "regr_avgy",
            "regr_count",
            "regr_intercept",
            "regr_r2",
            "regr_slope",
            "regr_sxx",
            "regr_sxy",
            "regr_syy",
        ]);
        let sql = format!("{word}({}, {})", x.sql, y.sql);
        if word == "regr_count" { Expr::plain(sql, Ty::Big) } else { approximate(sql) }
    }

    pub fn ordered_set(&mut self, from: &FromClause) -> Expr {
        let Some(column) = self.some_column(from, |e| e.ty.has_equality()) else {
            return Expr::plain("count(*)", Ty::Big);
        };
        self.note(Hazard::OrderedSet);
        self.aggregated(&column);
        let fraction = *self.dice.pick(&["0", "0.5", "0.25", "1"]);
        let c = &column.sql;
        let fuzzy = column.fuzzy || column.ty.is_ambiguous();
        let direction = self.dice.pick(&["", " DESC"]);
        let within = |call: &str| format!("{call} WITHIN GROUP (ORDER BY {c}{direction})");
        // of a domain, the result has the type below it
        let ty = match column.ty {
            Ty::PosInt => Ty::Int,
            ty => ty,
        };
        match self.dice.below(4) {
            0 => Expr { sql: within("mode()"), ty, fuzzy, base: None },
            1 if column.ty.is_number() && column.ty != Ty::Num => {
                approximate(within(&format!("percentile_cont({fraction})")))
            }
            2 if column.ty == Ty::Int => Expr::plain(within("rank(2)"), Ty::Big),
            _ => Expr { sql: within(&format!("percentile_disc({fraction})")), ty, fuzzy, base: None },
        }
    }
}
