//! The tiny domains of types: few values each, so that collisions, duplicates and NULLs are frequent.
//! Invariant: every value is legal input of its type, and finite sums of the floating values are exact in any order.
//! Used by `schema`, `query` and `transaction`.

use super::Ty::{self, *};
use crate::dice::Dice;

impl Ty {
    fn values(self) -> &'static [&'static str] {
        match self {
            Int | PosInt => &["0", "1", "2", "3", "4"],
            Small => &["0", "1", "2", "3", "-7"],
            Big => &["0", "1", "2", "3", "5000000000"],
            Text => &["a", "b", "", "A b", "ä"],
            Num => &["1.0", "1.000", "2", "0.5", "-1", "2.50", "NaN", "Infinity", "-Infinity"],
            Float | Real | Approx => &["0.5", "1", "-0", "0", "NaN", "2.25", "Infinity", "-Infinity"],
            Bool => &["t", "f"],
            Uuid => &[
                "00000000-0000-0000-0000-000000000001",
                "00000000-0000-0000-0000-000000000002",
                "00000000-0000-0000-0000-000000000003",
                "00000000-0000-0000-0000-000000000004",
            ],
            Date => &["2024-01-01", "2024-02-29", "1999-12-31"],
            Stamp => &["2024-01-01 00:00:00+00", "2024-03-31 01:30:00+00", "2024-07-01 23:59:59.5+00"],
            Interval => &["1 day", "24 hours", "1 mon", "30 days", "-00:00:30.5", "0"],
            Money => &["1.00", "2.50", "0", "-0.01"],
            Jsonb => &[r#"{"a": 1}"#, "[1, 2]", "{}", "null", r#""x""#, r#"{"a": 2, "b": [true]}"#],
            Json => &[r#"{"a": 1}"#, r#"{"a":1}"#, "[1, 2]", "{}"],
            Ints => &["{}", "{1}", "{1,2}", "{2,1}", "{NULL}"],
            Texts => &["{}", "{a}", "{a,b}", "{b,a,a}"],
            Range => &["empty", "[1,3)", "[2,5)", "(,4)", "[1,)"],
            Point => &["(1,2)", "(0,0)", "(1.5,-1)"],
            Char => &["a", "b", "abc"],
            Mood => &["sad", "ok", "happy"],
            Pair => &["(1,a)", "(1,)", "(2,b)", "(,)"],
            Varchar => &["a", "b", "xyz"],
            Bytea => &["\\x", "\\x00", "\\x01ff"],
            Bits => &["000", "101", "110"],
            NoCase | Citext => &["a", "A", "b", "B", "ab", "aB", ""],
        }
    }

    /// A value in its external form.
    pub fn raw(self, dice: &mut Dice) -> String {
        // NaN and infinities hide other differences: make them rare
        let raw = *dice.pick(self.values());
        if matches!(raw, "NaN" | "Infinity" | "-Infinity") && dice.chance(85) {
            return "1".into();
        }
        raw.to_string()
    }

    /// A key value: from a wider domain, so that tables with a key can grow.
    pub fn raw_key(self, dice: &mut Dice) -> String {
        let n = dice.between(1, 14);
        match self {
            Int | Small | Big | PosInt | Num | Float | Real | Money => n.to_string(),
            Text | Varchar | NoCase | Citext => format!("k{n}"),
            Char => format!("k{n:x}"),
            Uuid => format!("00000000-0000-0000-0000-0000000000{n:02x}"),
            _ => self.raw(dice),
        }
    }

    pub fn quote(self, raw: &str) -> String {
        match self {
            Int => raw.to_string(),
            _ => format!("'{}'::{}", raw.replace('\'', "''"), self.sql()),
        }
    }

    pub fn literal(self, dice: &mut Dice) -> String {
        let raw = self.raw(dice);
        self.quote(&raw)
    }

    pub fn literal_or_null(self, dice: &mut Dice) -> String {
        if dice.chance(20) { format!("NULL::{}", self.sql()) } else { self.literal(dice) }
    }
}
