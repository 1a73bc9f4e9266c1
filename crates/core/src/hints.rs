//! Advice on avoiding a full recomputation, by its reason.
//!
//! Invariant: the advice depends on the decision only. Called by `tviews.check`, and by the command `tviews lint`.

use crate::reason::Reason::{self, *};
use crate::strategy::{Decision, Strategy};

/// Reasons, and advice. The first entry with the reason counts.
const HINTS: &[(&[Reason], &str)] = &[
    (&[ModeFull], "RESET (mode) lets the cheapest way be taken."),
    (&[NoAnchor], "Give the tables primary keys. A recursive query is followed when its step only joins and filters."),
    (&[NoKey], "Add the primary key columns of the joined tables to the output."),
    (&[AnchorNotVisible], "Add the primary key columns of the joined tables to the output."),
    (&[GroupNotShown], "Add the grouping expressions to the output."),
    (
        &[PartitionWithoutEquality, OutputWithoutEquality],
        "Cast the column to a type that has one, such as jsonb or text.",
    ),
    (
        &[Limit],
        "Order the rows, for OFFSET alone those of a table or query with a key, and write LIMIT and OFFSET as numbers; or leave LIMIT out, and limit when reading the TVIEW.",
    ),
    (
        &[WindowOverAll],
        "Order by columns of one table that are never NULL and, together, unique; number the rows when reading the TVIEW; or add PARTITION BY.",
    ),
    (&[OneGroup], "Aggregate groups in the TVIEW, and these when reading it."),
    (&[OneValue], "Only the sub-query is computed anew, and what looks at its value when this changes: it may stay."),
    (&[FloatingSum], "Cast to numeric, or allow differences of rounding: WITH (approximate)."),
    (&[FloatingStatistic], "Allow differences of rounding: WITH (approximate)."),
    (&[OnlyOfParent], "Leave ONLY out, and compare tableoid with the table."),
    (&[SystemColumn], "Leave system columns out; tableoid is followed in other places."),
    (&[VirtualColumn], "Make the column STORED, or name the columns instead of the whole row."),
    (&[WholeRow], "Name the columns."),
    (&[FullAboveOuter], "Join the tables of the outer join in a TVIEW of their own, and FULL JOIN that one."),
    (&[RowSecurity], "Give the TVIEW to a role that the policies do not apply to."),
    (&[EveryRow], "Give the sub-query a condition on the row, or join with a TVIEW of its result."),
    (
        &[LateralOfSubquery, LateralOfNullable, LateralNullable],
        "Make the LATERAL item a TVIEW with the columns that it is restricted by, and join that one.",
    ),
    (&[InsideSetOperation], "Make the set operation a TVIEW, and join that one."),
    (&[InsideWith], "Make the WITH query a TVIEW, and read that one."),
    (
        &[
            SetReturningInside,
            GroupingSetsInside,
            AggregateAround,
            KeyOfSubquery,
            OuterOfSubquery,
            NullableSubquery,
            SubqueryInOuterCondition,
            FunctionOfSubquery,
            SubqueryBeside,
            SubqueryInAggregate,
        ],
        "Make the sub-query a TVIEW with the columns that it is restricted by, and join that one.",
    ),
    (
        &[ManyOuterJoins, KeyOfBothSides, TwoOuterJoins, SeveralNullable, BothSides],
        "Make the inner outer join a TVIEW of its own, and join that one.",
    ),
    (&[SeveralParts], "Make the parts TVIEWs of their own, and join these."),
];

/// Advice on avoiding the full recomputation that a decision stands for.
pub fn of(decision: &Decision) -> Option<String> {
    if decision.strategy != Strategy::Full {
        return None;
    }
    HINTS
        .iter()
        .find(|(reasons, _)| reasons.iter().any(|r| decision.reason.is(*r)))
        .map(|(_, hint)| (*hint).to_string())
}
