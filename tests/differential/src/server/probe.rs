//! Questions to a server before cases run on it: its version, its features, the settings that a session may change.
//! Invariant: what cases need beside their schema is there afterwards. Called by `Session::connect` and for the summary of a run.

use super::client::rows;
use crate::features::Features;
use anyhow::{Context, Result};
use postgres::Client;

/// Switches and choices, and the least value of what the planner weighs. Not those by which statements are refused, logged or slow.
const OTHER_SETTINGS: &str = "SELECT name, CASE vartype WHEN 'bool' THEN CASE setting WHEN 'on' THEN 'off' ELSE 'on' END
  WHEN 'enum' THEN (SELECT max(v) FROM unnest(enumvals) v WHERE v <> setting) ELSE min_val END AS value FROM pg_settings
WHERE context = 'user' AND (vartype IN ('bool', 'enum') OR vartype IN ('integer', 'real') AND (category LIKE 'Query Tuning%' OR name IN ('work_mem', 'hash_mem_multiplier')))
  AND name !~ '^(log_|debug_|trace_|jit|force_parallel|transaction_|default_transaction_|session_repl|client_min|exit_on_error|row_security|ignore_|pg_tviews|standard_conforming)' ORDER BY name";

/// What the server can do. What all cases need beside their schema is made on the way: the type of an extension, a role.
pub fn features(client: &mut Client) -> Result<Features> {
    let one = |client: &mut Client, sql: &str| -> Result<String> { Ok(rows(client, sql)?.concat()) };
    let version: u32 = one(client, "SHOW server_version_num")?.parse()?;
    let icu = one(client, "SELECT 1 FROM pg_collation WHERE collname = 'und-x-icu'")? == "1";
    client.batch_execute(
        "DO $$ BEGIN CREATE ROLE fuzz_other; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$",
    )?;
    let citext = client.batch_execute("CREATE EXTENSION IF NOT EXISTS citext SCHEMA public").is_ok();
    // the extension whose updates replace functions
    let folder = one(client, "SELECT setting FROM pg_config WHERE name = 'SHAREDIR'")?;
    for (name, text) in crate::schema::routine::extension() {
        let path = format!("{folder}/extension/{name}");
        if std::fs::read_to_string(&path).ok().as_ref() != Some(&text) {
            std::fs::write(&path, text).with_context(|| format!("cannot write {path}"))?;
        }
    }
    Ok(Features { version: version / 10_000, icu, citext })
}

/// As people write it: 18.6.
pub fn version(client: &mut Client) -> Result<String> {
    let shown = rows(client, "SHOW server_version")?.concat();
    Ok(shown.split(' ').next().unwrap_or_default().to_string())
}

/// Settings that a session may change, each with another value than it has.
pub fn other_settings(client: &mut Client) -> Result<Vec<(String, String)>> {
    let other = rows(client, OTHER_SETTINGS)?;
    // a choice of one has no other value
    let named = other.iter().filter_map(|row| row.split_once(' ')).filter(|(_, value)| *value != "NULL");
    Ok(named.map(|(n, v)| (n.to_string(), v.to_string())).collect())
}
