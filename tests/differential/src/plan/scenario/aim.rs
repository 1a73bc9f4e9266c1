//! What a view has that writes can be aimed at, and how often each is.
//! Invariant: an aim is there only if its facts are. Called by `scenario`.

use crate::plan::Planner;
use crate::query::{Facts, Join};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Aim {
    Join,
    FullJoin,
    Sublink,
    Group,
    /// an aggregated value, to or from NULL
    NullAggregated,
    /// an aggregated value that a sum of changes gets wrong
    Aggregated,
    Having,
    Extremum,
    Filter,
    Partition,
    /// a table under LIMIT
    Limited,
    /// a table under aggregates without GROUP BY
    Ungrouped,
    /// a sub-query that may return two rows
    Unusual,
    /// a table without a key
    Keyless,
}

/// Every aim as often as its weight says.
pub(super) fn aims(facts: &Facts, planner: &Planner) -> Vec<Aim> {
    let mut all = vec![];
    let mut add = |aim, times| all.extend(std::iter::repeat_n(aim, times));
    add(Aim::Join, 2 * facts.joins.len());
    add(Aim::FullJoin, 4 * facts.joins.iter().filter(|j| j.2 == Join::Full).count());
    add(Aim::Group, 3 * facts.groups.iter().filter(|b| planner.is_ambiguous(**b)).count());
    add(Aim::Sublink, facts.sublinks.len());
    add(Aim::Group, facts.groups.len());
    add(Aim::NullAggregated, facts.aggregated.len().min(2));
    add(Aim::Aggregated, facts.aggregated.len().min(3));
    add(Aim::Aggregated, 2 * facts.aggregated.iter().filter(|b| planner.is_special(**b)).take(2).count());
    add(Aim::Having, 6 * facts.havings.len());
    add(Aim::Extremum, 3 * facts.extrema.len());
    add(Aim::Filter, facts.filters.len().min(2));
    add(Aim::Partition, facts.partitions.len());
    add(Aim::Limited, 2 * facts.limited.len());
    add(Aim::Ungrouped, facts.ungrouped.len());
    add(Aim::Unusual, 4 * facts.unusual.iter().filter(|b| planner.is_writable(**b)).count());
    add(Aim::Keyless, keyless(facts, planner).len());
    all
}

/// The tables of a view that have no key.
pub(super) fn keyless(facts: &Facts, planner: &Planner) -> Vec<usize> {
    facts.tables.iter().copied().filter(|&t| planner.schema.tables[t].key.is_empty()).collect()
}
