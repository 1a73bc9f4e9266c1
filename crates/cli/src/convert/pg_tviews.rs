//! The interface of the earlier pg_tviews: `CREATE TABLE tv_… AS`, `SELECT … INTO tv_…`, `pg_tviews_create` and its relatives.
//!
//! Invariant: these statements work as they are, too; the rewritten ones say what they make. A table that is filled by hand is no TVIEW yet, and is
//! named. Called by convert.

use super::call::{self, Call, sole};
use super::{Edit, Found, Scripts};
use crate::lint::refusals;
use crate::lint::schema::{Kind, made_as};
use crate::script::nodes::{Constant, relation};
use crate::script::{Script, Statement, Tree};
use pg_query::NodeEnum;
use pg_query::protobuf::{ObjectType, RangeVar};

pub fn recognise(context: &Scripts, script: &Script, statement: &Statement) -> Found {
    let Ok(tree) = &statement.tree else { return Found::Nothing };
    if let NodeEnum::CreateStmt(create) = &tree.node
        && let Some(name) = &create.relation
        && name.relname.starts_with("tv_")
        && name.relpersistence != "t"
    {
        let name = relation(name);
        return Found::Left(format!(
            "table {name} is filled by hand: pg_tviews_convert_existing_table('{name}') makes it a TVIEW"
        ));
    }
    if tree.create_as().is_some() || into(tree).is_some() {
        return table(context, script, statement, tree);
    }
    let is_ours =
        |_: Option<&str>, name: &str| matches!(name, "pg_tviews_create" | "pg_tviews_drop" | "pg_tviews_refresh");
    match sole(tree, &is_ours) {
        None => Found::Nothing,
        Some(made) => match made.and_then(|call| of_call(&call)) {
            Ok(with) => Found::replaced(script, statement, with),
            Err(why) => Found::Left(why),
        },
    }
}

fn of_call(call: &Call) -> Result<String, String> {
    if call.name == "pg_tviews_create" {
        let [name, query] = call.arguments(["name", "query"])?;
        let (name, query) = (tview(&call::text(name, "the name")?)?, call::query(&call::text(query, "the query")?)?);
        return Ok(format!("CREATE OR REPLACE TVIEW {name} AS\n{query}"));
    }
    let [name, if_exists, cascade] = call.arguments(["name", "if_exists", "cascade"])?;
    let name = tview(&call::text(name, "the name")?)?;
    if call.name == "pg_tviews_refresh" {
        return Ok(format!("REFRESH TVIEW {name}"));
    }
    let on = |value: Option<Constant>, word: &str| {
        if value == Some(Constant::Bool(true)) { word.to_string() } else { String::new() }
    };
    Ok(format!("DROP TVIEW {}{name}{}", on(if_exists, "IF EXISTS "), on(cascade, " CASCADE")))
}

/// `post`, `tv_post` and `app.post` are names of TVIEWs `tv_post`.
fn tview(text: &str) -> Result<String, String> {
    let mut name = call::relation(text)?;
    if !name.relname.starts_with("tv_") {
        name.relname = format!("tv_{}", name.relname);
    }
    Ok(relation(&name))
}

/// What a SELECT … INTO makes.
fn into(tree: &Tree) -> Option<&RangeVar> {
    match &tree.node {
        NodeEnum::SelectStmt(select) => select.into_clause.as_ref()?.rel.as_ref(),
        _ => None,
    }
}

fn table(context: &Scripts, script: &Script, statement: &Statement, tree: &Tree) -> Found {
    let made = tree.create_as();
    let (name, query) = match (made, &tree.node) {
        (Some((create, query)), _) => {
            let plain = create.objtype == ObjectType::ObjectTable as i32
                && tree.tview.is_none()
                && made_as(tree) == Some(Kind::Tview);
            let Some(name) = create.into.as_ref().and_then(|i| i.rel.as_ref()).filter(|_| plain) else {
                return Found::Nothing;
            };
            (name, query)
        }
        (None, NodeEnum::SelectStmt(query)) => match into(tree) {
            Some(name) if name.relname.starts_with("tv_") && name.relpersistence != "t" => (name, query.as_ref()),
            _ => return Found::Nothing,
        },
        _ => return Found::Nothing,
    };
    if let Some(refusal) = refusals(
        query,
        &context.schema,
        &|n| matches!(context.views.get(n), Some(v) if !matches!(v, super::matview::Becomes::Stays(_))),
    )
    .first()
    {
        return Found::Left(format!("table {} stays a table: {}. {}", relation(name), refusal.what, refusal.hint));
    }
    let text = script.text_of(statement);
    let is = |t: &pg_query::protobuf::ScanToken, word: &str| {
        text[t.start as usize..t.end as usize].eq_ignore_ascii_case(word)
    };
    let words: Vec<_> = tree.words().collect();
    if made.is_some() {
        let Some(word) = words.iter().take(4).find(|t| is(t, "table")) else { return Found::Nothing };
        let with = if text[word.start as usize..].starts_with('t') { "tview" } else { "TVIEW" };
        return Found::Edits(vec![Edit { start: word.start as usize, end: word.end as usize, with: with.into() }]);
    }
    let Some(from) = words.iter().position(|t| is(t, "into")) else { return Found::Nothing };
    let Some(at) = words.iter().position(|t| t.start == name.location) else { return Found::Nothing };
    let Some(last) = words.get(at + if name.schemaname.is_empty() { 0 } else { 2 }) else { return Found::Nothing };
    let unlogged = if name.relpersistence == "u" { "UNLOGGED " } else { "" };
    let begin = Edit { start: 0, end: 0, with: format!("CREATE {unlogged}TVIEW {} AS ", relation(name)) };
    let end = text[last.end as usize..]
        .find(|c: char| !c.is_whitespace())
        .map_or(last.end as usize, |n| last.end as usize + n);
    Found::Edits(vec![begin, Edit { start: words[from].start as usize, end, with: String::new() }])
}
