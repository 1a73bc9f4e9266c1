//! Comparisons of places in an order, as conditions that an index on the columns of the order can answer.
//!
//! ```text
//!   behind y, NULLs last:   y not NULL   (r1, r2) > (y1, y2)   or   r1 IS NULL
//!                           y1 NULL      r1 IS NULL and r2 > y2
//!            NULLs first:   y1 NULL      the same,             or   r1 IS NOT NULL
//! ```
//!
//! A column that can be NULL has its NULLs at one end of the order. So a comparison is one of several alternatives, each a range of the index: one
//! for what is not NULL, one for the end with the NULLs, one among the NULLs.
//! Invariant: one alternative at most is true of a row and a place, and one is when the row is where the comparison says. Called by rules/interval.rs.

use crate::analyze::describe::interval::Intervals;
use crate::pg::fault::{self, Fault};

/// How one place in the order is compared with another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Before,
    NotBefore,
    Behind,
    NotBehind,
}

/// The columns o1, o2 … of an order.
pub struct Order(Vec<Column>);

#[derive(Clone, Copy)]
struct Column {
    descends: bool,
    /// Where its NULLs are, when it can be NULL: first?
    nulls: Option<bool>,
}

/// A condition on a row, and the columns of which it says that they are NULL in the row, or are not.
#[derive(Clone)]
pub struct Alternative {
    pub text: String,
    nulls: Vec<(usize, bool)>,
}

/// Ties in more columns with NULLs than these are told by a condition that no index answers.
const RANGES: usize = 2;

impl Alternative {
    fn new(text: String, nulls: &[(usize, bool)]) -> Alternative {
        Alternative { text, nulls: nulls.to_vec() }
    }

    /// Both conditions on one row, unless they exclude each other.
    pub fn and(&self, other: &Alternative) -> Option<Alternative> {
        let excludes = |(at, null): &(usize, bool)| other.nulls.contains(&(*at, !null));
        if self.nulls.iter().any(excludes) {
            return None;
        }
        let nulls: Vec<_> = self.nulls.iter().chain(&other.nulls).copied().collect();
        Some(Alternative { text: format!("{} AND {}", self.text, other.text), nulls })
    }
}

/// Each pair of alternatives that do not exclude each other.
pub fn both(these: &[Alternative], those: &[Alternative]) -> Vec<Alternative> {
    these.iter().flat_map(|a| those.iter().filter_map(|b| a.and(b))).collect()
}

impl Order {
    /// `descends`: whether the column of this number does.
    pub fn new(of: &Intervals, descends: impl Fn(usize) -> bool) -> Order {
        let column = |i: usize| Column {
            descends: descends(i),
            nulls: of.nullable.contains(&i).then_some(of.order[i].key.nulls_first),
        };
        Order((0..of.order.len()).map(column).collect())
    }

    /// ORDER BY of o1, o2 …, or the reverse.
    pub fn sorted(&self, prefix: &str, reverse: bool) -> String {
        let one = |(i, c): (usize, &Column)| {
            let descends = c.descends != reverse;
            let nulls = match c.nulls.map(|first| first != reverse) {
                // As the direction has it.
                None => "",
                Some(first) if first == descends => "",
                Some(true) => " NULLS FIRST",
                Some(false) => " NULLS LAST",
            };
            format!("{prefix}o{}{}{nulls}", i + 1, if descends { " DESC" } else { "" })
        };
        self.0.iter().enumerate().map(one).collect::<Vec<_>>().join(", ")
    }

    /// Where `x` is, seen from `y`.
    pub fn compare(&self, x: &str, place: Place, y: &str) -> Vec<Alternative> {
        self.from(0, RANGES, x, place, y)
    }

    /// Whether two rows are equal in the order.
    pub fn equal(&self, x: &str, y: &str) -> Vec<Alternative> {
        let mut all = vec![Alternative::new("true".into(), &[])];
        for i in 0..self.0.len() {
            let (own, other) = (format!("{x}.o{}", i + 1), format!("{y}.o{}", i + 1));
            let same = Alternative::new(format!("{own} OPERATOR(pg_catalog.=) {other}"), &[(i, false)]);
            let null = Alternative::new(format!("{own} IS NULL AND {other} IS NULL"), &[(i, true)]);
            let ranges = 1 << RANGES;
            all = match self.0[i].nulls {
                None => both(&all, &[same]),
                Some(_) if all.len() < ranges => both(&all, &[same, null]),
                Some(_) => both(&all, &[any(&[same, null])]),
            };
        }
        all
    }

    /// The same for the columns from one on.
    fn from(&self, i: usize, ranges: usize, x: &str, place: Place, y: &str) -> Vec<Alternative> {
        if i == self.0.len() {
            let equals = matches!(place, Place::NotBefore | Place::NotBehind);
            return if equals { vec![Alternative::new("true".into(), &[])] } else { Vec::new() };
        }
        let Some(next) = (i..self.0.len()).find(|j| self.0[*j].nulls.is_some()) else {
            return vec![Alternative::new(self.rows(i, self.0.len(), x, place, y), &[])];
        };
        let equal = |at: usize| format!("{x}.o{} OPERATOR(pg_catalog.=) {y}.o{}", at + 1, at + 1);
        let beyond = if matches!(place, Place::Before | Place::NotBehind) { Place::Before } else { Place::Behind };
        if next > i {
            let mut all = vec![Alternative::new(self.rows(i, next, x, beyond, y), &[])];
            let same = Alternative::new((i..next).map(equal).collect::<Vec<_>>().join(" AND "), &[]);
            all.extend(both(&[same], &self.from(next, ranges, x, place, y)));
            return all;
        }
        let (own, other) = (format!("{x}.o{}", i + 1), format!("{y}.o{}", i + 1));
        let is_last = (i + 1..self.0.len()).all(|j| self.0[j].nulls.is_none());
        let rest = self.from(i + 1, ranges.saturating_sub(1), x, place, y);
        let mut all = Vec::new();
        if is_last {
            // A NULL in front finds no row, and is not to be looked for: nbtpreprocesskeys.c asserts otherwise for an index that descends.
            let rows = self.rows(i, self.0.len(), x, place, y);
            all.push(Alternative::new(format!("{other} IS NOT NULL AND {rows}"), &[(i, false)]));
        } else {
            all.push(Alternative::new(self.rows(i, i + 1, x, beyond, y), &[(i, false)]));
            all.extend(both(&[Alternative::new(equal(i), &[(i, false)])], &rest));
        }
        if !fault::on(Fault::ForgetNulls) {
            all.extend(both(&[Alternative::new(format!("{own} IS NULL AND {other} IS NULL"), &[(i, true)])], &rest));
        }
        let beyond_nulls = self.0[i].nulls == Some(beyond == Place::Behind);
        all.push(match beyond_nulls {
            true => Alternative::new(format!("{own} IS NOT NULL AND {other} IS NULL"), &[(i, false)]),
            false => Alternative::new(format!("{own} IS NULL AND {other} IS NOT NULL"), &[(i, true)]),
        });
        if ranges == 0 { vec![any(&all)] } else { all }
    }

    /// Columns that are not NULL, from one to before another: one comparison of rows where they have one direction.
    fn rows(&self, i: usize, end: usize, x: &str, place: Place, y: &str) -> String {
        let directions: Vec<bool> = self.0[i..end].iter().map(|c| c.descends).collect();
        let side = |of: &str| {
            let columns: Vec<String> = (i..end).map(|i| format!("{of}.o{}", i + 1)).collect();
            if columns.len() == 1 { columns[0].clone() } else { format!("ROW({})", columns.join(", ")) }
        };
        let operator = |descends: bool, strict: bool| {
            let is_less = matches!(place, Place::Before | Place::NotBehind) != descends;
            let sign = if is_less { "<" } else { ">" };
            format!("OPERATOR(pg_catalog.{sign}{})", if strict { "" } else { "=" })
        };
        let strict = matches!(place, Place::Before | Place::Behind);
        if directions.iter().all(|d| *d == directions[0]) {
            return format!("{} {} {}", side(x), operator(directions[0], strict), side(y));
        }
        let mut text = String::new();
        for (at, descends) in directions.iter().enumerate().rev() {
            let (own, other) = (format!("{x}.o{}", i + at + 1), format!("{y}.o{}", i + at + 1));
            text = if text.is_empty() {
                format!("{own} {} {other}", operator(*descends, strict))
            } else {
                format!(
                    "({own} {} {other} AND ({own} {} {other} OR {text}))",
                    operator(*descends, false),
                    operator(*descends, true),
                )
            };
        }
        text
    }
}

/// One condition for several.
fn any(all: &[Alternative]) -> Alternative {
    Alternative::new(either(all), &[])
}

/// The same as text.
pub fn either(all: &[Alternative]) -> String {
    let texts: Vec<String> = all.iter().map(|a| format!("({})", a.text)).collect();
    format!("({})", texts.join(" OR "))
}
