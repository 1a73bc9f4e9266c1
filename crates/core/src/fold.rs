//! How the state of a group takes in weighted rows: in which order, and what becomes of an extremum and of the group's row.
//!
//! Let R be the rows of a group as they were, Δ the weighted rows of a flush, and R + Δ the rows as they are, no weight of which is negative.
//! Any order of Δ sums up to R + Δ, but on the way a row may be there less than no times, and states that are no numbers (of moving aggregates)
//! cannot stand for such rows. Positive weights first: the weight of each row rises and then falls to what it is in R + Δ, so it is never
//! less than none.
//!
//! Counts and sums have inverses. Of an extremum only the best value is known. A value that comes is compared with the best value; a worse value
//! that goes changes nothing; when an equally good value goes, the best value is unknown, for nobody counts how many values are equally good.
//!
//! Invariant: after Δ the state is that of R + Δ, or the answer is that only recomputing can tell. Called by the extension's `refresh::follow::fold`.

use std::cmp::Ordering;

/// Rows in the order in which they are taken in: those of positive weight first, each part as it comes.
pub fn in_order<T>(rows: &[T], weight: impl Fn(&T) -> i64 + Copy) -> impl Iterator<Item = &T> {
    let part = move |positive: bool| rows.iter().filter(move |row| (weight(row) > 0) == positive);
    part(true).chain(part(false))
}

/// What a value that comes or goes does to the best value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extremum {
    Stays,
    /// The value that comes is the best value now.
    Becomes,
    /// The best value may have gone.
    Unknown,
}

/// A value comes or goes. `compared`: the value with the best one, greater being better; None when there is no best value yet.
pub fn extremum(compared: Option<Ordering>, comes: bool) -> Extremum {
    match (compared, comes) {
        (None | Some(Ordering::Greater), true) => Extremum::Becomes,
        (Some(_), true) | (Some(Ordering::Less), false) => Extremum::Stays,
        (_, false) => Extremum::Unknown,
    }
}

/// What becomes of the row of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The row is not there, and will not be.
    Nothing,
    Comes,
    Changes,
    Goes,
    /// The group's state stands for less than no rows: the stored state was wrong.
    Broken,
}

/// `stored`: the group's row is there; `rows`: for how many rows the state stands; `only`: there is no GROUP BY, so there is always one group.
pub fn fate(stored: bool, rows: i64, only: bool) -> Fate {
    match (stored, rows > 0 || only) {
        _ if rows < 0 => Fate::Broken,
        (false, false) => Fate::Nothing,
        (false, true) => Fate::Comes,
        (true, true) => Fate::Changes,
        (true, false) => Fate::Goes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// A value; 0 is NULL.
    type Row = u8;

    /// The state that is kept of a group.
    #[derive(Debug, Clone, PartialEq)]
    struct State {
        rows: i64,
        values: i64,
        sum: i64,
        max: Option<u8>,
        known: bool,
        /// A state that cannot have a row less than no times.
        each: BTreeMap<Row, i64>,
    }

    impl State {
        fn of(rows: &[Row]) -> State {
            let values = rows.iter().filter(|v| **v > 0);
            let mut each = BTreeMap::new();
            rows.iter().for_each(|row| *each.entry(*row).or_default() += 1);
            State {
                rows: rows.len() as i64,
                values: values.clone().count() as i64,
                sum: values.clone().map(|v| i64::from(*v)).sum(),
                max: values.max().copied(),
                known: true,
                each,
            }
        }

        fn take(&mut self, row: Row, weight: i64) {
            self.rows += weight;
            let times = self.each.entry(row).or_default();
            *times += weight;
            assert!(*times >= 0 && self.rows >= 0, "less than nothing");
            if *times == 0 {
                self.each.remove(&row);
            }
            if row == 0 {
                return;
            }
            self.values += weight;
            self.sum += weight * i64::from(row);
            match extremum(self.max.map(|max| row.cmp(&max)), weight > 0) {
                Extremum::Stays => {}
                Extremum::Becomes => self.max = Some(row),
                Extremum::Unknown => self.known = false,
            }
        }

        fn take_in(&mut self, delta: &[(Row, i64)]) {
            in_order(delta, |(_, weight)| *weight).for_each(|(row, weight)| self.take(*row, *weight));
            if !self.known {
                // Recomputed.
                let rows: Vec<Row> = self.each.iter().flat_map(|(r, n)| vec![*r; *n as usize]).collect();
                *self = State::of(&rows);
            }
        }
    }

    /// Weighted rows by which `before` becomes `now`, with some rows that come and go (`noise`).
    fn delta(before: &[Row], now: &[Row], noise: &[Row]) -> Vec<(Row, i64)> {
        let gone = before.iter().map(|row| (*row, -1));
        let both = noise.iter().flat_map(|row| [(*row, -2), (*row, 2)]);
        gone.chain(both).chain(now.iter().map(|row| (*row, 1))).collect()
    }

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        proptest::collection::vec(0u8..4, 0..5)
    }

    proptest! {
        /// As one step and as several: the state of the last rows, never a state of less than no rows.
        #[test]
        fn is_what_recomputation_says(states in proptest::collection::vec((rows(), rows()), 1..5)) {
            let first = &states[0].0;
            let last = &states[states.len() - 1].0;
            let mut step_by_step = State::of(first);
            let mut at_once = Vec::new();
            for two in states.windows(2) {
                let change = delta(&two[0].0, &two[1].0, &two[1].1);
                step_by_step.take_in(&change);
                prop_assert_eq!(&step_by_step, &State::of(&two[1].0));
                at_once.extend(change);
            }
            let mut one_step = State::of(first);
            one_step.take_in(&at_once);
            prop_assert_eq!(&one_step, &State::of(last));
            prop_assert_eq!(&one_step, &step_by_step);
        }

        #[test]
        fn nothing_is_lost_and_parts_keep_their_order(rows in proptest::collection::vec((any::<u8>(), -2i64..3), 0..20)) {
            let ordered: Vec<_> = in_order(&rows, |(_, weight)| *weight).copied().collect();
            let of = |positive: bool| rows.iter().copied().filter(move |(_, w)| (*w > 0) == positive);
            prop_assert_eq!(ordered, of(true).chain(of(false)).collect::<Vec<_>>());
        }
    }

    /// The row of a group is there when the group has rows; each fate makes it so.
    #[test]
    fn rows_of_groups() {
        for (stored, rows, only) in
            [false, true].into_iter().flat_map(|s| (-1..3).flat_map(move |n| [(s, n, false), (s, n, true)]))
        {
            let there = match fate(stored, rows, only) {
                Fate::Broken => {
                    assert!(rows < 0);
                    continue;
                }
                Fate::Nothing => stored,
                Fate::Comes => !stored,
                Fate::Changes => stored,
                Fate::Goes => !stored,
            };
            assert_eq!(there, rows > 0 || only, "{stored} {rows} {only}");
        }
    }
}
