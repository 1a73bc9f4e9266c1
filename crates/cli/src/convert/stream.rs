//! pg_stream, later pg_trickle: stream tables are TVIEWs with `refresh = deferred`.
//!
//! Invariant: a name without a schema is one of `public`, as there, and a schedule that is left out is one minute. What a call leaves as it is
//! (NULL) is left out of ALTER TVIEW. Called by convert.

use super::call::{self, Call, sole};
use super::{Found, Scripts};
use crate::script::nodes::{Constant, literal, relation};
use crate::script::{Script, Statement};
use pg_query::NodeEnum;
use tviews_core::schedule::Schedule;

const FUNCTIONS: [&str; 5] =
    ["create_stream_table", "alter_stream_table", "drop_stream_table", "refresh_stream_table", "resume_stream_table"];
const SCHEMAS: [&str; 2] = ["pgstream", "pgtrickle"];

fn is_ours(schema: Option<&str>, name: &str) -> bool {
    match schema {
        Some(schema) => SCHEMAS.contains(&schema),
        None => FUNCTIONS.contains(&name),
    }
}

pub fn recognise(_: &Scripts, script: &Script, statement: &Statement) -> Found {
    let Ok(tree) = &statement.tree else { return Found::Nothing };
    if let NodeEnum::CreateExtensionStmt(create) = &tree.node
        && matches!(create.extname.as_str(), "pg_stream" | "pg_trickle")
    {
        return Found::replaced(script, statement, "CREATE EXTENSION IF NOT EXISTS pg_tviews".into());
    }
    match sole(tree, &is_ours) {
        None => Found::Nothing,
        Some(Ok(call)) if !FUNCTIONS.contains(&call.name) => Found::Left(format!(
            "{}() has no statement: tviews.install_pgstream() makes the functions of this interface",
            call.name
        )),
        Some(made) => match made.and_then(|call| of_call(&call)) {
            Ok(with) => Found::replaced(script, statement, with),
            Err(why) => Found::Left(why),
        },
    }
}

fn of_call(call: &Call) -> Result<String, String> {
    match call.name {
        "create_stream_table" => create(call),
        "alter_stream_table" => alter(call),
        other => {
            let [name] = call.arguments(["name"])?;
            let name = name_of(name)?;
            Ok(match other {
                "drop_stream_table" => format!("DROP TVIEW {name} CASCADE"),
                "refresh_stream_table" => format!("REFRESH TVIEW {name}"),
                _ => format!("SELECT tviews.resume({})", literal(&name)),
            })
        }
    }
}

fn create(call: &Call) -> Result<String, String> {
    let [name, query, schedule, mode, initialize] =
        call.arguments(["name", "query", "schedule", "refresh_mode", "initialize"])?;
    let (name, query) = (name_of(name)?, call::query(&call::text(query, "the query")?)?);
    let mode = mode_of(mode)?;
    let mut options = Vec::new();
    if mode != Some("commit") {
        match schedule {
            None => options.extend(["refresh = deferred".to_string(), "schedule = '1m'".to_string()]),
            Some(Constant::Null) => options.push("refresh = manual".into()),
            Some(given) => options.extend(["refresh = deferred".to_string(), schedule_of(given)?]),
        }
        options.extend(mode.filter(|m| *m != "auto").map(|m| format!("mode = {m}")));
    }
    let with = if options.is_empty() { String::new() } else { format!(" WITH ({})", options.join(", ")) };
    let data = if initialize == Some(Constant::Bool(false)) { "\nWITH NO DATA" } else { "" };
    Ok(format!("CREATE TVIEW {name}{with} AS\n{query}{data}"))
}

fn alter(call: &Call) -> Result<String, String> {
    let [name, schedule, mode, status, query] =
        call.arguments(["name", "schedule", "refresh_mode", "status", "query"])?;
    if query.is_some_and(|q| q != Constant::Null) {
        return Err("alter_stream_table() with another query: CREATE OR REPLACE TVIEW keeps the columns that there are, otherwise drop and create".into());
    }
    let name = name_of(name)?;
    let mut options = Vec::new();
    if let Some(given) = schedule.filter(|s| *s != Constant::Null) {
        options.extend(["refresh = deferred".to_string(), schedule_of(given)?]);
    }
    match mode_of(mode)? {
        Some("commit") => options = vec!["refresh = commit".into()],
        Some(mode) => options.push(format!("mode = {mode}")),
        None => {}
    }
    let mut statements = Vec::new();
    if !options.is_empty() {
        statements.push(format!("ALTER TVIEW {name} SET ({})", options.join(", ")));
    }
    match status {
        None | Some(Constant::Null) => {}
        Some(Constant::Text(word)) => statements.push(match word.to_ascii_uppercase().as_str() {
            "ACTIVE" => format!("SELECT tviews.resume({})", literal(&name)),
            "PAUSED" | "SUSPENDED" => format!("SELECT tviews.pause({})", literal(&name)),
            _ => return Err(format!("alter_stream_table() with status {word}")),
        }),
        Some(_) => return Err("the status is not a text".into()),
    }
    if statements.is_empty() {
        Err("alter_stream_table() that changes nothing".into())
    } else {
        Ok(statements.join(";\n"))
    }
}

fn schedule_of(given: Constant) -> Result<String, String> {
    let Constant::Text(text) = given else { return Err("the schedule is not a text".into()) };
    let text = if text.eq_ignore_ascii_case("calculated") { "calculated".into() } else { text };
    match Schedule::parse(&text) {
        Ok(_) => Ok(format!("schedule = {}", literal(&text))),
        Err(_) => Err(format!("the schedule {text} is none that TVIEWs have")),
    }
}

fn mode_of(given: Option<Constant>) -> Result<Option<&'static str>, String> {
    match given {
        None | Some(Constant::Null) => Ok(None),
        Some(Constant::Text(word)) => match word.to_ascii_uppercase().as_str() {
            "DIFFERENTIAL" | "AUTO" => Ok(Some("auto")),
            "FULL" => Ok(Some("full")),
            "IMMEDIATE" => Ok(Some("commit")),
            _ => Err(format!("{word} is no mode of stream tables")),
        },
        Some(_) => Err("the mode is not a text".into()),
    }
}

fn name_of(value: Option<Constant>) -> Result<String, String> {
    let mut name = call::relation(&call::text(value, "the name")?)?;
    if name.schemaname.is_empty() {
        name.schemaname = "public".into();
    }
    Ok(relation(&name))
}
