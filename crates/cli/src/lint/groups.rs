//! Whether the state of a query's groups can be kept: the aggregates beside its grouping expressions.
//!
//! Invariant: a reason why not is one that the server gives, too; what depends on a type that is not known is a doubt. Called by `decide`.

use super::builtin::{self, Function};
use super::decide::Block;
use super::expression::{calls, is_aggregate, signature, sub_links, value};
use super::schema::{Routine, Schema};
use crate::script::nodes::last;
use pg_query::NodeEnum;
use pg_query::protobuf::{FuncCall, Node};
use tviews_core::reason::Reason;

/// The outputs of a grouped query. `keys`: signatures of its grouping expressions.
pub fn folds(targets: &[&Node], keys: &[String], block: &mut Block, schema: &Schema) -> Result<(), Reason> {
    targets.iter().try_for_each(|t| output(t, keys, block, schema))
}

fn output(node: &Node, keys: &[String], block: &mut Block, schema: &Schema) -> Result<(), Reason> {
    if keys.contains(&signature(node, &block.scope)) {
        return Ok(());
    }
    match &node.node {
        // A column that depends on the grouping columns.
        Some(NodeEnum::ColumnRef(_)) => Ok(()),
        Some(NodeEnum::FuncCall(call)) if is_aggregate(call, schema) => aggregate(call, block, schema),
        Some(NodeEnum::JsonArrayAgg(_) | NodeEnum::JsonObjectAgg(_)) => Err(Reason::NoInverse),
        _ if !sub_links(node).is_empty() => Err(Reason::SubqueryBeside),
        _ => inside(node, keys, block, schema),
    }
}

/// An expression over aggregates: nothing in it may be a column that is not grouped by.
fn inside(node: &Node, keys: &[String], block: &mut Block, schema: &Schema) -> Result<(), Reason> {
    for part in super::expression::below(node) {
        if keys.contains(&signature(part, &block.scope)) {
            continue;
        }
        match &part.node {
            Some(NodeEnum::ColumnRef(_)) => return Err(Reason::NotGroupedBy),
            Some(NodeEnum::FuncCall(call)) if is_aggregate(call, schema) => aggregate(call, block, schema)?,
            Some(NodeEnum::JsonArrayAgg(_) | NodeEnum::JsonObjectAgg(_)) => return Err(Reason::NoInverse),
            _ => inside(part, keys, block, schema)?,
        }
    }
    Ok(())
}

fn aggregate(call: &FuncCall, block: &mut Block, schema: &Schema) -> Result<(), Reason> {
    let name = last(&call.funcname);
    if call.agg_distinct {
        return Err(Reason::DistinctInside);
    }
    if call.agg_within_group {
        return Err(Reason::OrderedSet);
    }
    if !call.agg_order.is_empty() {
        return Err(Reason::Ordered);
    }
    if call.args.iter().chain(call.agg_filter.as_deref()).any(|a| !sub_links(a).is_empty()) {
        return Err(Reason::SubqueryInAggregate);
    }
    let folds = match builtin::function(name, call.args.len()) {
        Some(Function::Aggregate(folds)) => {
            if call.args.len() > 1 {
                return match name {
                    "regr_count" => Ok(()),
                    "corr" => Err(Reason::FloatingStatistic),
                    _ if name.starts_with("regr_") || name.starts_with("covar_") => Err(Reason::FloatingStatistic),
                    _ => Err(Reason::SeveralArguments),
                };
            }
            let of = call.args.first().and_then(|a| value(a, &block.scope).of);
            match (folds.with(of.as_deref()), name) {
                (Some(true), _) | (None, "min" | "max") => true,
                (Some(false), _) if matches!(of.as_deref(), Some("real" | "double precision")) => match name {
                    "sum" | "avg" => return Err(Reason::FloatingSum),
                    _ if name.starts_with("stddev") || name.starts_with("var") => {
                        return Err(Reason::FloatingStatistic);
                    }
                    _ => false,
                },
                (Some(false), _) => false,
                (None, _) => {
                    let what = format!(
                        "the type of what {name}() aggregates is not known; real and double precision are recomputed by group"
                    );
                    block.doubts.insert(what);
                    true
                }
            }
        }
        _ => match schema.routines.get(name) {
            Some(Routine::Aggregate { folds }) => {
                block.doubts.insert(format!("{name}() is an aggregate of these files"));
                *folds
            }
            _ => false,
        },
    };
    if folds { Ok(()) } else { Err(Reason::NoInverse) }
}

/// DISTINCT inside of aggregates: a stage keeps each value of a group once.
pub fn has_distinct(targets: &[&Node], schema: &Schema) -> bool {
    targets.iter().flat_map(|t| calls(t)).any(|c| is_aggregate(c, schema) && c.agg_distinct)
}
