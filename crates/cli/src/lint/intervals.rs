//! Windows over all rows of which a changed row concerns an interval of their order only.
//!
//! Invariant: what the server follows so is said to be; a function or type that is not known is recomputed. The constants are those of
//! parsenodes.h. Called by `block`.

use super::decide::Block;
use super::expression::{calls, signature, value};
use super::targets::Target;
use crate::script::nodes::{Constant, constant, last};
use pg_query::NodeEnum;
use pg_query::protobuf::{FuncCall, Node, SelectStmt, SortByDir, WindowDef};
use std::collections::BTreeSet;

const ROWS: i32 = 0x4;
const GROUPS: i32 = 0x8;
const START_UNBOUNDED_PRECEDING: i32 = 0x20;
const START_CURRENT_ROW: i32 = 0x200;
const END_CURRENT_ROW: i32 = 0x400;
const START_OFFSET: i32 = 0x2800;
const END_OFFSET: i32 = 0x5000;
const EXCLUSION: i32 = 0x38000;

/// Whether all windows are of that kind, and ordered by columns that, where it matters, include a key.
pub fn are_intervals(select: &SelectStmt, b: &Block, targets: &[Target]) -> bool {
    let [atom] = &b.atoms[..] else { return false };
    let mut orders: BTreeSet<Vec<String>> = BTreeSet::new();
    let (mut columns, mut total) = (BTreeSet::new(), false);
    for target in targets {
        for call in target.node.iter().flat_map(|n| calls(n)).filter(|c| c.over.is_some()) {
            let Some(over) = call.over.as_deref() else { continue };
            let (frame, window) = definition(select, over);
            let alone = matches!(target.node.map(|n| &n.node), Some(Some(NodeEnum::FuncCall(own))) if **own == *call);
            let Some(depends) = looks(call, frame, alone, b) else { return false };
            total |= depends;
            let mut order = Vec::new();
            for item in &window.order_clause {
                let Some(NodeEnum::SortBy(by)) = &item.node else { return false };
                let Some(node) = by.node.as_deref() else { return false };
                let found = value(node, &b.scope);
                if !by.use_op.is_empty() {
                    return false;
                }
                columns.extend(found.column.map(|column| column.att));
                let descends = by.sortby_dir == SortByDir::SortbyDesc as i32;
                order.push(format!("{} {descends} {}", signature(node, &b.scope), by.sortby_nulls));
            }
            if order.is_empty() || !window.partition_clause.is_empty() {
                return false;
            }
            orders.insert(order);
        }
    }
    let has_key = atom.keys.iter().any(|key| key.iter().all(|c| columns.contains(c)));
    orders.len() == 1 && (!total || has_key)
}

/// Whether windows over all rows of a join or of groups may be of that kind: the extension looks at a stage with these rows.
pub fn may_be_intervals(select: &SelectStmt, targets: &[Target]) -> bool {
    let mut all =
        targets.iter().flat_map(|t| t.node).flat_map(|n| calls(n)).filter_map(|c| Some((c, c.over.as_deref()?)));
    all.all(|(call, over)| {
        let (_, window) = definition(select, over);
        let is_ordered = !window.order_clause.is_empty() || !window.partition_clause.is_empty();
        is_ordered && !["ntile", "percent_rank", "cume_dist"].contains(&last(&call.funcname))
    })
}

/// Whether a stage is made for each order: there are several, or a result is part of an expression.
pub fn are_apart(select: &SelectStmt, b: &Block, targets: &[Target]) -> bool {
    let mut orders = BTreeSet::new();
    let mut inside = false;
    for node in targets.iter().filter_map(|t| t.node) {
        for call in calls(node).into_iter().filter(|c| c.over.is_some()) {
            let Some(over) = call.over.as_deref() else { continue };
            let (_, window) = definition(select, over);
            let by = window.order_clause.iter().chain(&window.partition_clause);
            orders.insert(by.map(|item| signature(item, &b.scope)).collect::<Vec<_>>());
            inside |= !matches!(&node.node, Some(NodeEnum::FuncCall(own)) if **own == *call);
        }
    }
    orders.len() > 1 || inside
}

/// The frame of a window, and the window that its order is said in.
fn definition<'a>(select: &'a SelectStmt, over: &'a WindowDef) -> (&'a WindowDef, &'a WindowDef) {
    let named = |name: &str| {
        select.window_clause.iter().find_map(|w| match &w.node {
            Some(NodeEnum::WindowDef(w)) if w.name == name => Some(w.as_ref()),
            _ => None,
        })
    };
    let frame = if over.name.is_empty() { over } else { named(&over.name).unwrap_or(over) };
    let mut window = frame;
    for _ in 0..8 {
        match named(&window.refname) {
            Some(base) if window.order_clause.is_empty() && !window.refname.is_empty() => window = base,
            _ => break,
        }
    }
    (frame, window)
}

/// Whether the function depends on the order of equal rows; None when it looks at rows that are not around its own. `alone`: it is the output itself.
fn looks(call: &FuncCall, frame: &WindowDef, alone: bool, b: &Block) -> Option<bool> {
    let options = frame.frame_options;
    let has = |option: i32| options & option != 0;
    let number = |node: Option<&Node>| match node.and_then(constant) {
        Some(Constant::Number(n)) => n.parse::<u64>().is_ok_and(|n| n <= 1000),
        _ => false,
    };
    let running = alone && has(START_UNBOUNDED_PRECEDING) && has(END_CURRENT_ROW) && !has(GROUPS | EXCLUSION);
    let start = has(START_CURRENT_ROW) || has(START_OFFSET) && number(frame.start_offset.as_deref());
    let end = has(END_CURRENT_ROW) || has(END_OFFSET) && number(frame.end_offset.as_deref());
    let near = has(ROWS) && start && end;
    let of = call.args.first().and_then(|a| value(a, &b.scope).of).unwrap_or_default();
    let is_integer = ["smallint", "integer", "bigint"].contains(&of.as_str());
    match last(&call.funcname) {
        "row_number" => alone.then_some(true),
        "rank" | "dense_rank" => alone.then_some(false),
        "lag" | "lead" => (call.args.len() == 1 || number(call.args.get(1))).then_some(true),
        "count" if running => Some(has(ROWS)),
        "sum" if running => (is_integer || of.starts_with("numeric")).then(|| has(ROWS)),
        "min" | "max" if running => (is_integer || of == "date" || of.starts_with("time")).then(|| has(ROWS)),
        "first_value" if running => Some(true),
        "first_value" | "last_value" | "nth_value" | "count" | "sum" | "avg" | "min" | "max" | "string_agg"
        | "array_agg" | "jsonb_agg" | "json_agg" | "bool_and" | "bool_or" | "stddev" | "variance" => {
            near.then_some(true)
        }
        _ => None,
    }
}
