//! A statement that is one call of a function with constants: `SELECT f('a', b => NULL)`.
//!
//! Invariant: anything beside the call (FROM, WHERE, further columns, arguments that are computed) makes it no such statement, and says so where
//! the function is one that is looked for. Called by the recognisers of interfaces that are functions.

use crate::script::Tree;
use crate::script::nodes::{Constant, constant, json, names, strings, walk};
use pg_query::NodeEnum;
use pg_query::protobuf::FuncCall;

pub struct Call<'a> {
    pub schema: Option<&'a str>,
    pub name: &'a str,
    call: &'a FuncCall,
}

/// The call that a statement is; an error says why it is none although it calls one of these functions.
pub fn sole<'a>(tree: &'a Tree, is_ours: &dyn Fn(Option<&str>, &str) -> bool) -> Option<Result<Call<'a>, String>> {
    if let Some(call) = plain(tree) {
        return is_ours(call.schema, call.name).then_some(Ok(call));
    }
    let mut inside = None;
    let value = json(&tree.node);
    walk(&value, &mut |kind, fields| {
        if kind == "FuncCall" {
            let parts = names(&fields["funcname"]);
            if let [.., name] = parts[..]
                && is_ours(parts.len().checked_sub(2).map(|n| parts[n]), name)
            {
                inside = Some(name.to_string());
            }
        }
        true
    });
    inside.map(|name| Err(format!("{name}() is called inside of a larger statement")))
}

fn plain(tree: &Tree) -> Option<Call<'_>> {
    let NodeEnum::SelectStmt(select) = &tree.node else { return None };
    let [target] = &select.target_list[..] else { return None };
    let Some(NodeEnum::ResTarget(target)) = &target.node else { return None };
    let Some(NodeEnum::FuncCall(call)) = target.val.as_ref().and_then(|v| v.node.as_ref()) else { return None };
    if !select.from_clause.is_empty()
        || select.where_clause.is_some()
        || select.with_clause.is_some()
        || select.into_clause.is_some()
    {
        return None;
    }
    match strings(&call.funcname)[..] {
        [name] => Some(Call { schema: None, name, call }),
        [schema, name] => Some(Call { schema: Some(schema), name, call }),
        _ => None,
    }
}

impl Call<'_> {
    /// Its arguments by the names of the parameters; None for those that are left to their defaults.
    pub fn arguments<const N: usize>(&self, parameters: [&str; N]) -> Result<[Option<Constant>; N], String> {
        let mut found = [const { None }; N];
        for (at, argument) in self.call.args.iter().enumerate() {
            let (place, value) = match &argument.node {
                Some(NodeEnum::NamedArgExpr(named)) => {
                    let place = parameters.iter().position(|p| *p == named.name);
                    let place = place.ok_or_else(|| {
                        format!("{}() has an argument {} that is not known here", self.name, named.name)
                    })?;
                    (place, named.arg.as_deref())
                }
                _ => (at, Some(argument)),
            };
            let slot = found
                .get_mut(place)
                .ok_or_else(|| format!("{}() has more arguments than are known here", self.name))?;
            let value =
                value.and_then(constant).ok_or_else(|| format!("an argument of {}() is computed", self.name))?;
            *slot = Some(value);
        }
        Ok(found)
    }
}

/// An argument that has to be a text.
pub fn text(value: Option<Constant>, what: &str) -> Result<String, String> {
    match value {
        Some(Constant::Text(text)) => Ok(text),
        _ => Err(format!("{what} is not a text")),
    }
}

/// The query in an argument, as it stands there, without `;` at its end. A comment at its end gets a line of its own.
pub fn query(text: &str) -> Result<String, String> {
    let tree =
        Tree::parse(text.trim().trim_end_matches(';')).map_err(|why| format!("its query cannot be read: {why}"))?;
    if !matches!(tree.node, NodeEnum::SelectStmt(_)) {
        return Err("its query is not a SELECT".into());
    }
    let text = text.trim().trim_end_matches(';').trim_end();
    let ends_in_comment = tree
        .tokens
        .last()
        .is_some_and(|t| crate::script::tree::is_comment(t) && text[t.start as usize..].starts_with("--"));
    Ok(if ends_in_comment { format!("{text}\n") } else { text.into() })
}

/// A name in an argument, as SQL reads it.
pub fn relation(text: &str) -> Result<pg_query::protobuf::RangeVar, String> {
    let bad = || format!("{text} is no name of a relation");
    let tree = Tree::parse(&format!("TABLE {text}")).map_err(|_| bad())?;
    let NodeEnum::SelectStmt(select) = tree.node else { return Err(bad()) };
    match &select.from_clause[..] {
        [pg_query::protobuf::Node { node: Some(NodeEnum::RangeVar(name)) }] if select.where_clause.is_none() => {
            Ok(name.clone())
        }
        _ => Err(bad()),
    }
}

/// A statement that becomes a comment; the `;` behind it stays, and ends the last line of the comment.
pub fn commented(text: &str, why: &str, lines: &[String]) -> super::Found {
    super::Found::Edits(vec![super::Edit { start: 0, end: text.len(), with: format!("{why}\n{}", lines.join("\n")) }])
}
