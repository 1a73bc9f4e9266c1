//! Recursive queries: `WITH RECURSIVE r AS (base UNION [ALL] step)` as an item of FROM.
//!
//! Invariant: the form in which rows are followed is that of the extension (src/analyze/query/recursion.rs): a base of branches that do not read r, and a step
//! that joins, filters and projects, with r in its FROM clause. Otherwise its tables are recomputed in full. Called by `from`.

use super::decide::{Analysis, Analyst, Output, followed, is_plain};
use super::scope::{Cte, Scope};
use pg_query::NodeEnum;
use pg_query::protobuf::{Node, SelectStmt, SetOperation};
use tviews_core::reason::Reason;
use tviews_core::strategy::{Decision, Strategy};

/// Types whose equal values are the same bytes.
const SAME: &[&str] = &[
    "smallint",
    "integer",
    "bigint",
    "oid",
    "boolean",
    "text",
    "character varying",
    "bytea",
    "uuid",
    "date",
    "timestamp without time zone",
    "timestamp with time zone",
    "timestamp",
    "timestamptz",
    "inet",
    "cidr",
];

/// The rows of a recursive query that reads `before`, the CTEs before it.
pub fn rows(cx: &mut Analyst, cte: &Cte, before: &[Cte]) -> Analysis {
    let Some((bases, step)) = parts(cx, cte) else {
        let mut found = full(cx, &cte.query);
        if cte.marked && cte.query.all {
            let doubt = "SEARCH and CYCLE of UNION ALL are followed when nothing looks at their sequence and path";
            found.doubts.insert(doubt.into());
        }
        return found;
    };
    let scope = Scope { ctes: before.to_vec(), ..Scope::default() };
    let bases: Vec<Analysis> = bases.into_iter().map(|base| cx.query(base, &scope)).collect();
    let mut found = Analysis { outputs: outputs(&bases, &cte.columns), ..Analysis::default() };
    // A column is never NULL when no branch can make it so, given that the rows before were not.
    let step = loop {
        let own = Cte { rows: Some(found.outputs.clone()), ..cte.clone() };
        let scope = Scope { ctes: [before, &[own]].concat(), ..Scope::default() };
        let step = cx.query(step, &scope);
        let known: Vec<bool> = found.outputs.iter().map(|o| o.not_null).collect();
        for (output, made) in found.outputs.iter_mut().zip(&step.outputs) {
            output.not_null &= made.not_null;
        }
        if found.outputs.iter().map(|o| o.not_null).eq(known) {
            break step;
        }
    };
    for part in bases.iter().chain([&step]) {
        add(&mut found, part);
    }
    if !cte.query.all {
        found.key = Some((0..found.outputs.len()).collect());
        if found.outputs.iter().any(|o| o.of.as_deref().is_none_or(|of| !SAME.contains(&of))) {
            found
                .doubts
                .insert("a recursive UNION is followed when equal values of its columns are the same bytes".into());
        }
    }
    if found.correlated {
        found.doubts.insert("a recursive query that looks at a row around it".into());
    }
    found
}

fn add(found: &mut Analysis, part: &Analysis) {
    let reached = followed(Strategy::Keyed, Reason::ReachedRecomputed);
    for (table, below) in &part.followed {
        found.merge(table.clone(), if below.strategy == Strategy::Full { *below } else { reached });
    }
    found.searches.extend(part.searches.iter().cloned());
    found.doubts.extend(part.doubts.iter().cloned());
    found.correlated |= part.correlated;
}

/// Base branches and step; None when the query has another form.
fn parts<'a>(cx: &Analyst, cte: &'a Cte) -> Option<(Vec<&'a SelectStmt>, &'a SelectStmt)> {
    let query = &cte.query;
    if query.op != SetOperation::SetopUnion as i32 || is_more(query) || cte.marked {
        return None;
    }
    let step = query.rarg.as_deref()?;
    let reads_own = step.from_clause.iter().any(|item| reads(item, &cte.name));
    if !is_plain(step) || is_more(step) || super::block_has_stage(step, cx.schema) || !reads_own {
        return None;
    }
    let mut bases = Vec::new();
    branches(query.larg.as_deref()?, query.all, &mut bases).then_some((bases, step))
}

fn branches<'a>(side: &'a SelectStmt, all: bool, found: &mut Vec<&'a SelectStmt>) -> bool {
    if side.op == SetOperation::SetopNone as i32 {
        found.push(side);
        return true;
    }
    let (Some(left), Some(right)) = (side.larg.as_deref(), side.rarg.as_deref()) else { return false };
    let fits = side.op == SetOperation::SetopUnion as i32 && (side.all || !all) && !is_more(side);
    fits && branches(left, all, found) && branches(right, all, found)
}

fn is_more(query: &SelectStmt) -> bool {
    query.with_clause.is_some()
        || !query.sort_clause.is_empty()
        || query.limit_count.is_some()
        || query.limit_offset.is_some()
}

/// Whether an item of FROM, or one that it joins, is the query itself.
fn reads(item: &Node, name: &str) -> bool {
    match &item.node {
        Some(NodeEnum::RangeVar(range)) => range.schemaname.is_empty() && range.relname == name,
        Some(NodeEnum::JoinExpr(join)) => join.larg.iter().chain(&join.rarg).any(|side| reads(side, name)),
        _ => false,
    }
}

fn outputs(bases: &[Analysis], names: &[String]) -> Vec<Output> {
    let first = bases.first().map_or(&[][..], |b| &b.outputs);
    let column = |(i, output): (usize, &Output)| Output {
        name: names.get(i).unwrap_or(&output.name).clone(),
        of: output.of.clone(),
        not_null: bases.iter().all(|b| b.outputs.get(i).is_some_and(|o| o.not_null)),
    };
    first.iter().enumerate().map(column).collect()
}

/// All tables that the query names.
fn full(cx: &Analyst, query: &SelectStmt) -> Analysis {
    let mut found = Analysis::default();
    for name in super::relations(query) {
        if let Some((table, _)) = cx.schema.find(&name.0, &name.1) {
            found.merge(table.clone(), Decision::full(Reason::NoAnchor));
        }
    }
    found
}
