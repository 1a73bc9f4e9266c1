//! Reproduction scripts. Invariant: a script runs in psql on an empty database, and does what the case did. Called by `sequential`.

use super::save;
use crate::run::Failure;
use crate::server::{SCHEMA, settings};
use std::path::Path;

/// The script of a failure: runs in psql on an empty database.
fn script(seed: u64, failure: &Failure, lines: &[String], baseline: bool) -> String {
    let comment: String = failure.detail.lines().map(|l| format!("--   {l}\n")).collect();
    let extension = if baseline { "" } else { "CREATE EXTENSION IF NOT EXISTS pg_tviews;\n" };
    format!(
        "-- {}\n{comment}-- replay: --case {seed}\n{}{extension}DROP SCHEMA IF EXISTS {SCHEMA} CASCADE;\nCREATE SCHEMA {SCHEMA};\nSET search_path = {SCHEMA}, public;\n\n{}\n",
        failure.kind,
        settings::comparing().split("; ").map(|s| format!("{};\n", s.trim())).collect::<String>(),
        lines.join("\n")
    )
}

/// Writes the script to a file and to standard output.
pub fn failure(out: &Path, seed: u64, failure: &Failure, lines: &[String], name: &str, baseline: bool) {
    let text = script(seed, failure, lines, baseline);
    println!("---- {name} script of case {seed} ----\n{text}----");
    save(out, &format!("{seed}-{name}.sql"), &text, "written to");
}
