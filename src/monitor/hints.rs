//! What to do about a change that recomputes everything, by its reason. Called by explain.

use tviews_core::strategy::{Decision, Strategy};

/// A part of the reason, and what helps. The first one that fits is meant.
const HINTS: &[(&str, &str)] = &[
    ("mode = full", "RESET (mode) lets the cheapest way be taken."),
    ("no relation of it has a key", "Give the tables primary keys. A recursive query is always recomputed."),
    ("no unique key", "Add the primary key columns of the joined tables to the output."),
    ("a key that it would need is not visible", "Add the primary key columns of the joined tables to the output."),
    ("grouping expression", "Add the grouping expressions to the output."),
    ("has no equality operator", "Cast the column to a type that has one, such as jsonb or text."),
    ("uses LIMIT", "Leave LIMIT out, and limit when reading the TVIEW: an index on it in this order makes that cheap."),
    ("a window over all rows", "Number the rows when reading the TVIEW, or add PARTITION BY."),
    ("without GROUP BY depends on all rows", "Aggregate groups in the TVIEW, and these when reading it."),
    ("a floating-point sum", "Cast to numeric, or allow differences of rounding: WITH (approximate)."),
    ("ONLY of a table", "Leave ONLY out, and compare tableoid with the table."),
    ("a system column", "Leave system columns out; tableoid is followed in other places."),
    ("virtual generated column", "Make the column STORED, or write its expression in the query."),
    ("a whole row is used", "Name the columns."),
    (
        "full join above an outer join",
        "Join the tables of the outer join in a TVIEW of their own, and FULL JOIN that one.",
    ),
    ("row security", "Give the TVIEW to a role that the policies do not apply to."),
    (
        "every row depends on a sub-query",
        "Give the sub-query a condition on the row, or join with a TVIEW of its result.",
    ),
    ("LATERAL", "Make the LATERAL item a TVIEW with the columns that it is restricted by, and join that one."),
    ("inside a set operation", "Make the set operation a TVIEW, and join that one."),
    ("inside WITH", "Make the WITH query a TVIEW, and read that one."),
    ("a sub-query", "Make the sub-query a TVIEW with the columns that it is restricted by, and join that one."),
    ("outer join", "Make the inner outer join a TVIEW of its own, and join that one."),
    ("several of the parts", "Make the parts TVIEWs of their own, and join these."),
];

/// What helps against a full recomputation.
pub fn of(decision: &Decision) -> Option<String> {
    if decision.strategy != Strategy::Full {
        return None;
    }
    HINTS.iter().find(|(part, _)| decision.reason.contains(part)).map(|(_, hint)| (*hint).to_string())
}
