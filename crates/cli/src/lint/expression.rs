//! What an expression is: its type, the aggregates and windows in it, its sub-queries; and whether two are the same.
//!
//! Invariant: a type that is not known is None. Called by `decide` and `groups`.

use super::builtin::{self, Function};
use super::schema::{Routine, Schema};
use super::scope::{Found, Scope, Value};
use crate::script::nodes::{Constant, constant, json, last, strings, type_name};
use pg_query::NodeEnum;
use pg_query::protobuf::{FuncCall, Node, SelectStmt, SubLinkType};

/// The nodes directly below one, of expressions and what holds them.
pub fn below(node: &Node) -> Vec<&Node> {
    fn some(of: &Option<Box<Node>>) -> Vec<&Node> {
        of.iter().map(AsRef::as_ref).collect()
    }
    let Some(node) = &node.node else { return Vec::new() };
    match node {
        NodeEnum::AExpr(e) => [some(&e.lexpr), some(&e.rexpr)].concat(),
        NodeEnum::BoolExpr(e) => e.args.iter().collect(),
        NodeEnum::FuncCall(f) => {
            let mut all: Vec<&Node> = f.args.iter().chain(&f.agg_order).collect();
            all.extend(some(&f.agg_filter));
            if let Some(over) = &f.over {
                all.extend(over.partition_clause.iter().chain(&over.order_clause));
            }
            all
        }
        NodeEnum::CaseExpr(c) => c.args.iter().chain(some(&c.arg)).chain(some(&c.defresult)).collect(),
        NodeEnum::CaseWhen(c) => [some(&c.expr), some(&c.result)].concat(),
        NodeEnum::CoalesceExpr(c) => c.args.iter().collect(),
        NodeEnum::MinMaxExpr(c) => c.args.iter().collect(),
        NodeEnum::TypeCast(c) => some(&c.arg),
        NodeEnum::NullTest(t) => some(&t.arg),
        NodeEnum::BooleanTest(t) => some(&t.arg),
        NodeEnum::AArrayExpr(a) => a.elements.iter().collect(),
        NodeEnum::RowExpr(r) => r.args.iter().collect(),
        NodeEnum::NamedArgExpr(a) => some(&a.arg),
        NodeEnum::AIndirection(a) => some(&a.arg),
        NodeEnum::CollateClause(c) => some(&c.arg),
        NodeEnum::List(l) => l.items.iter().collect(),
        NodeEnum::ResTarget(t) => some(&t.val),
        NodeEnum::SortBy(s) => some(&s.node),
        NodeEnum::SubLink(s) => some(&s.testexpr),
        _ => Vec::new(),
    }
}

/// All nodes of an expression, sub-queries left out.
pub fn all(node: &Node) -> Vec<&Node> {
    let mut found = vec![node];
    let mut next = 0;
    while next < found.len() {
        found.extend(below(found[next]));
        next += 1;
    }
    found
}

/// The sub-queries of an expression, and what is done with their rows.
pub fn sub_links(node: &Node) -> Vec<(&SelectStmt, SubLinkType)> {
    all(node)
        .into_iter()
        .filter_map(|n| {
            let (query, kind) = match &n.node {
                Some(NodeEnum::SubLink(s)) => (&s.subselect, SubLinkType::try_from(s.sub_link_type).ok()?),
                Some(NodeEnum::JsonArrayQueryConstructor(c)) => (&c.query, SubLinkType::ArraySublink),
                _ => return None,
            };
            match query.as_ref()?.node.as_ref()? {
                NodeEnum::SelectStmt(select) => Some((select.as_ref(), kind)),
                _ => None,
            }
        })
        .collect()
}

pub fn calls(node: &Node) -> Vec<&FuncCall> {
    all(node)
        .into_iter()
        .filter_map(|n| match &n.node {
            Some(NodeEnum::FuncCall(f)) => Some(f.as_ref()),
            _ => None,
        })
        .collect()
}

pub fn is_aggregate(call: &FuncCall, schema: &Schema) -> bool {
    let name = last(&call.funcname);
    let of_server = matches!(strings(&call.funcname)[..], [_] | ["pg_catalog", _]);
    call.over.is_none()
        && (call.agg_within_group
            || (of_server && matches!(builtin::function(name, call.args.len()), Some(Function::Aggregate(_))))
            || matches!(schema.routines.get(name), Some(Routine::Aggregate { .. })))
}

pub fn has_aggregates(node: &Node, schema: &Schema) -> bool {
    calls(node).iter().any(|c| is_aggregate(c, schema))
        || all(node).iter().any(|n| matches!(n.node, Some(NodeEnum::JsonArrayAgg(_) | NodeEnum::JsonObjectAgg(_))))
}

pub fn returns_set(call: &FuncCall, schema: &Schema) -> bool {
    let name = last(&call.funcname);
    match schema.routines.get(name) {
        Some(Routine::Function { returns_set, .. }) => *returns_set,
        _ => builtin::returns_set(name),
    }
}

/// The type of an expression, and whether it can be NULL.
pub fn value(node: &Node, scope: &Scope) -> Value {
    let of = |of: Option<String>| Value { column: None, of, not_null: false };
    match node.node.as_ref() {
        Some(NodeEnum::ColumnRef(c)) => match scope.find(c) {
            Found::Here(v) => v.clone(),
            _ => Value::default(),
        },
        Some(NodeEnum::TypeCast(c)) => of(c.type_name.as_ref().map(type_name)),
        Some(NodeEnum::AConst(_)) => of(match constant(node) {
            Some(Constant::Number(n)) if n.contains(['.', 'e', 'E']) => Some("numeric".into()),
            Some(Constant::Number(n)) => Some(if n.parse::<i32>().is_ok() { "integer" } else { "bigint" }.into()),
            Some(Constant::Bool(_)) => Some("boolean".into()),
            _ => None,
        }),
        Some(NodeEnum::AExpr(e)) => {
            let side = |n: &Option<Box<Node>>| n.as_ref().and_then(|n| value(n, scope).of);
            match (last(&e.name), side(&e.lexpr), side(&e.rexpr)) {
                ("+" | "-" | "*" | "/" | "%", Some(a), Some(b)) => of(wider(&a, &b)),
                ("-" | "+", None, Some(b)) if e.lexpr.is_none() => of(Some(b)),
                ("=" | "<>" | "<" | ">" | "<=" | ">=" | "~" | "~~", ..) => of(Some("boolean".into())),
                ("->>" | "#>>", ..) => of(Some("text".into())),
                _ => Value::default(),
            }
        }
        Some(NodeEnum::CoalesceExpr(c)) => of(c.args.iter().find_map(|a| value(a, scope).of)),
        Some(NodeEnum::CaseExpr(c)) => {
            let results = c.args.iter().filter_map(|w| match &w.node {
                Some(NodeEnum::CaseWhen(w)) => w.result.as_deref(),
                _ => None,
            });
            let types: Vec<Option<String>> =
                results.chain(c.defresult.as_deref()).map(|r| value(r, scope).of).collect();
            of(types.into_iter().flatten().reduce(|a, b| wider(&a, &b).unwrap_or(a)))
        }
        Some(NodeEnum::FuncCall(f)) => {
            let first = f.args.first().and_then(|a| value(a, scope).of);
            let is = match (last(&f.funcname), first.as_deref()) {
                ("count", _) => return Value { column: None, of: Some("bigint".into()), not_null: true },
                ("sum", Some("smallint" | "integer")) => Some("bigint".into()),
                ("sum" | "avg", Some("bigint" | "numeric")) | ("avg", Some("smallint" | "integer")) => {
                    Some("numeric".into())
                }
                ("avg", Some("real")) => Some("double precision".into()),
                ("sum" | "min" | "max" | "abs" | "round" | "nullif" | "ceil" | "floor" | "greatest", t) => {
                    t.map(Into::into)
                }
                (
                    "lower" | "upper" | "concat" | "format" | "string_agg" | "to_char" | "left" | "right" | "substring",
                    _,
                ) => Some("text".into()),
                ("jsonb_build_object" | "to_jsonb" | "jsonb_agg" | "jsonb_build_array" | "jsonb_object_agg", _) => {
                    Some("jsonb".into())
                }
                ("json_build_object" | "to_json" | "json_agg" | "row_to_json" | "json_build_array", _) => {
                    Some("json".into())
                }
                _ => None,
            };
            of(is)
        }
        _ => Value::default(),
    }
}

/// The type of arithmetic with two numbers.
fn wider(a: &str, b: &str) -> Option<String> {
    const ORDER: [&str; 6] = ["smallint", "integer", "bigint", "numeric", "real", "double precision"];
    if a == b {
        return Some(a.into());
    }
    let at = |t: &str| ORDER.iter().position(|o| *o == t);
    let wide = at(a)?.max(at(b)?);
    // numeric with real is double precision
    Some(if wide == 4 { "double precision".into() } else { ORDER[wide].into() })
}

/// Whether values of a type can be looked up: types that are not known are taken for such.
pub fn is_comparable(of: Option<&str>) -> bool {
    !matches!(
        of.map(|t| t.trim_end_matches("[]")),
        Some("json" | "xml" | "point" | "line" | "lseg" | "box" | "path" | "polygon" | "circle")
    )
}

/// An expression as a text that is equal for equal expressions of one scope.
pub fn signature(node: &Node, scope: &Scope) -> String {
    if let Some(column) = scope.column(node) {
        return format!("#{}.{}", column.atom, column.att);
    }
    let mut tree = json(node);
    strip(&mut tree);
    tree.to_string()
}

fn strip(tree: &mut serde_json::Value) {
    match tree {
        serde_json::Value::Object(fields) => {
            fields.retain(|name, _| !matches!(name.as_str(), "location" | "rexpr_list_start" | "rexpr_list_end"));
            // A qualified and a bare name of a column are the same, if the last part is.
            if let Some(serde_json::Value::Object(column)) = fields.get_mut("ColumnRef")
                && let Some(serde_json::Value::Array(parts)) = column.get_mut("fields")
                && parts.len() > 1
            {
                parts.drain(..parts.len() - 1);
            }
            fields.values_mut().for_each(strip);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

/// The calls of an item of FROM: it is a list of a call and the definition of its columns.
pub fn calls_of_list(node: &Node) -> Vec<&FuncCall> {
    match &node.node {
        Some(NodeEnum::List(list)) => list.items.first().map_or(Vec::new(), calls),
        _ => calls(node),
    }
}
