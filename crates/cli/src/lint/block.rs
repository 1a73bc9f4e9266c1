//! One query block: its FROM as a join, what its rows become, and the decision about its tables.
//!
//! Invariant: what stands above groups (HAVING, windows, DISTINCT, LIMIT) is decided over them as over a stage, as the extension splits. Called by
//! `Analyst::query`.

use super::decide::{Analysis, Analyst, Block, Output, followed};
use super::expression::{all, calls, has_aggregates, returns_set, signature, sub_links};
use super::from;
use super::groups;
use super::inside::{Inside, is_correlated, sub_queries};
use super::intervals::{are_apart, are_intervals, may_be_intervals};
use super::scope::{Found, Scope, Source};
use super::targets::{Target, targets};
use super::windows::{Partitioned, partitions, windows};
use crate::script::nodes::{Constant, constant, strings};
use pg_query::NodeEnum;
use pg_query::protobuf::{Node, SelectStmt};
use tviews_core::model::{Col, Join, OuterKind, Shape};
use tviews_core::reason::Reason;
use tviews_core::strategy::Strategy;
pub fn block(cx: &mut Analyst, select: &SelectStmt, scope: Scope) -> Analysis {
    let mut b = Block { scope, ..Block::default() };
    let join = from::items(cx, &mut b, &select.from_clause, select.where_clause.as_deref());
    if b.outer_joins > 1 {
        b.doubts.insert("several outer joins: whether each side can be followed depends on how they are nested".into());
    }
    let targets = targets(&b, select);
    let nodes: Vec<&Node> = targets.iter().filter_map(|t| t.node).collect();
    let mut expressions: Vec<&Node> = nodes.clone();
    expressions.extend(select.where_clause.as_deref());
    expressions.extend(select.having_clause.as_deref());
    expressions.extend(from::conditions(&select.from_clause));
    if from::conditions(&select.from_clause).iter().any(|c| !sub_links(c).is_empty()) {
        b.doubts.insert("a sub-query in the condition of a join".into());
    }
    doubtful_names(&mut b, &expressions);
    let inner = sub_queries(cx, &mut b, &expressions);
    let correlated = is_correlated(&b, &expressions);
    let outputs: Vec<Output> = targets
        .iter()
        .map(|t| Output {
            name: t.name.clone(),
            of: t.value.of.clone(),
            not_null: t.value.not_null && t.value.column.is_none(),
        })
        .collect();
    let columns: Vec<Option<Col>> = targets.iter().map(|t| t.value.column).collect();
    if nodes.iter().flat_map(|n| calls(n)).any(|c| c.over.is_none() && returns_set(c, cx.schema)) {
        from::opaque(&mut b, Vec::new());
        b.doubts.insert("a set-returning function in the select list".into());
    }
    let mut meetings = Vec::new();
    select.where_clause.iter().for_each(|w| b.scope.meetings(w, &mut meetings));
    let named = |(own, around): (Col, Col), b: &Block| match &b.sources[own.atom] {
        Source::Table(name) => Some((name.clone(), b.columns[own.atom].get(own.att as usize - 1)?.clone(), around)),
        _ => None,
    };
    let meetings = meetings.into_iter().filter_map(|m| named(m, &b)).collect();
    let (sources, names) = (b.sources.clone(), b.columns.clone());
    let mut found = shaped(cx, b, join, select, &targets, outputs, columns);
    found.correlated |= correlated;
    found.meetings = meetings;
    for (stage, _) in &inner {
        for (table, column, around) in &stage.meetings {
            let Some(source) = sources.get(around.atom) else { continue };
            for changed in cx.changed(source) {
                found.searched(changed, table, column);
            }
            if let (Source::Table(searched), Some(name)) = (source, names[around.atom].get(around.att as usize - 1)) {
                found.searched(table.clone(), searched, name);
            }
        }
    }
    // Tables inside of sub-queries are followed as those around them, at best.
    let around = found.followed.values().map(|d| d.strategy).max().unwrap_or(Strategy::Keyed);
    for (stage, kind) in inner {
        match kind {
            Inside::AsAround => {
                let decision = followed(around, reason_of(around));
                for (table, below) in &stage.followed {
                    let is_full = below.strategy == Strategy::Full
                        && !below.reason.is(Reason::Limit)
                        && !below.reason.is(Reason::OneGroup);
                    found.merge(table.clone(), if is_full { *below } else { decision });
                }
                found.searches.extend(stage.searches);
                found.doubts.extend(stage.doubts);
            }
            Inside::Value => found.through(&stage, followed(around, reason_of(around))),
            Inside::Full => found.through(&stage.all_full(Reason::EveryRow), followed(around, reason_of(around))),
        }
    }
    found
}

fn reason_of(strategy: Strategy) -> Reason {
    match strategy {
        Strategy::Fold => Reason::AffectedTakenIn,
        Strategy::Delta => Reason::AffectedAdded,
        Strategy::Keyed => Reason::RowsRecomputed,
        Strategy::Range => Reason::FirstRows,
        Strategy::Full => Reason::EveryRow,
    }
}

const OVER_ALL: &str = "windows over all rows of a join, or over all groups: in one order they are followed";

const APART: &str = "windows over all rows in several orders, beside others, or in expressions: in orders they are followed, where rows have a key";

/// Whether what a FULL join joins is joined itself.
fn has_full_of_joins(join: &Join) -> bool {
    match join {
        Join::Atom(_) => false,
        Join::Inner(items, _) => items.iter().any(has_full_of_joins),
        Join::Outer(kind, l, r, _) => {
            *kind == OuterKind::Full && l.atoms().len() + r.atoms().len() > 2
                || has_full_of_joins(l)
                || has_full_of_joins(r)
        }
    }
}

/// What stands in the way between the rows of FROM and the output.
fn shaped(
    cx: &mut Analyst,
    mut b: Block,
    join: Join,
    select: &SelectStmt,
    targets: &[Target],
    outputs: Vec<Output>,
    columns: Vec<Option<Col>>,
) -> Analysis {
    let nodes: Vec<&Node> = targets.iter().filter_map(|t| t.node).collect();
    let aggregates = nodes.iter().chain(select.having_clause.as_deref().iter()).any(|n| has_aggregates(n, cx.schema));
    let windows = windows(select, &nodes);
    let grouped = aggregates || !select.group_clause.is_empty();
    if has_full_of_joins(&join) {
        b.doubts.insert("a FULL join of joins: a stage keeps the joins below it".into());
    }
    if join.has_full() && (grouped || !select.distinct_clause.is_empty()) {
        b.doubts.insert("a FULL join below groups".into());
    }
    let mut found = if grouped {
        groups_of(cx, b, join, select, targets, outputs, columns)
    } else if !windows.is_empty() {
        if nodes.iter().any(|n| !sub_links(n).is_empty()) {
            b.doubts.insert("a sub-query beside windows".into());
        }
        let by = partitions(&windows, &b.scope, targets);
        match by {
            Partitioned::Nothing if select.distinct_clause.is_empty() && are_intervals(select, &b, targets) => {
                let over_all = Shape::Opaque(Reason::WindowOverAll);
                let mut found = cx.decide(b, join, over_all, outputs, columns, Err(Reason::NotGrouped));
                let interval = followed(Strategy::Range, Reason::Interval);
                let over_all = found.followed.values_mut().filter(|d| d.reason.is(Reason::WindowOverAll));
                over_all.for_each(|d| *d = interval);
                found
            }
            Partitioned::Nothing => {
                if may_be_intervals(select, targets) {
                    if b.atoms.len() > 1 {
                        b.doubts.insert(OVER_ALL.into());
                    } else if are_apart(select, &b, targets) {
                        b.doubts.insert(APART.into());
                    }
                }
                cx.decide(b, join, Shape::Opaque(Reason::WindowOverAll), outputs, columns, Err(Reason::NotGrouped))
            }
            Partitioned::By(positions) => {
                cx.decide(b, join, Shape::Partitions(positions), outputs, columns, Err(Reason::NotGrouped))
            }
            Partitioned::Differently => {
                b.doubts.insert(
                    "windows that are partitioned by different columns, or by what is not in the output".into(),
                );
                let positions = (0..outputs.len().min(1)).collect();
                cx.decide(b, join, Shape::Partitions(positions), outputs, columns, Err(Reason::NotGrouped))
            }
        }
    } else if select.distinct_clause.is_empty() {
        let rows = Shape::Rows;
        return limit(cx.decide(b, join, rows, outputs, columns, Err(Reason::NotGrouped)), select);
    } else if is_distinct_on(select) {
        let positions = on_positions(select, &b.scope, targets);
        let shape = Shape::Groups(positions.clone().unwrap_or_default().into_iter().map(Some).collect());
        let mut found = cx.decide(b, join, shape, outputs, columns, Err(Reason::DistinctOn));
        if positions.is_none() {
            found.followed.values_mut().for_each(|d| *d = followed(Strategy::Keyed, Reason::GroupsRecomputed));
            found.doubts.insert("DISTINCT ON of what is not in the output".into());
        }
        return limit(found, select);
    } else {
        return limit(cx.decide(b, join, Shape::Distinct, outputs, columns, Ok(())), select);
    };
    if grouped && !windows.is_empty() {
        let over_all = windows.iter().any(|w| w.is_empty());
        let above = if over_all {
            followed(Strategy::Full, Reason::WindowOverAll)
        } else {
            followed(Strategy::Keyed, Reason::PartitionsRecomputed)
        };
        found = above_stage(found, above);
        if over_all && may_be_intervals(select, targets) {
            found.doubts.insert(OVER_ALL.into());
        }
    }
    if !select.distinct_clause.is_empty() {
        let above = if is_distinct_on(select) {
            followed(Strategy::Keyed, Reason::GroupsRecomputed)
        } else {
            followed(Strategy::Fold, Reason::TakenIn)
        };
        found = above_stage(found, above);
    }
    if !windows.is_empty() && !select.distinct_clause.is_empty() && is_limited(select) {
        return found.all_full(Reason::Limit);
    }
    limit(found, select)
}

/// Names that stand for more than a column: a row, or the table of a row.
fn doubtful_names(b: &mut Block, expressions: &[&Node]) {
    for node in expressions.iter().flat_map(|e| all(e)) {
        let Some(NodeEnum::ColumnRef(column)) = &node.node else { continue };
        let parts = strings(&column.fields);
        let is_row =
            column.fields.len() == 1 && parts.first().is_some_and(|p| b.scope.items.iter().any(|i| i.alias == *p));
        if is_row && !matches!(b.scope.find(column), Found::Here(_)) {
            b.doubts.insert("a row as a whole".into());
        }
        if parts.last() == Some(&"tableoid") {
            b.doubts.insert("tableoid: the table that it is of is recomputed in full".into());
        }
    }
}

/// LIMIT ALL, LIMIT NULL and OFFSET 0 limit nothing.
fn is_limited(select: &SelectStmt) -> bool {
    let is_null = |node: &Node| matches!(constant(node), Some(Constant::Null));
    let is_zero = |node: &Node| matches!(constant(node), Some(Constant::Number(n)) if n == "0");
    select.limit_count.as_deref().is_some_and(|n| !is_null(n))
        || select.limit_offset.as_deref().is_some_and(|n| !is_null(n) && !is_zero(n))
}

/// LIMIT over rows or a stage: the first rows are read again when a change reaches them, where they are in an order and LIMIT and OFFSET are numbers.
pub fn limit(found: Analysis, select: &SelectStmt) -> Analysis {
    if !is_limited(select) {
        return found;
    }
    let number = |node: &Node| match constant(node) {
        Some(Constant::Number(n)) => n.parse::<i64>().ok(),
        _ => None,
    };
    let is_computed = |node: &Node| matches!(node.node, Some(NodeEnum::AExpr(_) | NodeEnum::TypeCast(_)));
    let counts = select.limit_count.as_deref().and_then(number).is_some_and(|n| n > 0)
        && select.limit_offset.as_deref().is_none_or(|offset| number(offset).is_some_and(|n| n >= 0));
    let shows_all = select.limit_count.as_deref().is_none_or(|n| matches!(constant(n), Some(Constant::Null)));
    let skips = shows_all && select.limit_offset.as_deref().and_then(number).is_some_and(|n| n > 0);
    if skips && !select.sort_clause.is_empty() {
        if found.key.as_ref().is_some_and(|key| !key.is_empty()) {
            return above_stage(Analysis { key: None, ..found }, followed(Strategy::Range, Reason::Behind));
        }
        let mut found = found.all_full(Reason::Limit);
        found.doubts.insert("OFFSET without LIMIT: it is followed where the rows have a key".into());
        return found;
    }
    if !counts || select.sort_clause.is_empty() {
        let mut found = found.all_full(Reason::Limit);
        if select.limit_count.iter().chain(&select.limit_offset).any(|n| !sub_links(n).is_empty()) {
            found.doubts.insert("a sub-query in LIMIT".into());
        } else if select.limit_count.iter().chain(&select.limit_offset).any(|n| is_computed(n)) {
            found.doubts.insert("LIMIT or OFFSET are computed: constants of integers are known".into());
        }
        return found;
    }
    above_stage(Analysis { key: None, ..found }, followed(Strategy::Range, Reason::FirstRows))
}

fn above_stage(stage: Analysis, above: tviews_core::strategy::Decision) -> Analysis {
    let mut found = Analysis {
        outputs: stage.outputs.clone(),
        key: stage.key.clone(),
        correlated: stage.correlated,
        ..Analysis::default()
    };
    found.through(&stage, above);
    found
}

fn groups_of(
    cx: &mut Analyst,
    mut b: Block,
    join: Join,
    select: &SelectStmt,
    targets: &[Target],
    outputs: Vec<Output>,
    columns: Vec<Option<Col>>,
) -> Analysis {
    let nodes: Vec<&Node> = targets.iter().filter_map(|t| t.node).collect();
    let sets = select.group_clause.iter().any(|g| matches!(g.node, Some(NodeEnum::GroupingSet(_))));
    if sets {
        b.doubts.insert("grouping sets".into());
    }
    let groups: Vec<(String, Option<usize>)> =
        if sets { Vec::new() } else { select.group_clause.iter().map(|g| group(g, &b.scope, targets)).collect() };
    let keys: Vec<String> = groups.iter().map(|(s, _)| s.clone()).collect();
    let distinct = groups::has_distinct(&nodes, cx.schema);
    let mut judged = nodes.clone();
    judged.extend(select.having_clause.as_deref());
    let mut fold = groups::folds(&judged, &keys, &mut b, cx.schema);
    if distinct {
        b.doubts.insert("DISTINCT inside of an aggregate: a stage keeps its values where they are plain".into());
        if fold == Err(Reason::DistinctInside) {
            fold = Ok(());
        }
    }
    if fold == Err(Reason::SubqueryBeside) {
        b.doubts.insert("a sub-query beside aggregates".into());
        fold = Ok(());
    }
    let shown: Vec<Option<usize>> = groups.iter().map(|(_, at)| *at).collect();
    let hidden = shown.iter().any(Option::is_none);
    let having = select.having_clause.is_some();
    if sets {
        let stage = cx.decide(b, join, Shape::Groups(vec![Some(0)]), outputs, columns, fold);
        return above_stage(Analysis { key: None, ..stage }, followed(Strategy::Delta, Reason::Added));
    }
    // DISTINCT is over the stage with all of the groups, whatever of them is shown.
    let distinct_above = !select.distinct_clause.is_empty() && !is_distinct_on(select);
    if !hidden && !having {
        return cx.decide(b, join, Shape::Groups(shown), outputs, columns, fold);
    }
    // Below what is left out, or filtered, there is a stage with all of the groups.
    let mut with_all = (outputs.clone(), columns);
    let positions = shown
        .iter()
        .map(|at| {
            Some(at.unwrap_or_else(|| {
                with_all.0.push(Output::default());
                with_all.1.push(None);
                with_all.0.len() - 1
            }))
        })
        .collect();
    let stage = cx.decide(b, join, Shape::Groups(positions), with_all.0, with_all.1, fold);
    let key = if hidden { None } else { stage.key.clone() };
    let (strategy, why) = if key.as_ref().is_some_and(|k| !k.is_empty()) {
        (Strategy::Keyed, Reason::RowsRecomputed)
    } else {
        (Strategy::Delta, Reason::Added)
    };
    let mut found = if distinct_above { stage } else { above_stage(stage, followed(strategy, why)) };
    found.outputs = outputs;
    found.key = key;
    found
}

/// A grouping expression: its signature, and its place in the output.
pub fn group(node: &Node, scope: &Scope, targets: &[Target]) -> (String, Option<usize>) {
    if let Some(Constant::Number(n)) = constant(node)
        && let Some(at) = n.parse::<usize>().ok().and_then(|n| n.checked_sub(1)).filter(|n| *n < targets.len())
    {
        let signature = targets[at].node.map_or_else(String::new, |n| signature(n, scope));
        return (signature, Some(at));
    }
    if let Some(NodeEnum::ColumnRef(column)) = &node.node
        && !matches!(scope.find(column), Found::Here(_))
        && let [name] = strings(&column.fields)[..]
        && let Some(at) = targets.iter().position(|t| t.name == name)
    {
        return (targets[at].node.map_or_else(String::new, |n| signature(n, scope)), Some(at));
    }
    let wanted = signature(node, scope);
    let column = scope.column(node);
    let at = targets.iter().position(|t| match t.node {
        Some(n) => signature(n, scope) == wanted,
        None => column.is_some() && t.value.column == column,
    });
    (wanted, at)
}

fn is_distinct_on(select: &SelectStmt) -> bool {
    select.distinct_clause.first().is_some_and(|n| n.node.is_some())
}

fn on_positions(select: &SelectStmt, scope: &Scope, targets: &[Target]) -> Option<Vec<usize>> {
    select.distinct_clause.iter().map(|d| group(d, scope, targets).1).collect()
}
