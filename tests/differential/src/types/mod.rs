//! Column types: their names in SQL, and what can be done with values of them.
//! Invariant: the properties of a type hold on every server that has it. `domain` has their values. Used by all generators and the oracle.

mod domain;

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

/// The determined digits of a value of type `Approx`: six decimals and seven significant digits, as real. NaN and the infinities stay.
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

    /// Equal values may print differently, so which of several equal ones a query returns is not determined. Numbers inside of jsonb are equal
    /// whatever their scale.
    pub fn is_ambiguous(self) -> bool {
        matches!(self, Num | Float | Real | Interval | Jsonb | NoCase | Citext)
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
}
