//! Column types and their tiny domains: few values each, so that collisions, duplicates and NULLs are frequent.
//! Invariant: every value is legal input of its type, and finite sums of the floating values are exact in any order.
//! Used by `schema`, `query` and `transaction`.

use crate::dice::Dice;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ty {
    Int,
    Big,
    Text,
    Num,
    Float,
    Bool,
    Uuid,
    Date,
    Stamp,
    Jsonb,
    Json,
    Ints,
    Texts,
    Char,
    Mood,
    PosInt,
    Pair,
    Varchar,
    Bytea,
}
use Ty::*;

pub const ALL: &[Ty] = &[
    Int, Big, Text, Num, Float, Bool, Uuid, Date, Stamp, Jsonb, Json, Ints, Texts, Char, Mood, PosInt, Pair, Varchar,
    Bytea,
];

/// Types that the setup of a schema creates.
pub const CREATE: &[&str] = &[
    "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')",
    "CREATE DOMAIN posint AS int CHECK (VALUE >= 0)",
    "CREATE TYPE pair AS (a int, b text)",
];

impl Ty {
    pub fn sql(self) -> &'static str {
        match self {
            Int => "int",
            Big => "bigint",
            Text => "text",
            Num => "numeric",
            Float => "float8",
            Bool => "bool",
            Uuid => "uuid",
            Date => "date",
            Stamp => "timestamptz",
            Jsonb => "jsonb",
            Json => "json",
            Ints => "int[]",
            Texts => "text[]",
            Char => "char(3)",
            Mood => "mood",
            PosInt => "posint",
            Pair => "pair",
            Varchar => "varchar(10)",
            Bytea => "bytea",
        }
    }

    /// Has `=`, so it can be joined, grouped and compared.
    pub fn has_equality(self) -> bool {
        self != Json
    }

    /// Equal values may print differently, so which of several equal ones a query returns is not determined.
    pub fn is_ambiguous(self) -> bool {
        matches!(self, Num | Float)
    }

    pub fn has_extrema(self) -> bool {
        matches!(self, Int | Big | Text | Num | Float | Date | Stamp | Mood | Ints)
    }

    pub fn is_number(self) -> bool {
        matches!(self, Int | Big | Num | Float)
    }

    fn values(self) -> &'static [&'static str] {
        match self {
            Int | PosInt => &["0", "1", "2", "3", "4"],
            Big => &["0", "1", "2", "3", "5000000000"],
            Text => &["a", "b", "", "A b", "ä"],
            Num => &["1.0", "1.000", "2", "0.5", "-1", "2.50", "NaN"],
            Float => &["0.5", "1", "-0", "0", "NaN", "2.25", "Infinity"],
            Bool => &["t", "f"],
            Uuid => &[
                "00000000-0000-0000-0000-000000000001",
                "00000000-0000-0000-0000-000000000002",
                "00000000-0000-0000-0000-000000000003",
                "00000000-0000-0000-0000-000000000004",
            ],
            Date => &["2024-01-01", "2024-02-29", "1999-12-31"],
            Stamp => &["2024-01-01 00:00:00+00", "2024-03-31 01:30:00+00", "2024-07-01 23:59:59.5+00"],
            Jsonb => &[r#"{"a": 1}"#, "[1, 2]", "{}", "null", r#""x""#, r#"{"a": 2, "b": [true]}"#],
            Json => &[r#"{"a": 1}"#, r#"{"a":1}"#, "[1, 2]", "{}"],
            Ints => &["{}", "{1}", "{1,2}", "{2,1}", "{NULL}"],
            Texts => &["{}", "{a}", "{a,b}", "{b,a,a}"],
            Char => &["a", "b", "abc"],
            Mood => &["sad", "ok", "happy"],
            Pair => &["(1,a)", "(1,)", "(2,b)", "(,)"],
            Varchar => &["a", "b", "xyz"],
            Bytea => &["\\x", "\\x00", "\\x01ff"],
        }
    }

    /// A value in its external form.
    pub fn raw(self, dice: &mut Dice) -> String {
        // NaN and infinities hide other differences: make them rare
        let raw = *dice.pick(self.values());
        if matches!(raw, "NaN" | "Infinity") && dice.chance(80) {
            return "1".into();
        }
        raw.to_string()
    }

    /// A key value: from a wider domain, so that tables with a key can grow.
    pub fn raw_key(self, dice: &mut Dice) -> String {
        let n = dice.between(1, 14);
        match self {
            Int | Big | PosInt | Num | Float => n.to_string(),
            Text | Varchar | Char => format!("k{n}"),
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
        if dice.chance(20) {
            format!("NULL::{}", self.sql())
        } else {
            self.literal(dice)
        }
    }
}
