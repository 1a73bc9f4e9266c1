//! What has to be done so that a database has what is wanted.
//!
//! Invariant: the statements depend on the arguments only, and a TVIEW that is as it is wanted needs none. Options that have their default value are
//! as good as not given. Called by plan and apply.

use super::present::Present;
use super::wanted::{Wanted, with};
use crate::script::nodes::{literal, quoted};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Create,
    /// A materialized view becomes a TVIEW.
    Switch,
    /// Another query, whose columns begin with those that there are.
    Replace,
    /// Other columns: it is dropped and made again.
    Remake,
    Options,
    Indexes,
    Drop,
}

impl Change {
    pub fn word(&self) -> &'static str {
        match self {
            Change::Create => "create",
            Change::Switch => "switch",
            Change::Replace => "replace",
            Change::Remake => "remake",
            Change::Options => "options",
            Change::Indexes => "indexes",
            Change::Drop => "drop",
        }
    }
}

/// How the server reads the query that is wanted.
#[derive(Debug, Clone)]
pub struct Read {
    pub definition: String,
    pub columns: Vec<String>,
}

pub fn create(wanted: &Wanted) -> Vec<String> {
    let indexes = wanted.indexes.iter().map(|(_, s)| s.clone());
    [wanted.statement.clone()].into_iter().chain(indexes).chain(wanted.others.iter().cloned()).collect()
}

/// The change of a relation that is there, with its statements. `read`: None when the server cannot read the query yet.
pub fn compare(wanted: &Wanted, present: &Present, read: Option<&Read>) -> Option<(Change, Vec<String>)> {
    let same = read.is_some_and(|r| r.definition == present.definition && r.columns == present.columns);
    if !present.is_tview {
        let mut statements = vec![format!("ALTER MATERIALIZED VIEW {} SET ACCESS METHOD tview", present.name)];
        statements.extend(adjusted(wanted, present).1);
        return Some((Change::Switch, statements));
    }
    if !same {
        let keeps = read.is_none_or(|r| r.columns.starts_with(&present.columns));
        if !keeps {
            let statements = [format!("DROP TVIEW {}", present.name)].into_iter().chain(create(wanted)).collect();
            return Some((Change::Remake, statements));
        }
        let word = if wanted.logged.unwrap_or(present.logged) { "LOGGED" } else { "UNLOGGED" };
        let columns: Vec<String> = wanted.columns.iter().map(|c| quoted(c)).collect();
        let columns = if columns.is_empty() { String::new() } else { format!(" ({})", columns.join(", ")) };
        let replace = format!(
            "CREATE OR REPLACE {word} TVIEW {}{columns}{} AS\n{}",
            wanted.name,
            with(&wanted.options),
            wanted.query
        );
        let missing = missing_indexes(wanted, present);
        return Some((Change::Replace, [replace].into_iter().chain(missing).collect()));
    }
    let (change, statements) = adjusted(wanted, present);
    (!statements.is_empty()).then_some((change, statements))
}

fn missing_indexes(wanted: &Wanted, present: &Present) -> Vec<String> {
    wanted.indexes.iter().filter(|(name, _)| !present.indexes.contains_key(name)).map(|(_, s)| s.clone()).collect()
}

/// Options, storage and indexes of a TVIEW that stays.
fn adjusted(wanted: &Wanted, present: &Present) -> (Change, Vec<String>) {
    let mut statements = Vec::new();
    let (target, now) = (meant(&wanted.options), meant(&present.options));
    let set: Vec<String> =
        target.iter().filter(|(n, v)| now.get(*n) != Some(v)).map(|(n, v)| format!("{n} = {}", literal(v))).collect();
    let reset: Vec<&str> = now.keys().filter(|n| !target.contains_key(*n)).map(String::as_str).collect();
    // The refresh that others depend on comes with them in one statement.
    if !set.is_empty() {
        statements.push(format!("ALTER TVIEW {} SET ({})", present.name, set.join(", ")));
    }
    if !reset.is_empty() {
        statements.push(format!("ALTER TVIEW {} RESET ({})", present.name, reset.join(", ")));
    }
    if let Some(logged) = wanted.logged.filter(|l| *l != present.logged) {
        statements.push(format!("ALTER TVIEW {} SET {}", present.name, if logged { "LOGGED" } else { "UNLOGGED" }));
    }
    let options = !statements.is_empty();
    statements.extend(missing_indexes(wanted, present));
    (if options { Change::Options } else { Change::Indexes }, statements)
}

/// Options without those that say what is so anyway.
fn meant(options: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let said = |name: &str, value: &str| {
        !matches!(
            (name, value),
            ("incremental" | "logged" | "catching_up", _)
                | ("fillfactor", "90")
                | ("refresh", "commit")
                | ("mode", "auto")
                | ("notify" | "approximate", "false")
                | ("schedule", "1m")
        )
    };
    options.iter().filter(|(n, v)| said(n, v)).map(|(n, v)| (n.clone(), v.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Script;
    use std::path::Path;

    fn wanted(sql: &str) -> Wanted {
        super::super::wanted::of(&[Script::new(Path::new("s.sql"), sql.into())]).unwrap().remove(0)
    }

    fn present() -> (Present, Read) {
        let options = [("incremental", "true"), ("fillfactor", "90"), ("mode", "full")]
            .map(|(a, b)| (a.to_string(), b.to_string()))
            .into();
        let columns = vec!["a integer".to_string()];
        let present = Present {
            name: "public.v".into(),
            definition: "SELECT a".into(),
            options,
            logged: false,
            columns: columns.clone(),
            indexes: BTreeMap::new(),
            is_tview: true,
            is_matview: true,
            comment: None,
        };
        (present, Read { definition: "SELECT a".into(), columns })
    }

    #[test]
    fn what_is_as_wanted_needs_nothing() {
        let (present, read) = present();
        assert_eq!(
            compare(
                &wanted("CREATE TVIEW v WITH (mode = full, notify = off) AS SELECT a FROM t"),
                &present,
                Some(&read)
            ),
            None
        );
    }

    #[test]
    fn options_are_set_and_reset() {
        let (present, read) = present();
        let wanted = wanted("CREATE LOGGED TVIEW v WITH (notify) AS SELECT a FROM t; CREATE INDEX i ON v (a);");
        let (change, statements) = compare(&wanted, &present, Some(&read)).unwrap();
        assert_eq!(change, Change::Options);
        assert_eq!(
            statements,
            [
                "ALTER TVIEW public.v SET (notify = 'true')",
                "ALTER TVIEW public.v RESET (mode)",
                "ALTER TVIEW public.v SET LOGGED",
                "CREATE INDEX i ON v (a)"
            ]
        );
    }

    #[test]
    fn columns_decide_between_replacing_and_making_again() {
        let (present, read) = present();
        let wanted = wanted("CREATE TVIEW v WITH (mode = full) AS SELECT a, b FROM t");
        let more = Read { definition: "SELECT a, b".into(), columns: vec!["a integer".into(), "b text".into()] };
        let (change, statements) = compare(&wanted, &present, Some(&more)).unwrap();
        assert_eq!(
            (change, statements),
            (
                Change::Replace,
                vec!["CREATE OR REPLACE UNLOGGED TVIEW v WITH (mode = 'full') AS\nSELECT a, b FROM t".to_string()]
            )
        );
        let other = Read { columns: vec!["b text".into()], ..read };
        assert_eq!(compare(&wanted, &present, Some(&other)).unwrap().0, Change::Remake);
    }
}
