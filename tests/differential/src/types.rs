//! Column types and their tiny domains: few values each, so that collisions, duplicates and NULLs are frequent.
//! Invariant: every value is legal input of its type, and finite sums of the floating values are exact in any order.
//! Used by `schema`, `query` and `transaction`.

use crate::dice::Dice;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Ty {
    Int,
    Small,
    Big,
    Text,
    Num,
    Float,
    Real,
    /// a float8 computed in an order that nobody determines: its last digits mean nothing
    Approx,
    Bool,
    Uuid,
    Date,
    Stamp,
    Interval,
    Money,
    Jsonb,
    Json,
    Ints,
    Texts,
    Range,
    Point,
    Char,
    Mood,
    PosInt,
    Pair,
    Varchar,
    Bytea,
    Bits,
    /// text under a collation that is not deterministic
    NoCase,
    Citext,
}
use Ty::*;

/// What is determined of a value of type `Approx`: six decimals and seven significant digits of it, of type real. NaN and the infinities stay.
pub fn first_digits(sql: &str) -> String {
    format!("round(({sql})::numeric, 6)::real")
}

impl Ty {
    pub fn sql(self) -> &'static str {
        match self {
            Int => "int",
            Small => "smallint",
            Big => "bigint",
            Text => "text",
            Num => "numeric",
            Float | Approx => "float8",
            Real => "real",
            Bool => "bool",
            Uuid => "uuid",
            Date => "date",
            Stamp => "timestamptz",
            Interval => "interval",
            Money => "money",
            Jsonb => "jsonb",
            Json => "json",
            Ints => "int[]",
            Texts => "text[]",
            Range => "int4range",
            Point => "point",
            Char => "char(3)",
            Mood => "mood",
            PosInt => "posint",
            Pair => "pair",
            Varchar => "varchar(10)",
            Bytea => "bytea",
            Bits => "bit(3)",
            NoCase => "nocase_text",
            Citext => "citext",
        }
    }

    /// Has `=`, so it can be joined, grouped and compared.
    pub fn has_equality(self) -> bool {
        !matches!(self, Json | Point | Approx)
    }

    /// Equal values may print differently, so which of several equal ones a query returns is not determined.
    pub fn is_ambiguous(self) -> bool {
        matches!(self, Num | Float | Real | Interval | NoCase | Citext)
    }

    pub fn has_extrema(self) -> bool {
        matches!(
            self,
            Int | Small
                | Big
                | Text
                | Num
                | Float
                | Real
                | Date
                | Stamp
                | Interval
                | Money
                | Mood
                | Ints
                | Char
                | PosInt
                | Varchar
                | NoCase
                | Citext
        )
    }

    pub fn is_integer(self) -> bool {
        matches!(self, Int | Small | Big | PosInt)
    }

    pub fn is_number(self) -> bool {
        self.is_integer() || matches!(self, Num | Float | Real)
    }

    /// The type of sum(), where there is one.
    pub fn sum(self) -> Option<Ty> {
        match self {
            Int | Small | PosInt => Some(Big),
            Big | Num => Some(Num),
            Float => Some(Float),
            Real => Some(Real),
            Interval => Some(Interval),
            Money => Some(Money),
            _ => None,
        }
    }

    /// The type of avg(), where there is one.
    pub fn avg(self) -> Option<Ty> {
        match self {
            Int | Small | PosInt | Big | Num => Some(Num),
            Float | Real => Some(Approx),
            Interval => Some(Interval),
            _ => None,
        }
    }

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
