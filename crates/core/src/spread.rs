//! Statistics of floating-point numbers, and of pairs of them, as rows come and go: variance, covariance, correlation, regression.
//!
//! Kept are N, the sums Sx and Sy, and the sums of squares and products around the means, Sxx, Syy and Sxy: what the server keeps, by the algorithm of Youngs
//! and Cramer. A pair (x, y) that comes makes N one more and adds to the sums; with dx = N·x − Sx and dy = N·y − Sy after that, Sxx grows by dx² / (N·(N−1)),
//! Syy by dy² / (N·(N−1)), Sxy by dx·dy / (N·(N−1)). A pair that goes takes the same away, with N, Sx and Sy before that. Source: utils/adt/float.c,
//! float8_regr_accum.
//!
//! Taking away is where digits are lost: Sxx becomes smaller, and its error stays what it was. So the greatest Sxx since the sums were computed from the rows is
//! kept, too, and a group in which Sxx has fallen below 1/1024 of it is computed anew: of the 53 bits of Sxx, 10 and those of the errors of all steps are lost at
//! most. So are groups with NaN and infinities, which would not leave a sum again.
//!
//! Invariant: after `take` has returned true for all changes, the results are those of the rows that are there, but for errors of rounding; where a result is NULL
//! or 1 because all values are equal (a sum of squares of 0), it is so here. Called by the extension's `refresh::follow::fold`.

/// The sums of one column of the pairs.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Side {
    pub sum: f64,
    /// Around the mean.
    pub squares: f64,
    /// The greatest `squares` since the sums were computed from the rows.
    pub peak: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Spread {
    pub count: i64,
    pub x: Side,
    /// None when the statistics are of one column.
    pub y: Option<Side>,
    pub products: f64,
}

/// A result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistic {
    VarPop,
    VarSamp,
    StddevPop,
    StddevSamp,
    AvgX,
    AvgY,
    Sxx,
    Syy,
    Sxy,
    CovarPop,
    CovarSamp,
    Corr,
    R2,
    Slope,
    Intercept,
}

/// A sum of squares that has fallen below this part of its peak is not trusted.
const TRUSTED: f64 = 1.0 / 1024.0;

impl Side {
    /// A value comes, the n-th one, or goes, of n that there were; returns how far n times the value is from the sum with it.
    fn take(&mut self, value: f64, n: f64, comes: bool) -> f64 {
        let with = if comes { self.sum + value } else { self.sum };
        let away = value * n - with;
        self.sum = if comes { with } else { with - value };
        let square = part(away * away, n);
        self.squares += if comes { square } else { -square };
        self.peak = self.peak.max(self.squares);
        away
    }

    fn is_sure(&self) -> bool {
        self.sum.is_finite() && self.squares.is_finite() && self.squares >= 0.0 && self.squares >= self.peak * TRUSTED
    }
}

fn part(of: f64, n: f64) -> f64 {
    if n > 1.0 { of / (n * (n - 1.0)) } else { 0.0 }
}

impl Spread {
    /// So many equal pairs come, or go when there are fewer than none of them; false when only the rows tell what remains.
    pub fn take(&mut self, x: f64, y: f64, weight: i64) -> bool {
        if !x.is_finite() || self.y.is_some() && !y.is_finite() {
            return false;
        }
        let comes = weight > 0;
        for _ in 0..weight.unsigned_abs() {
            let n = (if comes { self.count + 1 } else { self.count }) as f64;
            let away = self.x.take(x, n, comes);
            if let Some(side) = &mut self.y {
                let product = part(away * side.take(y, n, comes), n);
                self.products += if comes { product } else { -product };
            }
            self.count += if comes { 1 } else { -1 };
            if self.count <= 0 {
                let none = Spread { y: self.y.map(|_| Side::default()), ..Spread::default() };
                *self = Spread { count: self.count, ..none };
            }
        }
        self.count >= 0 && self.x.is_sure() && self.y.is_none_or(|y| y.is_sure()) && self.products.is_finite()
    }

    /// None: NULL.
    pub fn result(&self, of: Statistic) -> Option<f64> {
        use Statistic::*;
        let n = self.count as f64;
        let (x, y) = (self.x, self.y.unwrap_or_default());
        let several = self.count > 1;
        if self.count < 1 {
            return None;
        }
        match of {
            VarPop => Some(x.squares / n),
            StddevPop => Some((x.squares / n).sqrt()),
            VarSamp => several.then(|| x.squares / (n - 1.0)),
            StddevSamp => several.then(|| (x.squares / (n - 1.0)).sqrt()),
            AvgX => Some(x.sum / n),
            AvgY => Some(y.sum / n),
            Sxx => Some(x.squares),
            Syy => Some(y.squares),
            Sxy => Some(self.products),
            CovarPop => Some(self.products / n),
            CovarSamp => several.then(|| self.products / (n - 1.0)),
            Corr if x.squares == 0.0 || y.squares == 0.0 => None,
            Corr => Some((self.products / (x.squares * y.squares).sqrt()).clamp(-1.0, 1.0)),
            R2 | Slope | Intercept if x.squares == 0.0 => None,
            R2 if y.squares == 0.0 => Some(1.0),
            R2 => Some(self.products * self.products / (x.squares * y.squares)),
            Slope => Some(self.products / x.squares),
            Intercept => Some((y.sum - x.sum * self.products / x.squares) / n),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: &[Statistic] = {
        use Statistic::*;
        &[
            VarPop, VarSamp, StddevPop, StddevSamp, AvgX, AvgY, Sxx, Syy, Sxy, CovarPop, CovarSamp, Corr, R2, Slope,
            Intercept,
        ]
    };

    fn of(pairs: &[(f64, f64)]) -> Spread {
        let mut spread = Spread { y: Some(Side::default()), ..Spread::default() };
        for (x, y) in pairs {
            spread.take(*x, *y, 1);
        }
        spread
    }

    /// By definition.
    fn squares(values: &[f64], others: &[f64]) -> f64 {
        let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len().max(1) as f64;
        let (mx, my) = (mean(values), mean(others));
        values.iter().zip(others).map(|(x, y)| (x - mx) * (y - my)).sum()
    }

    fn is_close(a: Option<f64>, b: Option<f64>) -> bool {
        match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() <= 1e-6 * (1.0 + a.abs().max(b.abs())),
            (a, b) => a.is_none() && b.is_none(),
        }
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![(-8i32..8).prop_map(|n| f64::from(n) / 4.0), Just(1e9), Just(-3e4)]
    }

    proptest! {
        /// Pairs come and go, several together: what is kept is that of the pairs that are there, or is said not to be.
        #[test]
        fn what_has_come_and_not_gone(steps in proptest::collection::vec((value(), value(), 1i64..3, any::<u8>()), 0..24)) {
            let mut spread = of(&[]);
            let mut there: Vec<(f64, f64)> = Vec::new();
            for (x, y, times, which) in steps {
                let sure = if which % 2 == 0 && !there.is_empty() {
                    let (x, y) = there.swap_remove(usize::from(which) % there.len());
                    spread.take(x, y, -1)
                } else {
                    there.extend((0..times).map(|_| (x, y)));
                    spread.take(x, y, times)
                };
                if !sure {
                    spread = of(&there);
                }
                prop_assert_eq!(spread.count, there.len() as i64);
                let xs: Vec<f64> = there.iter().map(|(x, _)| *x).collect();
                let peak = |side: f64| Some(side.max(1.0));
                let sxx = squares(&xs, &xs);
                prop_assert!(is_close(peak(spread.x.squares), peak(sxx)), "{:?} {}", spread, sxx);
                let fresh = of(&there);
                for which in ALL {
                    let (kept, anew) = (spread.result(*which), fresh.result(*which));
                    prop_assert!(kept.is_some() == anew.is_some(), "{which:?}: {kept:?} {anew:?} of {there:?}");
                }
                if there.iter().all(|(x, y)| x.abs() < 10.0 && y.abs() < 10.0) && spread.x.peak < 1e3 && spread.y.is_some_and(|y| y.peak < 1e3) {
                    for which in ALL {
                        prop_assert!(is_close(spread.result(*which), fresh.result(*which)), "{which:?} of {there:?}");
                    }
                }
            }
        }

        /// All pairs gone, as if none had come.
        #[test]
        fn nothing_remains(pairs in proptest::collection::vec((value(), value()), 0..8)) {
            let mut spread = of(&pairs);
            pairs.iter().for_each(|(x, y)| { spread.take(*x, *y, -1); });
            prop_assert_eq!(spread, of(&[]));
        }
    }

    #[test]
    fn what_cannot_leave_again_is_not_taken_in() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(!of(&[(1.0, 1.0)]).take(value, 1.0, 1));
            assert!(!of(&[(1.0, 1.0)]).take(1.0, value, 1));
            assert!(Spread::default().take(1.0, value, 1), "of one column only");
        }
        assert!(!of(&[(1.0, 1.0)]).take(f64::MAX, 1.0, 1), "its square is too large");
    }

    /// A huge value comes and goes: what remains is computed anew.
    #[test]
    fn cancelled() {
        let mut spread = of(&[(1.0, 2.0), (2.0, 1.0), (4.0, 4.0)]);
        assert!(spread.take(1e20, 1.0, 1));
        assert!(!spread.take(1e20, 1.0, -1));
    }

    /// One row left: no spread, whatever the errors before.
    #[test]
    fn one_row() {
        let mut spread = of(&[(0.1, 2.0), (0.7, 2.0)]);
        assert!(!spread.take(0.7, 2.0, -1));
        assert_eq!(of(&[(0.1, 2.0)]).result(Statistic::VarPop), Some(0.0));
        assert_eq!(of(&[(0.1, 2.0)]).result(Statistic::VarSamp), None);
        assert_eq!(of(&[(0.1, 2.0)]).result(Statistic::Corr), None);
    }
}
