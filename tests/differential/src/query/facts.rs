//! What a query depends on, so that writes can be aimed. Left by the families of `query`, used by `plan`.
//! Invariant: a named table, column or value is in the query, or nearly always: writes aimed at it are a hazard only if they did something.

use crate::hazards::Hazard;
use std::collections::BTreeSet;

/// A column of a base table: table and column number.
pub type Base = (usize, usize);

/// What a query depends on, so that writes can be aimed.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub joins: Vec<(Base, Base, Join)>,
    pub sublinks: Vec<(Base, Base)>,
    pub groups: Vec<Base>,
    pub filters: Vec<Base>,
    pub aggregated: Vec<Base>,
    pub havings: Vec<Base>,
    pub extrema: Vec<Base>,
    pub partitions: Vec<Base>,
    pub limited: Vec<usize>,
    pub ungrouped: Vec<usize>,
    /// of two rows with 9 in this column, a sub-query that may return one returns both
    pub unusual: Vec<Base>,
    /// tables all of whose columns are used, also columns that are added later
    pub whole: BTreeSet<usize>,
    pub tables: BTreeSet<usize>,
    pub sources: BTreeSet<String>,
    pub hazards: BTreeSet<Hazard>,
    /// what the server prints of the query may be another query, or none
    pub no_text: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Join {
    Inner,
    Outer,
    Full,
}
