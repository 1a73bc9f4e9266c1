//! The reasons why a change is followed by its strategy, and why not by a cheaper one.
//!
//! Invariant: each text is here and nowhere else; NOTICEs, `tviews.explain`, `tviews.check` and `tviews.strategies` print it, and the reference
//! lists what to do about each reason. Made by `decide`, and by the extension's analysis where no rule can follow a query.

use serde::{Serialize, Serializer};
use std::fmt;

macro_rules! reasons {
    ($($(#[$group:meta])* $name:ident = $text:literal,)*) => {
        /// One reason.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $($(#[$group])* $name,)*
        }

        impl Reason {
            pub const ALL: &[Reason] = &[$(Reason::$name,)*];

            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Reason::$name => $text,)*
                }
            }
        }
    };
}

reasons! {
    // How changes are followed.
    TakenIn = "changed rows are taken into the state of their groups",
    AffectedTakenIn = "the rows that a change affects, now and before, are taken into their groups",
    Added = "rows are added and taken away as the changed rows say",
    AffectedAdded = "the rows that a change affects, now and before, are added and taken away",
    RowsRecomputed = "the rows of changed keys are recomputed",
    GroupsRecomputed = "the groups of changed rows are recomputed",
    PartitionsRecomputed = "the partitions of changed rows are recomputed",
    ReachedRecomputed = "the rows that a change can reach are recomputed",
    FirstRows = "the rows within LIMIT are computed anew when a changed row comes before the last of them",
    Behind = "changed rows behind OFFSET are computed anew, and rows in front of them as far as the first one that is shown is another one",
    Interval = "the rows whose windows look at a changed row, or go on from it, are computed anew",
    ModeFull = "mode = full",
    StateLost = "the rows have lost their state; tviews.rebuild() brings it back",
    SeveralParts = "it changes several of the parts that this is computed from",

    // The output has no key.
    SetOperation = "the query uses set operation",
    GroupingSets = "the query uses grouping sets",
    SetReturning = "the query uses set-returning function in the select list",
    Limit = "the query uses LIMIT",
    WindowOverAll = "the query uses a window over all rows",
    DistinctOverGroups = "the query uses DISTINCT over GROUP BY",
    OneGroup = "an aggregate without GROUP BY depends on all rows",
    OneValue = "the value of a sub-query is computed anew",
    GroupNotShown = "a grouping expression is not among the output columns",
    NoKey = "no unique key of the output can be derived",
    PartitionWithoutEquality = "a column that windows are partitioned by has no equality operator",
    RecursionOfEqual = "equal rows of a recursive UNION need not be the same",
    OutputWithoutEquality = "a column of the output has no equality operator",

    // Change rows lack something that the query reads.
    OnlyOfParent = "ONLY of a table that has children",
    SystemColumn = "a system column is read",
    VirtualColumn = "a virtual generated column is read",
    WholeRow = "a whole row is used",
    RowSecurity = "row security hides some of its rows",
    Unwritten = "it cannot be written as SQL that is read as the same",

    // Sub-queries.
    NotFollowed = "it is read where its changes cannot be followed",
    InsideSetOperation = "it is read inside a set operation",
    InsideWith = "it is read inside WITH",
    SetReturningInside = "a set-returning function is in the select list of a sub-query",
    GroupingSetsInside = "a sub-query has grouping sets",
    AggregateAround = "a sub-query looks at an aggregate of the query around it",
    EveryRow = "every row depends on a sub-query that it reads",
    KeyOfSubquery = "a key column is computed by a sub-query",
    LateralOfSubquery = "a LATERAL item depends on what a sub-query computes",
    OuterOfSubquery = "an outer join depends on what a sub-query computes",
    NullableSubquery = "a sub-query on the nullable side of an outer join",
    SubqueryInOuterCondition = "a sub-query in the condition of an outer join",
    FunctionOfSubquery = "a function in FROM has a sub-query as argument",

    // Outer joins.
    NullablePasses = "a join condition can be true for null-extended rows",
    FullAboveOuter = "a full join above an outer join",
    LateralOfNullable = "a LATERAL item depends on the nullable side of an outer join",
    LateralNullable = "LATERAL on the nullable side of an outer join",
    NullableInsideView = "a join condition depends on the nullable side inside a view",
    ManyOuterJoins = "too many outer joins can change together",
    KeyOfBothSides = "a key expression mixes both sides of an outer join",

    // Weighted rows.
    TwoOuterJoins = "it is on the nullable side of two outer joins",
    NoStateBefore = "the state before the changes cannot be read",
    SeveralNullable = "several nullable sides of outer joins change together",
    ManyTogether = "more than four relations change together",
    BothSides = "both sides of a join inside an outer join change together",
    NoAnchor = "no relation of it has a key",
    AnchorNotCaptured = "a key that it would need is not captured",
    AnchorNotVisible = "a key that it would need is not visible",
    AnchorWithoutEquality = "a key without equality",
    BranchNotPlain = "a branch of UNION ALL is not plain",
    BranchTypes = "UNION ALL of different types",

    // Groups whose state does not tell.
    Having = "HAVING",
    DistinctOn = "DISTINCT ON",
    NotGrouped = "the query is not grouped",
    DependentWithoutEquality = "a column without equality depends on the groups",
    ManyColumns = "more columns than a row can have",
    SubqueryBeside = "a sub-query beside aggregates",
    NotGroupedBy = "an expression over a column that is not grouped by",
    DistinctInside = "DISTINCT in an aggregate",
    Ordered = "an ordered aggregate",
    SubqueryInAggregate = "a sub-query inside an aggregate",
    SeveralArguments = "an aggregate of several arguments",
    NoInverse = "an aggregate without inverse",
    FloatingSum = "a floating-point sum",
    FloatingStatistic = "a floating-point statistic",
    OrderedSet = "an ordered-set aggregate",
    UnknownAggregate = "an unknown aggregate",
    StateNotKept = "an aggregate whose state cannot be kept",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The reason for a strategy, and the reason why no cheaper strategy is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Because {
    pub what: Reason,
    pub no_better: Option<Reason>,
}

impl Because {
    /// Whether one of the two reasons is this one.
    pub fn is(self, reason: Reason) -> bool {
        self.what == reason || self.no_better == Some(reason)
    }
}

impl From<Reason> for Because {
    fn from(what: Reason) -> Because {
        Because { what, no_better: None }
    }
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.what.as_str())?;
        self.no_better.map_or(Ok(()), |why| write!(f, ": {why}"))
    }
}

impl Serialize for Because {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn texts_tell_reasons_apart() {
        let texts: BTreeSet<&str> = Reason::ALL.iter().map(|r| r.as_str()).collect();
        assert_eq!(texts.len(), Reason::ALL.len());
        assert!(texts.iter().all(|t| !t.is_empty() && !t.ends_with('.') && t.trim() == *t));
    }

    #[test]
    fn the_better_way_comes_second() {
        let because = Because { what: Reason::GroupsRecomputed, no_better: Some(Reason::FloatingSum) };
        assert_eq!(because.to_string(), "the groups of changed rows are recomputed: a floating-point sum");
        assert_eq!(Because::from(Reason::ModeFull).to_string(), "mode = full");
        assert!(because.is(Reason::FloatingSum) && !because.is(Reason::NoKey));
    }
}
