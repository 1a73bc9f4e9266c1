//! What the server can do that not all can, and which types of columns follow from it.
//! Invariant: plain data, so that a case can be made without a server. Asked by `server::probe`; used by all generators.

use crate::types::Ty;

/// What the server can do that not all can.
#[derive(Clone, Copy, Debug, Default)]
pub struct Features {
    /// 15 and so on
    pub version: u32,
    pub icu: bool,
    pub citext: bool,
}

const ALL: &[Ty] = {
    use Ty::*;
    &[
        Int, Small, Big, Text, Num, Float, Real, Bool, Uuid, Date, Stamp, Interval, Money, Jsonb, Json, Ints, Texts,
        Range, Point, Char, Mood, PosInt, Pair, Varchar, Bytea, Bits, NoCase, Citext,
    ]
};

impl Features {
    /// Types that columns of tables can have.
    pub fn types(self) -> Vec<Ty> {
        ALL.iter().copied().filter(|ty| (*ty != Ty::NoCase || self.icu) && (*ty != Ty::Citext || self.citext)).collect()
    }

    /// Types that the setup of a schema creates.
    pub fn create_types(self) -> Vec<String> {
        let mut all = vec![
            "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')",
            "CREATE DOMAIN posint AS int CHECK (VALUE >= 0)",
            "CREATE TYPE pair AS (a int, b text)",
        ];
        if self.icu {
            all.push("CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)");
            all.push("CREATE DOMAIN nocase_text AS text COLLATE nocase");
        }
        all.into_iter().map(String::from).collect()
    }
}
