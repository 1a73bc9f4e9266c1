//! Triggers that keep a summary: a function that writes, on changes of one table, the rows of another.
//!
//! Invariant: nothing is rewritten, for what the triggers meant is not in them; the function and the table that it keeps are named, and the page
//! that shows how to compare and switch. Called by convert.

use super::{Found, Scripts};
use crate::script::nodes::{last, string};
use crate::script::{Script, Statement, Tree, tree};
use pg_query::NodeEnum;
use pg_query::protobuf::CreateFunctionStmt;
use std::collections::{BTreeMap, BTreeSet};

/// The tables that trigger functions write.
pub struct Triggers {
    writes: BTreeMap<String, BTreeSet<String>>,
}

impl Triggers {
    pub fn new(scripts: &[Script]) -> Triggers {
        let mut writes = BTreeMap::new();
        for script in scripts {
            for statement in &script.statements {
                if let Ok(tree) = &statement.tree
                    && let NodeEnum::CreateFunctionStmt(function) = &tree.node
                    && function.return_type.as_ref().is_some_and(|t| last(&t.names) == "trigger")
                {
                    writes.insert(last(&function.funcname).to_string(), written(body(function).unwrap_or_default()));
                }
            }
        }
        Triggers { writes }
    }
}

/// The tables that statements of a body in PL/pgSQL write. Each statement is parsed from its first word to its semicolon: pg_query prints
/// the tree of a trigger function as JSON that is none.
fn written(body: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let Ok(scanned) = pg_query::scan(body) else { return found };
    let words: Vec<_> =
        scanned.tokens.iter().filter(|t| !tree::is_comment(t)).map(|t| (t.start as usize, t.end as usize)).collect();
    for (at, (start, end)) in words.iter().enumerate() {
        let writes = ["insert", "update", "delete", "merge"].iter().any(|w| body[*start..*end].eq_ignore_ascii_case(w));
        let Some(semicolon) = words[at..].iter().find(|w| &body[w.0..w.1] == ";").filter(|_| writes) else { continue };
        if let Ok(tree) = Tree::parse(&body[*start..semicolon.0]) {
            let table = match &tree.node {
                NodeEnum::InsertStmt(s) => s.relation.as_ref(),
                NodeEnum::UpdateStmt(s) => s.relation.as_ref(),
                NodeEnum::DeleteStmt(s) => s.relation.as_ref(),
                NodeEnum::MergeStmt(s) => s.relation.as_ref(),
                _ => None,
            };
            found.extend(table.map(|t| t.relname.clone()));
        }
    }
    found
}

/// The text between the quotes of a function's AS.
fn body(function: &CreateFunctionStmt) -> Option<&str> {
    function.options.iter().find_map(|o| match &o.node {
        Some(NodeEnum::DefElem(d)) if d.defname == "as" => match &d.arg.as_ref()?.node {
            Some(NodeEnum::List(list)) => list.items.first().and_then(string),
            _ => None,
        },
        _ => None,
    })
}

pub fn recognise(context: &Scripts, _: &Script, statement: &Statement) -> Found {
    let Ok(tree) = &statement.tree else { return Found::Nothing };
    let NodeEnum::CreateTrigStmt(trigger) = &tree.node else { return Found::Nothing };
    let Some(table) = &trigger.relation else { return Found::Nothing };
    let function = last(&trigger.funcname);
    let Some(writes) = context.triggers.writes.get(function) else { return Found::Nothing };
    let kept: Vec<&str> = writes.iter().map(String::as_str).filter(|w| *w != table.relname).collect();
    if kept.is_empty() {
        return Found::Nothing;
    }
    Found::Left(format!(
        "trigger {} on {} keeps {} by {function}(): make a TVIEW of the query that it stands for, compare, and switch (docs/migrate/from-triggers.md)",
        trigger.trigname,
        table.relname,
        kept.join(", "),
    ))
}
