//! Small readers of parse trees: names, constants, types, and a walk through everything below a node.
//!
//! Invariant: nothing here knows what a statement is for. Called by convert, lint and plan.

use pg_query::NodeEnum;
use pg_query::protobuf::{Node, RangeVar, TypeName, a_const::Val};
use serde_json::Value;

/// The text of a String node.
pub fn string(node: &Node) -> Option<&str> {
    match node.node.as_ref()? {
        NodeEnum::String(s) => Some(&s.sval),
        _ => None,
    }
}

/// The parts of a name.
pub fn strings(nodes: &[Node]) -> Vec<&str> {
    nodes.iter().filter_map(string).collect()
}

/// The last part of a name.
pub fn last(nodes: &[Node]) -> &str {
    nodes.last().and_then(string).unwrap_or_default()
}

/// A constant, casts taken away; None for what is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Constant {
    Null,
    Text(String),
    Bool(bool),
    Number(String),
}

pub fn constant(node: &Node) -> Option<Constant> {
    match node.node.as_ref()? {
        NodeEnum::TypeCast(cast) => constant(cast.arg.as_ref()?),
        NodeEnum::AConst(c) if c.isnull => Some(Constant::Null),
        NodeEnum::AConst(c) => Some(match c.val.as_ref()? {
            Val::Sval(s) => Constant::Text(s.sval.clone()),
            Val::Boolval(b) => Constant::Bool(b.boolval),
            Val::Ival(i) => Constant::Number(i.ival.to_string()),
            Val::Fval(f) => Constant::Number(f.fval.clone()),
            Val::Bsval(_) => return None,
        }),
        _ => None,
    }
}

/// A relation's name as it is written, quoted where it must be.
pub fn relation(name: &RangeVar) -> String {
    let relname = quoted(&name.relname);
    if name.schemaname.is_empty() { relname } else { format!("{}.{relname}", quoted(&name.schemaname)) }
}

/// An identifier of SQL: quoted unless it is lower case, and a word that the grammar leaves to names.
pub fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit();
    let first = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    if first && name.chars().all(plain) && !is_reserved(name) {
        name.into()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// A string of SQL.
pub fn literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if text.contains('\\') { format!("E'{}'", doubled.replace('\\', "\\\\")) } else { format!("'{doubled}'") }
}

fn is_reserved(name: &str) -> bool {
    use pg_query::protobuf::KeywordKind;
    pg_query::scan(name)
        .ok()
        .and_then(|s| s.tokens.first().map(|t| t.keyword_kind))
        .is_some_and(|k| k != KeywordKind::NoKeyword as i32 && k != KeywordKind::UnreservedKeyword as i32)
}

/// A type by the name that the server prints, without modifiers; `[]` behind arrays.
pub fn type_name(of: &TypeName) -> String {
    let name = match last(&of.names) {
        "int2" | "smallserial" | "serial2" => "smallint",
        "int4" | "int" | "serial" | "serial4" => "integer",
        "int8" | "bigserial" | "serial8" => "bigint",
        "float4" => "real",
        "float8" => "double precision",
        "bool" => "boolean",
        "varchar" => "character varying",
        "bpchar" => "character",
        "timestamptz" => "timestamp with time zone",
        "timestamp" => "timestamp without time zone",
        "timetz" => "time with time zone",
        "time" => "time without time zone",
        "decimal" => "numeric",
        other => other,
    };
    if of.array_bounds.is_empty() { name.into() } else { format!("{name}[]") }
}

/// A node as JSON, in which everything can be found.
pub fn json(node: &impl serde::Serialize) -> Value {
    serde_json::to_value(node).unwrap_or(Value::Null)
}

/// Visits all nodes below, from the outside: their kind and fields. What `visit` answers says whether to go on below.
pub fn walk<'a>(value: &'a Value, visit: &mut dyn FnMut(&'a str, &'a Value) -> bool) {
    match value {
        Value::Object(fields) => match fields.get("node") {
            Some(Value::Object(inner)) if fields.len() == 1 => {
                for (kind, fields) in inner {
                    if visit(kind, fields) {
                        below(fields, visit);
                    }
                }
            }
            _ => fields.values().for_each(|v| walk(v, visit)),
        },
        Value::Array(items) => items.iter().for_each(|v| walk(v, visit)),
        _ => {}
    }
}

/// Visits all nodes below one whose kind is known.
pub fn below<'a>(fields: &'a Value, visit: &mut dyn FnMut(&'a str, &'a Value) -> bool) {
    if let Value::Object(fields) = fields {
        fields.values().for_each(|v| walk(v, visit));
    }
}

/// The parts of a name in JSON.
pub fn names(value: &Value) -> Vec<&str> {
    value.as_array().map_or(Vec::new(), |parts| {
        parts.iter().filter_map(|p| p.pointer("/node/String/sval").and_then(Value::as_str)).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_where_they_must_be() {
        for (name, written) in [
            ("a", "a"),
            ("A", "\"A\""),
            ("a b", "\"a b\""),
            ("user", "\"user\""),
            ("data", "data"),
            ("a\"", "\"a\"\"\""),
            ("1", "\"1\""),
        ] {
            assert_eq!(quoted(name), written);
        }
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\'"), "E'a\\\\'''");
    }
}
