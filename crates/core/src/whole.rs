//! Why all of a TVIEW was computed anew, instead of what changes concern.
//!
//! Invariant: each text is here and nowhere else. It completes "computed anew, because …", and is shown by `tviews.refresh_history` and in the log.
//! Made where the extension decides it.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Whole {
    /// No snapshot was followed to its end before.
    First,
    /// A crash emptied an unlogged TVIEW.
    Lost,
    /// An expression that is no condition on a column reads the clock.
    Clock,
    /// Changes are captured from WAL, and the log has not come so far.
    NotRead,
    /// The transaction has itself changed a relation that is captured from WAL.
    OfItself,
    /// Foreign tables, ordinary materialized views.
    NotCaptured,
    /// DDL on what the query reads, `mode = full`, or a caller who wants it.
    Asked,
    /// The query has no better strategy for changes of this relation.
    Strategy,
    /// TRUNCATE, a rewrite, or a change that no trigger saw.
    Everything,
    /// More rows or keys than pg_tviews.full_refresh_threshold allows.
    Many(usize),
    /// The planner's estimates.
    Cheaper,
    /// A value that the rows are compared with is or was NULL.
    NullValue,
    /// Changes were followed in the middle of the transaction, and cannot be added once more.
    Again,
    /// Several relations have changed, and no strategy follows them at once.
    Together,
    /// An expression failed for a row that the query itself does not compute.
    Failed,
}

impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Whole::First => "it was not refreshed before",
            Whole::Lost => "its rows were lost in a crash",
            Whole::Clock => "it reads the clock",
            Whole::NotCaptured => "it reads a relation whose changes are not captured",
            Whole::NotRead => "changes up to its snapshot had not been read from WAL",
            Whole::OfItself => "its transaction has changed a relation that is captured from WAL",
            Whole::Asked => "its definition, or what it reads, became another one",
            Whole::Strategy => "its strategy for a changed relation is full",
            Whole::Everything => "all rows of a relation may have changed",
            Whole::Many(rows) => {
                return write!(f, "{rows} changed rows or keys are past pg_tviews.full_refresh_threshold");
            }
            Whole::Cheaper => "by the planner's estimates that was cheaper",
            Whole::NullValue => "a value that rows are compared with is or was NULL",
            Whole::Again => "changes had been followed in the middle of the transaction",
            Whole::Together => "relations have changed that cannot be followed at once",
            Whole::Failed => "an expression failed for a row that the query need not compute",
        })
    }
}
