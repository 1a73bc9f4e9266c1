//! As what the TVIEWs of a case are made. Invariant: writes are the same in all modes. Chosen by who runs a case.

#[derive(Clone, Copy, Debug, Default)]
pub struct Mode {
    /// plain materialized views, refreshed before each comparison: tests this program
    pub baseline: bool,
    /// plain views instead: tells whether an error is the statement's own, or the query's
    pub without_tviews: bool,
    pub verbose: bool,
}
