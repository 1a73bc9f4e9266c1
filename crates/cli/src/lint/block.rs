//! One query block: its FROM as a join, what its rows become, and the decision about its tables.
//!
//! Invariant: what stands above groups (HAVING, windows, DISTINCT, LIMIT) is decided over them as over a stage, as the extension splits. Called by
//! `Analyst::query`.

use super::decide::{Analysis, Analyst, Block, Output, followed};
use super::expression::{calls, has_aggregates, returns_set, signature, sub_links, value};
use super::from;
use super::groups;
use super::scope::{Found, Scope, Source};
use crate::script::nodes::{Constant, constant, last, strings};
use pg_query::NodeEnum;
use pg_query::protobuf::{Node, SelectStmt, SubLink, SubLinkType, WindowDef};
use std::collections::BTreeSet;
use tviews_core::model::{Col, Join, Shape};
use tviews_core::reason::Reason;
use tviews_core::strategy::Strategy;

/// The select list, with stars written out.
pub struct Target<'a> {
    pub name: String,
    /// None for a column of a star.
    pub node: Option<&'a Node>,
    pub value: super::scope::Value,
}

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
        Strategy::Full => Reason::EveryRow,
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
    let limited = select.limit_count.is_some() || select.limit_offset.is_some();
    let windows = windows(select, &nodes);
    let grouped = aggregates || !select.group_clause.is_empty();
    let mut found = if grouped {
        groups_of(cx, b, join, select, targets, outputs, columns)
    } else if !windows.is_empty() {
        let by = partitions(&windows, &b.scope, targets);
        match by {
            Partitioned::Nothing => {
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
        return limit(cx.decide(b, join, rows, outputs, columns, Err(Reason::NotGrouped)), limited);
    } else if is_distinct_on(select) {
        let positions = on_positions(select, &b.scope, targets);
        let shape = Shape::Groups(positions.clone().unwrap_or_default().into_iter().map(Some).collect());
        let mut found = cx.decide(b, join, shape, outputs, columns, Err(Reason::DistinctOn));
        if positions.is_none() {
            found.followed.values_mut().for_each(|d| *d = followed(Strategy::Keyed, Reason::GroupsRecomputed));
            found.doubts.insert("DISTINCT ON of what is not in the output".into());
        }
        return limit(found, limited);
    } else {
        return limit(cx.decide(b, join, Shape::Distinct, outputs, columns, Ok(())), limited);
    };
    if grouped && !windows.is_empty() {
        let over_all = windows.iter().any(|w| w.is_empty());
        let above = if over_all {
            followed(Strategy::Full, Reason::WindowOverAll)
        } else {
            followed(Strategy::Keyed, Reason::PartitionsRecomputed)
        };
        found = above_stage(found, above);
    }
    if !select.distinct_clause.is_empty() {
        let above = if is_distinct_on(select) {
            followed(Strategy::Keyed, Reason::GroupsRecomputed)
        } else {
            followed(Strategy::Fold, Reason::TakenIn)
        };
        found = above_stage(found, above);
    }
    limit(found, limited)
}

fn limit(found: Analysis, limited: bool) -> Analysis {
    if limited { found.all_full(Reason::Limit) } else { found }
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
    let mut found = above_stage(stage, followed(strategy, why));
    found.outputs = outputs;
    found.key = key;
    found
}

/// A grouping expression: its signature, and its place in the output.
fn group(node: &Node, scope: &Scope, targets: &[Target]) -> (String, Option<usize>) {
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

/// The partitioning expressions of each window that is used.
fn windows<'a>(select: &'a SelectStmt, nodes: &[&'a Node]) -> Vec<Vec<&'a Node>> {
    let named = |name: &str| {
        select.window_clause.iter().find_map(|w| match &w.node {
            Some(NodeEnum::WindowDef(w)) if w.name == name => Some(w.as_ref()),
            _ => None,
        })
    };
    let by = |over: &'a WindowDef| -> Vec<&'a Node> {
        let mut over = over;
        for _ in 0..8 {
            let other = if over.name.is_empty() { &over.refname } else { &over.name };
            match named(other) {
                Some(base) if over.partition_clause.is_empty() && !std::ptr::eq(base, over) => over = base,
                _ => break,
            }
        }
        over.partition_clause.iter().collect()
    };
    nodes.iter().flat_map(|n| calls(n)).filter_map(|c| c.over.as_deref()).map(by).collect()
}

enum Partitioned {
    Nothing,
    By(Vec<usize>),
    Differently,
}

fn partitions(windows: &[Vec<&Node>], scope: &Scope, targets: &[Target]) -> Partitioned {
    if windows.iter().any(Vec::is_empty) {
        return Partitioned::Nothing;
    }
    let sets: Vec<BTreeSet<String>> = windows.iter().map(|w| w.iter().map(|n| signature(n, scope)).collect()).collect();
    let common: Vec<&&Node> =
        windows[0].iter().filter(|n| sets.iter().all(|s| s.contains(&signature(n, scope)))).collect();
    let positions: Option<Vec<usize>> = common.iter().map(|n| group(n, scope, targets).1).collect();
    match positions {
        Some(positions) if !positions.is_empty() => Partitioned::By(positions),
        _ => Partitioned::Differently,
    }
}

/// The select list.
pub fn targets<'a>(b: &Block, select: &'a SelectStmt) -> Vec<Target<'a>> {
    let mut found = Vec::new();
    for target in &select.target_list {
        let Some(NodeEnum::ResTarget(target)) = &target.node else { continue };
        let Some(node) = target.val.as_deref() else { continue };
        if let Some(NodeEnum::ColumnRef(column)) = &node.node
            && matches!(column.fields.last().and_then(|f| f.node.as_ref()), Some(NodeEnum::AStar(_)))
        {
            let alias = strings(&column.fields).last().map(|s| s.to_string());
            for item in b.scope.items.iter().filter(|i| alias.as_ref().is_none_or(|a| *a == i.alias)) {
                let columns = item.columns.iter().filter(|c| alias.is_some() || !item.hidden.contains(&c.name));
                found.extend(columns.map(|c| Target { name: c.name.clone(), node: None, value: c.value.clone() }));
            }
            continue;
        }
        let name = if target.name.is_empty() { natural_name(node) } else { target.name.clone() };
        found.push(Target { name, node: Some(node), value: value(node, &b.scope) });
    }
    found
}

/// The name that the server gives a column without AS.
fn natural_name(node: &Node) -> String {
    match &node.node {
        Some(NodeEnum::ColumnRef(c)) => last(&c.fields).into(),
        Some(NodeEnum::FuncCall(f)) => last(&f.funcname).into(),
        Some(NodeEnum::TypeCast(c)) => c.arg.as_ref().map_or_else(String::new, |a| natural_name(a)),
        Some(NodeEnum::CoalesceExpr(_)) => "coalesce".into(),
        Some(NodeEnum::CaseExpr(_)) => "case".into(),
        _ => "?column?".into(),
    }
}

enum Inside {
    /// Its tables lead to the rows that they concern.
    AsAround,
    /// A value that all rows are compared with: a stage of one row.
    Value,
    /// All rows depend on all of its rows.
    Full,
}

/// Analyses of the sub-queries in expressions.
fn sub_queries(cx: &mut Analyst, b: &mut Block, expressions: &[&Node]) -> Vec<(Analysis, Inside)> {
    let links: Vec<&SubLink> = expressions.iter().flat_map(|e| sub_links(e)).collect();
    let mut found = Vec::new();
    for link in links {
        let Some(NodeEnum::SelectStmt(query)) = link.subselect.as_ref().and_then(|s| s.node.as_ref()) else { continue };
        let around = b.scope.clone();
        let analysis = cx.query(query, &around);
        let kind = SubLinkType::try_from(link.sub_link_type);
        let compared = matches!(kind, Ok(SubLinkType::AnySublink | SubLinkType::AllSublink));
        let inside = if analysis.correlated || compared {
            Inside::AsAround
        } else if kind == Ok(SubLinkType::ArraySublink) {
            Inside::Full
        } else {
            let one_value = kind == Ok(SubLinkType::ExistsSublink) || (is_one_group(query, cx));
            b.doubts.insert("a sub-query without connection to the row".into());
            if one_value { Inside::Value } else { Inside::Full }
        };
        found.push((analysis, inside));
    }
    found
}

pub fn is_one_group(select: &SelectStmt, cx: &Analyst) -> bool {
    let aggregates = |n: &Node| matches!(&n.node, Some(NodeEnum::ResTarget(t)) if t.val.as_ref().is_some_and(|v| has_aggregates(v, cx.schema)));
    select.group_clause.is_empty() && select.target_list.iter().any(aggregates)
}

/// Whether a name of the block is one of the blocks around it.
fn is_correlated(b: &Block, expressions: &[&Node]) -> bool {
    let around =
        |n: &&Node| matches!(&n.node, Some(NodeEnum::ColumnRef(c)) if matches!(b.scope.find(c), Found::Around(_)));
    expressions.iter().flat_map(|e| super::expression::all(e)).any(|n| around(&n))
}
