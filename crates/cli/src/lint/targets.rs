//! The select list of a block: names as the server gives them, stars written out.
//!
//! Invariant: there is one target for each output column, in their order. Called by `block` and `from`.

use super::decide::Block;
use super::expression::value;
use super::scope::Value;
use crate::script::nodes::{last, strings};
use pg_query::NodeEnum;
use pg_query::protobuf::{Node, SelectStmt};

/// The select list, with stars written out.
pub struct Target<'a> {
    pub name: String,
    /// None for a column of a star.
    pub node: Option<&'a Node>,
    pub value: Value,
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
