//! Choice by cost: which form of some SQL is followed, and when recomputing everything is cheaper.
//!
//! Some SQL has up to three plans: looking up by index the rows that each of a few changed rows is joined to; the form that goes key by key, with
//! whatever path the planner likes; the form that computes all at once. A few look-ups are taken unseen. Otherwise the planner's estimates
//! decide, estimates of look-ups divided by how much it overrates them.
//!
//! cost(plan) = (look-ups ? total / CACHED : total) + handling of the rows that come out
//!
//! Everything is recomputed when all parts together cost more than recomputing, and more than a few look-ups.
//! Invariant: only the cost of a flush depends on the choice, and the chosen way is no more expensive, by these estimates, than any
//! other way that was compared. Called by the extension's `refresh::follow::choice`.

/// Up to this cost, in the planner's units, nothing is compared: some hundred look-ups by index.
pub const CHEAP: f64 = 1000.0;

/// Up to so many rows, the rows that they are joined to may be looked up one by one, even when the planner prefers another plan.
const LOOK_UPS: usize = 1000;

/// By how much the planner overrates looking up a few rows by index: it assumes that most of their pages have to be read
/// (random_page_cost), but the pages beside rows that were just written, and the upper pages of indexes, are in memory.
/// Measured with TPC-H, everything in memory: 2 to 30 times, compared with reading a table.
const CACHED: f64 = 8.0;

/// A row that is handed over costs about as much as five that pass through a node of a plan (cpu_tuple_cost). Measured with a fold of 600,000 changed rows
/// of as many: 3 times recomputing, where the planner finds both equal.
const HANDLING: f64 = 0.05;

/// A row of a log that is read, summed, and handed over. Measured with TPC-H: 0.4 to 0.6 µs, where the planner's unit is 5 to 7 µs.
const LOGGED: f64 = 0.1;

/// How much a flush has to do. Each size has plans of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(usize);

const SIZES: usize = 14;

impl Size {
    /// The number of sizes, those of plans by index included.
    pub const COUNT: usize = 2 * SIZES;
    /// A few rows: index paths, whatever the statistics of the moment say.
    pub const FEW: Size = Size(0);
    /// The query itself.
    pub const WHOLE: Size = Size(SIZES - 1);

    pub fn of(rows: usize) -> Size {
        if rows <= 16 { Size::FEW } else { Size::many(rows) }
    }

    /// Any path: plans for this number of rows, to a factor of four.
    pub fn many(rows: usize) -> Size {
        let magnitude = (rows.max(1).ilog2() / 2) as usize;
        Size(1 + magnitude.min(SIZES - 3))
    }

    /// Plans that look rows up by index, for a number of rows like this.
    pub fn by_index(self) -> Size {
        Size(SIZES + self.0)
    }

    pub fn is_few(self) -> bool {
        self == Size::FEW
    }

    /// The number of this size, from 0.
    pub fn number(self) -> usize {
        self.0
    }

    /// The size of plans that look up the rows that so many rows are joined to; None when there are too many.
    pub fn of_look_ups(self, rows: usize) -> Option<Size> {
        if self.is_few() {
            return Some(self);
        }
        (rows <= LOOK_UPS).then(|| Size::many(rows).by_index())
    }
}

/// The planner's estimate for a plan.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    pub total: f64,
    /// Cost of the caller's work on the rows that come out, in the same units.
    pub handling: f64,
}

impl Cost {
    /// Nothing is known: more than everything else.
    pub const UNKNOWN: Cost = Cost { total: f64::MAX, handling: 0.0 };

    /// The planner's cost of a plan, and how many rows it expects of it.
    pub fn of(total: f64, rows: f64) -> Cost {
        Cost { total, handling: HANDLING * rows }
    }

    /// How many rows come out.
    pub fn rows(self) -> usize {
        (self.handling / HANDLING) as usize
    }

    pub fn sum(self) -> f64 {
        self.total + self.handling
    }

    /// The cost of a plan of look-ups.
    pub fn of_look_ups(self) -> f64 {
        self.total / CACHED + self.handling
    }

    /// Whether such look-ups are taken unseen.
    pub fn is_cheap(self) -> bool {
        self.sum() < CHEAP
    }
}

/// The cheapest of some ways, the first one of equals.
pub fn cheapest<W>(ways: impl IntoIterator<Item = (W, f64)>) -> Option<(W, f64)> {
    ways.into_iter().min_by(|(_, a), (_, b)| a.total_cmp(b))
}

/// Whether recomputing everything is cheaper than parts that cost so much together; the cost of recomputing is only asked for when it matters.
pub fn prefers_whole<E>(parts: f64, whole: impl FnOnce() -> Result<f64, E>) -> Result<bool, E> {
    Ok(!is_cheap(parts) && parts > whole()?)
}

/// Whether work of this cost is done without comparing.
pub fn is_cheap(cost: f64) -> bool {
    cost <= CHEAP
}

/// The cost of handing changed rows over to the plans, whatever these do with them.
pub fn changes(rows: usize) -> f64 {
    HANDLING * rows as f64
}

/// The cost of reading so many rows of logs, whatever comes behind them.
pub fn logged(rows: usize) -> f64 {
    LOGGED * rows as f64
}

/// Whether so few rows of logs are read unseen.
pub fn is_read_unseen(rows: usize) -> bool {
    logged(rows) <= CHEAP / 10.0
}

/// The cost of recomputing everything: the query, and reading all rows that are stored.
pub fn whole(query: Cost, pages: i32, rows: f32) -> f64 {
    query.sum() + (f64::from(pages.max(0)) + 0.01 * f64::from(rows.max(0.0)))
}

/// Whether so many changed rows or keys are more than recomputing that many stored rows is worth; `threshold` is a part of the stored rows.
pub fn is_large(rows: usize, stored: f32, threshold: f64) -> bool {
    rows > 1000 && rows as f64 > threshold * f64::from(stored.max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// No way that was compared is cheaper than the chosen one, and a chosen way that gets cheaper stays chosen.
        #[test]
        fn the_cheapest(costs in proptest::collection::vec((0.0..5000.0f64, 0.0..500.0f64, any::<bool>()), 1..4), saved in 0.0..2000.0f64, at in 0..4usize) {
            let of = |costs: &[(f64, f64, bool)]| {
                let ways = costs.iter().map(|(total, handling, looks_up)| {
                    let cost = Cost { total: *total, handling: *handling };
                    if *looks_up { cost.of_look_ups() } else { cost.sum() }
                });
                let all: Vec<f64> = ways.collect();
                let (chosen, cost) = cheapest(all.iter().copied().enumerate()).unwrap();
                assert!(all.iter().all(|other| cost <= *other) && all[chosen] == cost);
                chosen
            };
            let chosen = of(&costs);
            let mut cheaper = costs.clone();
            let at = at % costs.len();
            cheaper[at].0 = f64::max(costs[at].0 - saved, 0.0);
            let then = of(&cheaper);
            prop_assert!(then == chosen || then == at);
            prop_assert_eq!(cheapest([(0, f64::MAX), (1, costs[0].0)]).map(|c| c.0), Some(1), "what is not known is not taken");
        }

        /// In one step or in several: when recomputing is preferred to some parts, it is preferred to more parts.
        #[test]
        fn more_parts_prefer_the_whole_no_less(parts in 0.0..5000.0f64, more in 0.0..5000.0f64, query in 0.0..5000.0f64, pages in 0..100i32) {
            let whole = whole(Cost { total: query, handling: 0.0 }, pages, pages as f32 * 10.0);
            let prefers = |parts| prefers_whole(parts, || Ok::<f64, ()>(whole)).unwrap();
            prop_assert!(!prefers(parts) || prefers(parts + more));
            prop_assert!(!prefers(parts) || parts > whole && parts > CHEAP);
            prop_assert_eq!(prefers_whole(CHEAP, || Err(())), Ok(false), "nobody asks when it is cheap");
        }

        #[test]
        fn sizes_are_right_to_a_factor_of_four(a in 17usize..1_000_000, b in 17usize..1_000_000) {
            prop_assert!(a > b || Size::of(a) <= Size::of(b));
            prop_assert!(Size::of(a) != Size::of(b) || a.max(b) < 4 * a.min(b));
            prop_assert!(Size::FEW < Size::of(a) && Size::of(a) < Size::WHOLE);
            let looked_up = Size::of(a).of_look_ups(b);
            prop_assert_eq!(looked_up.is_some(), b <= LOOK_UPS);
            prop_assert!(looked_up.is_none_or(|s| s > Size::WHOLE && s.number() < Size::COUNT));
        }
    }

    #[test]
    fn large() {
        assert!(is_large(1001, 2000.0, 0.5) && !is_large(1000, 10.0, 0.5) && !is_large(1001, 2004.0, 0.5));
        assert!(is_large(1001, -1.0, 0.5), "nothing is known about the stored rows");
    }
}
