//! `tviews lint`: what each view of schema files would be as a TVIEW, without a database; or by a server's own analysis.
//!
//! Invariant: what is said without a server is either what `tviews.check` says, or comes with a doubt that says what was guessed. Called by main.

mod block;
mod builtin;
mod decide;
mod expression;
mod from;
mod groups;
mod inside;
mod intervals;
mod output;
mod recursion;
mod refuse;
mod relation;
mod sarif;
pub mod schema;
mod scope;
mod server;
mod targets;
mod windows;

use crate::arguments::{Format, Lint};
use crate::outcome::Outcome;
use crate::script::{Script, files, nodes};
use anyhow::Result;
use pg_query::NodeEnum;
use pg_query::protobuf::SelectStmt;
pub use refuse::Refusal;
use schema::{Kind, Name, Schema, made_as};
use serde::Serialize;
use std::collections::BTreeSet;

/// What is said about one table of a view.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Row {
    pub base_table: String,
    pub strategy: String,
    pub reason: String,
    pub hint: Option<String>,
}

/// What is said about one view.
#[derive(Debug, Clone, Serialize)]
pub struct View {
    pub name: String,
    pub file: String,
    pub line: usize,
    pub column: usize,
    pub kind: &'static str,
    pub tables: Vec<Row>,
    pub refused: Vec<Said>,
    /// What was guessed.
    pub doubts: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Said {
    pub message: String,
    pub hint: String,
    pub line: usize,
    pub column: usize,
}

pub fn run(arguments: &Lint) -> Result<Outcome> {
    let scripts = files(&arguments.files)?.iter().map(|p| Script::read(p)).collect::<Result<Vec<_>>>()?;
    let views = match &arguments.dsn {
        Some(dsn) => server::views(&scripts, dsn)?,
        None => views(&scripts),
    };
    match arguments.format {
        Format::Text => output::text(&views, &scripts, arguments.dsn.is_some()),
        Format::Json => println!("{}", serde_json::to_string_pretty(&views)?),
        Format::Sarif => println!("{}", serde_json::to_string_pretty(&sarif::of(&views))?),
    }
    let refused = views.iter().any(|v| !v.refused.is_empty());
    let full = views.iter().flat_map(|v| &v.tables).any(|t| t.strategy == "full");
    Ok(if refused || (full && arguments.incremental) { Outcome::Found } else { Outcome::Good })
}

/// A view of a file: where its statement is, its query, what makes it.
pub struct Defined<'a> {
    pub script: &'a Script,
    pub statement: usize,
    pub name: String,
    pub kind: Kind,
    pub query: &'a SelectStmt,
}

/// All views, materialized views and TVIEWs of the files.
pub fn defined(scripts: &[Script]) -> Vec<Defined<'_>> {
    let mut found = Vec::new();
    for script in scripts {
        for (at, statement) in script.statements.iter().enumerate() {
            let Ok(tree) = &statement.tree else { continue };
            let (name, query, kind) = match &tree.node {
                NodeEnum::ViewStmt(view) => {
                    let query = view.query.as_ref().and_then(|q| q.node.as_ref()).and_then(crate::script::tree::select);
                    (view.view.as_ref(), query, Some(Kind::View))
                }
                _ => match tree.create_as() {
                    Some((create, query)) => {
                        (create.into.as_ref().and_then(|i| i.rel.as_ref()), Some(query), made_as(tree))
                    }
                    None => continue,
                },
            };
            if let (Some(name), Some(query), Some(kind)) = (name, query, kind) {
                found.push(Defined { script, statement: at, name: nodes::relation(name), kind, query });
            }
        }
    }
    found
}

/// Names of materialized views that could be TVIEWs: nothing in them is refused.
pub fn possible(schema: &Schema) -> BTreeSet<Name> {
    let mut possible: BTreeSet<Name> =
        schema.relations.iter().filter(|(_, r)| r.kind == Kind::Matview).map(|(n, _)| n.clone()).collect();
    loop {
        let stays = |name: &Name| {
            let query = schema.relations[name].query.as_ref();
            query.is_some_and(|q| refuse::look(q, schema, &|n| possible.contains(n)).refused.is_empty())
        };
        let next: BTreeSet<Name> = possible.iter().filter(|n| stays(n)).cloned().collect();
        if next.len() == possible.len() {
            return possible;
        }
        possible = next;
    }
}

/// What would be refused of a query, when `is_tview` are TVIEWs.
pub fn refusals(query: &SelectStmt, schema: &Schema, is_tview: &dyn Fn(&Name) -> bool) -> Vec<Refusal> {
    refuse::look(query, schema, is_tview).refused
}

/// By the files alone.
pub fn views(scripts: &[Script]) -> Vec<View> {
    let schema = Schema::new(scripts);
    let possible = possible(&schema);
    defined(scripts).iter().map(|d| view(d, &schema, &possible)).collect()
}

fn view(defined: &Defined, schema: &Schema, possible: &BTreeSet<Name>) -> View {
    let findings = refuse::look(defined.query, schema, &|n| possible.contains(n));
    let statement = &defined.script.statements[defined.statement];
    let said = |r: &Refusal| {
        let (line, column) = defined.script.place(statement.start + r.at.unwrap_or(0));
        Said { message: r.what.clone(), hint: r.hint.clone(), line, column }
    };
    let mut made = new_view(defined);
    made.refused = findings.refused.iter().map(said).collect();
    if made.refused.is_empty() {
        let analysis = decide::Analyst::new(schema).alone(defined.query);
        made.doubts =
            findings.doubts.iter().chain(&analysis.doubts).cloned().collect::<BTreeSet<_>>().into_iter().collect();
        for name in relations(defined.query) {
            if let Some((full, relation)) = schema.find(&name.0, &name.1)
                && relation.kind == Kind::Matview
            {
                made.doubts.push(format!("the materialized view {} is taken for a TVIEW", full.1));
            }
        }
        made.tables = rows(&analysis, schema);
    }
    made
}

pub fn new_view(defined: &Defined) -> View {
    let (line, column) = defined.script.place(defined.script.statements[defined.statement].start);
    let kind = match defined.kind {
        Kind::View => "view",
        Kind::Matview => "materialized view",
        _ => "TVIEW",
    };
    View {
        name: defined.name.clone(),
        file: defined.script.path.display().to_string(),
        line,
        column,
        kind,
        tables: Vec::new(),
        refused: Vec::new(),
        doubts: Vec::new(),
    }
}

fn rows(analysis: &decide::Analysis, schema: &Schema) -> Vec<Row> {
    let shown = |name: &Name| {
        let relname = nodes::quoted(&name.1);
        if name.0 == "public" { relname } else { format!("{}.{relname}", nodes::quoted(&name.0)) }
    };
    let row = |(table, decision): (&Name, &tviews_core::strategy::Decision)| {
        let mut hints: Vec<String> = tviews_core::hints::of(decision).into_iter().collect();
        let followed = decision.strategy != tviews_core::strategy::Strategy::Full;
        for search in analysis.searches.iter().filter(|s| s.changed == *table && followed) {
            let known = schema.relations.get(&search.searched);
            let lacks = known.is_some_and(|r| {
                matches!(r.kind, Kind::Table) && r.complete && !r.indexed.iter().any(|i| search.columns.contains(i))
            });
            if lacks {
                let columns: Vec<String> = search.columns.iter().map(|c| nodes::quoted(c)).collect();
                let full = |name: &Name| format!("{}.{}", nodes::quoted(&name.0), nodes::quoted(&name.1));
                let (searched, changed) = (full(&search.searched), full(table));
                hints.push(format!(
                    "CREATE INDEX ON {searched} ({}); -- without it, a changed row of {changed} reads all of {searched}",
                    columns.join(", ")
                ));
            }
        }
        Row {
            base_table: shown(table),
            strategy: decision.strategy.as_str().into(),
            reason: decision.reason.to_string(),
            hint: (!hints.is_empty()).then(|| hints.join("\n")),
        }
    };
    analysis.followed.iter().map(row).collect()
}

/// Schema and name of everything that a query reads by a name, CTEs among it.
pub fn relations(query: &SelectStmt) -> BTreeSet<Name> {
    let tree = nodes::json(query);
    let mut found = BTreeSet::new();
    nodes::walk(&tree, &mut |kind, fields| {
        if kind == "RangeVar" {
            let text = |name: &str| fields[name].as_str().unwrap_or_default().to_string();
            found.insert((text("schemaname"), text("relname")));
        }
        true
    });
    found
}

/// Whether the select list of a plain block makes it a stage all the same: aggregates, windows, sets.
fn block_has_stage(query: &SelectStmt, schema: &Schema) -> bool {
    let target = |n: &pg_query::protobuf::Node| match &n.node {
        Some(NodeEnum::ResTarget(t)) => t.val.as_ref().is_some_and(|v| {
            expression::has_aggregates(v, schema)
                || expression::calls(v).iter().any(|c| c.over.is_some() || expression::returns_set(c, schema))
        }),
        _ => false,
    };
    query.target_list.iter().any(target)
}
