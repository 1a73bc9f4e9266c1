//! `tviews diff`: by what the TVIEWs of two databases differ.
//!
//! Invariant: both are written as statements, by their own servers and in the order of their names; equal texts are equal TVIEWs. Servers of different
//! major versions may write one query in two ways. Called by main.

use crate::arguments::Diff;
use crate::outcome::Outcome;
use crate::plan::present::{Present, all};
use crate::script::nodes::literal;
use crate::server;
use anyhow::Result;
use similar::TextDiff;
use std::fmt::Write;

pub fn run(arguments: &Diff) -> Result<Outcome> {
    let (one, other) = (text(&arguments.dsn)?, text(&arguments.with)?);
    if one.1 == other.1 {
        return Ok(Outcome::Good);
    }
    print!("{}", TextDiff::from_lines(&one.1, &other.1).unified_diff().context_radius(3).header(&one.0, &other.0));
    Ok(Outcome::Found)
}

/// The name of the database, and its TVIEWs as statements.
fn text(dsn: &str) -> Result<(String, String)> {
    let mut client = server::connect_extension(dsn)?;
    // Definitions have names with their schemas then.
    client.batch_execute("SET search_path = pg_catalog").map_err(server::sentence)?;
    let name: String = client.query_one("SELECT current_database()::text", &[]).map_err(server::sentence)?.get(0);
    let mut tviews = all(&mut client)?;
    tviews.sort_by(|a, b| a.name.cmp(&b.name));
    Ok((name, tviews.iter().map(statements).collect()))
}

fn statements(tview: &Present) -> String {
    let options: Vec<String> = tview
        .options
        .iter()
        .filter(|(n, v)| !matches!((n.as_str(), v.as_str()), ("incremental" | "logged", _) | ("fillfactor", "90")))
        .map(|(n, v)| format!("{n} = {}", literal(v)))
        .collect();
    let with = if options.is_empty() { String::new() } else { format!(" WITH ({})", options.join(", ")) };
    let word = if tview.logged { "LOGGED" } else { "UNLOGGED" };
    let mut text = format!("CREATE {word} TVIEW {}{with} AS\n{}\n", tview.name, tview.definition.trim_end());
    for index in tview.indexes.values() {
        writeln!(text, "{index};").expect("a String takes everything");
    }
    if let Some(comment) = &tview.comment {
        writeln!(text, "COMMENT ON TVIEW {} IS {};", tview.name, literal(comment)).expect("a String takes everything");
    }
    text + "\n"
}
