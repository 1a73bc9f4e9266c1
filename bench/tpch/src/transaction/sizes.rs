//! Number of rows of each table, for choosing among them.
//!
//! Invariant: as large as the tables are when they are loaded, whatever transactions do afterwards. Called by `check`.

#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    pub parts: i64,
    pub suppliers: i64,
    pub customers: i64,
    /// Highest key; every fourth key exists.
    pub orders: i64,
}

impl Sizes {
    pub fn of(scale: f64) -> Sizes {
        let n = |at_one: f64| ((at_one * scale) as i64).max(1);
        Sizes { parts: n(200_000.0), suppliers: n(10_000.0), customers: n(150_000.0), orders: n(6_000_000.0) }
    }
}
