//! A ratio of times, with the interval in which it lies.
//!
//! Let x be the logarithms of the ratios of the rounds, each round having run both ways right after one another. The ratio is e to the mean of x, and
//! with 95 % confidence it lies within e to the mean ± t·s/√n, where s is the standard deviation and t Student's quantile for n − 1 degrees of freedom.
//!
//! Invariant: the interval contains the ratio. Called by bench.

use serde::Serialize;

#[derive(Debug, Clone, Copy, Serialize, PartialEq)]
pub struct Ratio {
    pub ratio: f64,
    pub low: f64,
    pub high: f64,
}

/// Quantiles 0.975 of Student's distribution for 1, 2, … degrees of freedom; between 30 and infinity by interpolation in 1/n.
const T: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];

fn t(freedom: usize) -> f64 {
    match freedom {
        0 => f64::INFINITY,
        n if n <= T.len() => T[n - 1],
        n => 1.960 + (T[29] - 1.960) * 30.0 / n as f64,
    }
}

/// Of pairs (with, without).
pub fn ratio(pairs: &[(f64, f64)]) -> Ratio {
    let logs: Vec<f64> = pairs.iter().map(|(with, without)| (with / without).ln()).collect();
    let n = logs.len() as f64;
    let mean = logs.iter().sum::<f64>() / n;
    let variance = logs.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    let half = t(logs.len().saturating_sub(1)) * (variance / n).sqrt();
    Ratio { ratio: mean.exp(), low: (mean - half).exp(), high: (mean + half).exp() }
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    if n == 0 { 0.0 } else { (values[(n - 1) / 2] + values[n / 2]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_ratios_leave_no_doubt() {
        let found = ratio(&[(2.0, 1.0), (4.0, 2.0), (6.0, 3.0)]);
        assert!((found.ratio - 2.0).abs() < 1e-9 && (found.high - found.low).abs() < 1e-9);
    }

    #[test]
    fn the_interval_covers_as_often_as_it_says() {
        // Ratios around e^0.3, by a generator of numbers that is the same each time.
        let mut state = 88_172_645_463_325_252_u64;
        let mut uniform = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        let mut normal = || (0..12).map(|_| uniform()).sum::<f64>() - 6.0;
        let truth = 0.3_f64.exp();
        let covered = (0..2000)
            .filter(|_| {
                let pairs: Vec<(f64, f64)> = (0..8).map(|_| ((0.3 + 0.2 * normal()).exp(), 1.0)).collect();
                let found = ratio(&pairs);
                found.low <= truth && truth <= found.high
            })
            .count();
        assert!((1860..1940).contains(&covered), "{covered} of 2000");
    }

    #[test]
    fn medians() {
        assert_eq!((median(vec![3.0, 1.0, 2.0]), median(vec![1.0, 2.0]), median(vec![])), (2.0, 1.5, 0.0));
    }
}
