//! Which cases can show a fault at all: the others need not be run.
//! Invariant: a case that is left out could not have shown it; a fault that is not named here may show in any. Called by `faults`.

use crate::case::{Act, Case, End, View};
use crate::hazards::Hazard;

/// Whether a case has what the fault is about, and the check that would notice.
pub fn suits(case: &Case, fault: &str) -> bool {
    let is_deferred = case.views.iter().any(|v| v.is_tview && v.is_deferred() && !v.late);
    (is_deferred || !is_of_wal(fault)) && has_any(case, shows_in(fault)) && can_tell(case, fault)
}

/// Whether a fault is one of tables that are captured from WAL.
pub fn is_of_wal(fault: &str) -> bool {
    fault.ends_with("_wal")
}

/// Whether a fault is one of rows of which only a part is computed.
pub fn is_of_parts(fault: &str) -> bool {
    ["keep_stored_parts", "keep_stored_columns"].contains(&fault)
}

/// Whether a fault is one of nested loops, which are taken unless a case wants SQL.
pub fn is_of_loops(fault: &str) -> bool {
    fault == "skip_optional"
}

/// Hazards without which a fault cannot show: cases that have none of them are not run.
fn shows_in(fault: &str) -> &'static [Hazard] {
    match fault {
        "ignore_truncate" => &[Hazard::TruncateInsert, Hazard::TruncateCascade],
        "ignore_ancestors" => &[Hazard::LeafWrite],
        "capture_unused" => &[Hazard::UnusedColumn],
        "keep_rolled_back" => &[Hazard::SavepointRollback, Hazard::ExceptionBlock],
        "lose_what_a_flush_consumed" => &[Hazard::SavepointFlush, Hazard::ExceptionAfterRead],
        "lose_prepared" => &[Hazard::PreparedCommit],
        "ignore_in_flight" => &[Hazard::PeekInWrite],
        "forget_who_waits" | "one_moment" => &[Hazard::ReadInside],
        "ignore_trees" => &[Hazard::DetachOnly, Hazard::Inherit, Hazard::TriggersOff],
        "ignore_functions" => &[Hazard::BodyReplaced],
        "skip_cascade" => &[Hazard::TviewSource],
        "writers_settings" => &[Hazard::OtherSettings],
        "skip_null_extension" | "skip_partners" => {
            &[Hazard::FirstMatch, Hazard::LastMatch, Hazard::MatchReplaced, Hazard::LeftRowAndMatch]
        }
        "skip_optional" => &[Hazard::LeftJoin, Hazard::FoldOverLeftJoin],
        "skip_pieces" => &[Hazard::UnionPerRow, Hazard::ValueBeside],
        "lose_links" => &[Hazard::AmongInOn],
        "ignore_nulls_of_not_in" => &[Hazard::NotIn],
        "first_alternative" => &[Hazard::EitherInOn],
        "skip_virtual_below" => &[Hazard::VirtualColumn],
        "lose_pulled_up" => &[Hazard::NewestInOn, Hazard::SublinkInOn],
        "forget_value" => &[Hazard::LatestByLateral],
        "never_null" => &[Hazard::TviewSource, Hazard::WindowOverGroups, Hazard::WindowOverAggregates],
        "one_element" => &[Hazard::SetReturning, Hazard::SetReturningInList],
        "forget_conditions" => &[Hazard::WindowOverJoin],
        "stop_at_first" => &[Hazard::Recursive],
        "skip_leaving" | "forget_room" => &[Hazard::TopN, Hazard::TopNShown, Hazard::WithTies],
        "lose_columns" => &[Hazard::FullJoinOfJoin],
        "keep_edge" => &[Hazard::OffsetOnly],
        "forget_nulls" => &[Hazard::NullsInOrder],
        "forget_base" | "nearer_ends" => {
            &[Hazard::WindowInterval, Hazard::WindowFrame, Hazard::WindowValue, Hazard::WindowOverAll]
        }
        "keep_come_before" => &[Hazard::BeforeOfDeferred],
        "keep_levels" => &[Hazard::LateralOuterJoin],
        "keep_extremum" | "keep_in_top" => &[Hazard::ExtremumDeleted, Hazard::ExtremumUpdated],
        "top_is_all" => &[Hazard::ExtremaDeleted],
        "ignore_filters" => &[Hazard::FilteredAggregate],
        "keep_representative" => &[Hazard::RepresentativeLeaves],
        "remove_one_of_several" => &[Hazard::TableWithoutKey],
        "narrow_range" => &[Hazard::UnconnectedAggregate],
        _ => &[],
    }
}

fn has_any(case: &Case, wanted: &[Hazard]) -> bool {
    let in_steps = || {
        let mut steps = case.transactions.iter().flat_map(|t| &t.steps);
        steps.any(|s| s.hazards.iter().any(|h| wanted.contains(h)))
    };
    let prepared =
        wanted.contains(&Hazard::PreparedCommit) && case.transactions.iter().any(|t| t.end == End::PreparedCommit);
    let settings = case.conditions.odd_settings && wanted.contains(&Hazard::OtherSettings);
    wanted.is_empty()
        || settings
        || prepared
        || case.views.iter().any(|v| v.facts.hazards.iter().any(|h| wanted.contains(h)))
        || case.hazards.iter().any(|h| wanted.contains(h))
        || in_steps()
}

/// Whether the check that would notice is made in a case.
fn can_tell(case: &Case, fault: &str) -> bool {
    // one of several equal keys leaves that a group shows
    let leaves = |(t, c): (usize, usize)| {
        let table = &case.schema.tables[t];
        let sql = format!("DELETE FROM {} WHERE {}::text COLLATE", table.name, table.columns[c].name);
        let mut steps = case.transactions.iter().flat_map(|t| &t.steps);
        steps.any(|s| matches!(&s.act, Act::Sql(text) if text.starts_with(&sql)))
    };
    let shows_key = |v: &View| {
        let mut keys = v.query.columns.iter().filter(|c| c.fuzzy).filter_map(|c| c.origin);
        v.is_tview && v.facts.hazards.contains(&Hazard::Foldable) && keys.any(leaves)
    };
    let compares = |v: &View| {
        let words = [
            "::bigint < (",
            "::bigint > (",
            "::bigint <= (",
            "::bigint >= (",
            "< (SELECT m",
            "> (SELECT m",
            "= (SELECT m",
        ];
        v.is_tview && words.iter().any(|word| v.query.sql.contains(word))
    };
    // a block that a nested loop can go through
    let is_block =
        |v: &View| v.is_tview && v.query.sql.contains(" LEFT JOIN ") && v.query.sql.matches("SELECT").count() == 1;
    // a window whose rows look at rows before and behind them
    let looks_both_ways = |v: &View| {
        let any = |words: [&str; 3]| words.iter().any(|word| v.query.sql.contains(word));
        v.is_tview && any(["1 PRECEDING", "2 PRECEDING", "lag("]) && any(["1 FOLLOWING", "2 FOLLOWING", "lead("])
    };
    // an outer join of tables whose condition has sub-queries, which is not a sub-query itself
    let links_outside = |v: &View| {
        let sql = &v.query.sql;
        v.is_tview
            && v.facts.hazards.contains(&Hazard::EitherInOn)
            && sql.matches("SELECT").count() <= 3
            && ["LEFT", "RIGHT"].iter().any(|side| sql.contains(&format!(" {side} JOIN ")))
    };
    match fault {
        "first_alternative" => case.views.iter().any(links_outside),
        "nearer_ends" => case.views.iter().any(looks_both_ways),
        "skip_optional" => case.views.iter().any(is_block),
        "narrow_range" => case.views.iter().any(compares),
        "write_equal" => case.watched,
        "keep_stored_parts" => case.views.iter().any(|v| v.is_tview && v.query.sql.contains("jsonb_build_object")),
        "keep_representative" => case.views.iter().any(shows_key),
        _ => true,
    }
}
