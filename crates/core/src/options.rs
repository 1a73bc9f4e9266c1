//! The options of a TVIEW: their names, the values that they take, and how values are kept.
//!
//! Invariant: a value that was accepted is in its normal form, so that it is accepted again, as it is. Called by the extension's `catalog::options`
//! for the options of DDL, and by its `refresh::plan::decide` for the key.

use crate::schedule::{Bad, Schedule};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, DerefMut};

/// Values by name, each in its normal form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options(BTreeMap<String, String>);

/// Which strategies are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Any strategy.
    Auto,
    /// A query that would be recomputed in full is refused.
    Incremental,
    /// Everything is recomputed.
    Full,
}

/// When a TVIEW follows changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresh {
    /// Before the transaction commits that makes them.
    Commit,
    /// Later, by schedule and by REFRESH.
    Deferred,
    /// By REFRESH.
    Manual,
}

impl Options {
    pub fn new() -> Options {
        Options::default()
    }

    pub fn refresh(&self) -> Refresh {
        if self.is_catching_up() {
            return Refresh::Manual;
        }
        match self.0.get("refresh").map(String::as_str) {
            Some("deferred") => Refresh::Deferred,
            Some("manual") => Refresh::Manual,
            _ => Refresh::Commit,
        }
    }

    pub fn mode(&self) -> Mode {
        match self.0.get("mode").map(String::as_str) {
            Some("incremental") => Mode::Incremental,
            Some("full") => Mode::Full,
            _ => Mode::Auto,
        }
    }

    /// Whether it is being populated while writers go on, and follows a log until it is exact.
    pub fn is_catching_up(&self) -> bool {
        self.0.contains_key(CATCHING_UP)
    }

    pub fn set_catching_up(&mut self, is: bool) {
        match is {
            true => drop(self.0.insert(CATCHING_UP.into(), "true".into())),
            false => drop(self.0.remove(CATCHING_UP)),
        }
    }

    /// When a deferred TVIEW is refreshed by itself.
    pub fn schedule(&self) -> Option<Schedule> {
        let given = self.0.get("schedule").map_or(DEFAULT_SCHEDULE, String::as_str);
        (self.refresh() == Refresh::Deferred).then(|| Schedule::parse(given).ok()).flatten()
    }

    /// Refuses options that do not go together.
    pub fn consistent(&self) -> Result<(), Refused> {
        match self.0.contains_key("schedule") && self.refresh() != Refresh::Deferred {
            true => Err(Refused::Unscheduled),
            false => Ok(()),
        }
    }

    /// Whether sums of floating-point values may drift.
    pub fn approximate(&self) -> bool {
        self.is_on("approximate") == Some(true)
    }

    /// Whether documents have indexes to be read by; None: where there are documents.
    pub fn document_indexes(&self) -> Option<bool> {
        self.is_on("document_indexes")
    }

    /// Whether changed rows are announced.
    pub fn notify(&self) -> bool {
        self.is_on("notify") == Some(true)
    }

    /// The key as it is given.
    pub fn key(&self) -> Option<&str> {
        self.0.get("key").map(String::as_str)
    }

    /// Whether changes are written to WAL; None: as the setting says.
    pub fn logged(&self) -> Option<bool> {
        self.is_on("logged")
    }

    /// A TVIEW that is not logged does not have the option.
    pub fn set_logged(&mut self, logged: bool) {
        match logged {
            true => drop(self.0.insert("logged".into(), "true".into())),
            false => drop(self.0.remove("logged")),
        }
    }

    fn is_on(&self, name: &str) -> Option<bool> {
        self.0.get(name).map(|value| value == "true")
    }
}

impl Deref for Options {
    type Target = BTreeMap<String, String>;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Options {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl IntoIterator for Options {
    type Item = (String, String);
    type IntoIter = std::collections::btree_map::IntoIter<String, String>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

const CATCHING_UP: &str = "catching_up";

/// Of a deferred TVIEW without the option.
const DEFAULT_SCHEDULE: &str = "1m";

/// Names of options and the values that they take. What stands above each is its text in docs/reference/options.md.
const OPTIONS: &[(&str, Kind)] = &[
    // Default `false`. `sum`, `avg` and statistics of real and double precision are folded, see [below](#approximate).
    ("approximate", Kind::Bool),
    (CATCHING_UP, Kind::True),
    // Default `true` where there is a column `data` of type jsonb or json. Indexes on the columns `id`, `identifier` and `fk_…`, by which documents
    // are read; btree, or hash where values may be long. Columns that begin an index already have none more.
    ("document_indexes", Kind::Bool),
    // Makes a CREATE MATERIALIZED VIEW create a TVIEW; implied by CREATE TVIEW.
    ("incremental", Kind::True),
    // Columns, as in `'col, col'`: the unique key, when it cannot be derived; enforced by a unique index.
    ("key", Kind::Text),
    // Default `not pg_tviews.unlogged_by_default`. WAL-logged storage, which survives a crash and can be read on standbys.
    ("logged", Kind::Bool),
    // Default `auto`. `incremental` refuses, when the TVIEW is populated, what some changes would recompute in full; `full` always recomputes.
    ("mode", Kind::OneOf(&["auto", "incremental", "full"])),
    // Default `false`. Changed rows are announced at commit, see [change feed](../operate/change-feed.md).
    ("notify", Kind::Bool),
    // Default `commit`: exact at every commit. `deferred`: as of a snapshot, refreshed by schedule. `manual`: only by REFRESH. See
    // [deferred TVIEWs](../operate/deferred.md).
    ("refresh", Kind::OneOf(&["commit", "deferred", "manual"])),
    // Default `'1m'`. When a TVIEW with `refresh = deferred` is refreshed, see [schedules](../operate/deferred.md#schedules).
    ("schedule", Kind::Schedule),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    True,
    Bool,
    Text,
    Schedule,
    OneOf(&'static [&'static str]),
}

/// Why an option is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    Unrecognized {
        name: String,
    },
    Twice {
        name: String,
    },
    CannotBeFalse {
        name: &'static str,
    },
    NoBoolean {
        name: &'static str,
        value: String,
    },
    NoValue {
        name: &'static str,
    },
    NoneOf {
        name: &'static str,
        value: String,
        valid: &'static [&'static str],
    },
    NoSchedule {
        value: String,
        why: Bad,
    },
    /// A schedule of a TVIEW that has none.
    Unscheduled,
    NoColumn {
        key: String,
        column: String,
    },
    NoEquality {
        key: String,
        column: String,
    },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let invalid = |f: &mut fmt::Formatter, name: &str, value: &str| {
            write!(f, "invalid value for option \"{name}\": \"{value}\"")
        };
        match self {
            Refused::Unrecognized { name } => write!(f, "unrecognized TVIEW option \"{name}\""),
            Refused::Twice { name } => write!(f, "option \"{name}\" specified more than once"),
            Refused::CannotBeFalse { name } => write!(f, "option \"{name}\" of a TVIEW cannot be false"),
            Refused::NoBoolean { name, value } | Refused::NoneOf { name, value, .. } => invalid(f, name, value),
            Refused::NoSchedule { value, .. } => invalid(f, "schedule", value),
            Refused::Unscheduled => write!(f, "option \"schedule\" requires refresh = deferred"),
            Refused::NoValue { name } => invalid(f, name, ""),
            Refused::NoColumn { key, .. } | Refused::NoEquality { key, .. } => invalid(f, "key", key),
        }
    }
}

impl Refused {
    pub fn hint(&self) -> Option<String> {
        match self {
            Refused::Unrecognized { .. } | Refused::Twice { .. } => None,
            Refused::CannotBeFalse { .. } => {
                Some("Leave the option out to create an ordinary materialized view.".into())
            }
            Refused::NoBoolean { .. } => Some("Valid values are booleans.".into()),
            Refused::NoSchedule { why, .. } => Some(why.to_string()),
            Refused::Unscheduled => Some("Reset the option, or set refresh to deferred.".into()),
            Refused::NoValue { .. } => Some("A value is required.".into()),
            Refused::NoneOf { valid, .. } => {
                let valid: Vec<String> = valid.iter().map(|v| format!("\"{v}\"")).collect();
                Some(format!("Valid values are {}.", valid.join(", ")))
            }
            Refused::NoColumn { column, .. } => Some(format!("There is no output column \"{column}\".")),
            Refused::NoEquality { column, .. } => {
                Some(format!("The type of column \"{column}\" has no equality operator."))
            }
        }
    }
}

pub fn is_ours(name: &str) -> bool {
    OPTIONS.iter().any(|(n, _)| *n == name)
}

/// Checks one option and normalises its value; an option without a value is switched on.
pub fn check(name: &str, value: Option<String>) -> Result<String, Refused> {
    let Some((name, kind)) = OPTIONS.iter().find(|(n, _)| *n == name) else {
        return Err(Refused::Unrecognized { name: name.into() });
    };
    let given = value.clone().unwrap_or_else(|| "true".into());
    let boolean = match given.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" | "1" => Some(true),
        "false" | "off" | "no" | "0" => Some(false),
        _ => None,
    };
    match (kind, boolean) {
        (Kind::Bool, Some(b)) => Ok(b.to_string()),
        (Kind::True, Some(true)) => Ok("true".into()),
        (Kind::True, Some(false)) => Err(Refused::CannotBeFalse { name }),
        (Kind::Bool | Kind::True, None) => Err(Refused::NoBoolean { name, value: given }),
        (Kind::Text, _) => value.ok_or(Refused::NoValue { name }),
        (Kind::Schedule, _) => {
            let value = value.ok_or(Refused::NoValue { name })?;
            match Schedule::parse(&value) {
                Ok(_) => Ok(value.trim().into()),
                Err(why) => Err(Refused::NoSchedule { value, why }),
            }
        }
        (Kind::OneOf(valid), _) => {
            let lower = given.to_ascii_lowercase();
            if valid.contains(&lower.as_str()) { Ok(lower) } else { Err(Refused::NoneOf { name, value: given, valid }) }
        }
    }
}

/// Adds an option that was checked; each option may be there once.
pub fn add(options: &mut Options, name: &str, value: String) -> Result<(), Refused> {
    match options.insert(name.into(), value) {
        None => Ok(()),
        Some(_) => Err(Refused::Twice { name: name.into() }),
    }
}

/// Positions of the columns of `key = 'a, "B"'`: names as the server folds them. `comparable`: which columns have an equality operator.
pub fn key_columns(given: &str, columns: &[String], comparable: &[bool]) -> Result<Vec<usize>, Refused> {
    let position = |word: &str| {
        let word = word.trim();
        let column = match word.strip_prefix('"').and_then(|w| w.strip_suffix('"')) {
            Some(quoted) => quoted.replace("\"\"", "\""),
            None => word.to_lowercase(),
        };
        match columns.iter().position(|c| *c == column) {
            None => Err(Refused::NoColumn { key: given.into(), column }),
            Some(at) if !comparable[at] => Err(Refused::NoEquality { key: given.into(), column }),
            Some(at) => Ok(at),
        }
    };
    given.split(',').map(position).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WORDS: &[&str] =
        &["true", "on", "YES", "1", "False", "off", "no", "0", "auto", "FULL", "commit", "a", "", " 5m", "@daily"];

    /// Every option with every word.
    #[test]
    fn what_is_accepted_is_accepted_again() {
        for (name, kind) in OPTIONS {
            let mut accepted = 0;
            for value in WORDS.iter().map(|w| Some((*w).to_string())).chain([None]) {
                match check(name, value.clone()) {
                    Ok(kept) => {
                        assert_eq!(check(name, Some(kept.clone())), Ok(kept.clone()), "{name}");
                        assert!(matches!(kind, Kind::Text | Kind::Schedule) || kept == kept.to_ascii_lowercase());
                        accepted += 1;
                    }
                    Err(why) => assert!(why.to_string().contains(name) && why.hint().is_some(), "{why}"),
                }
            }
            assert!(accepted > 0 && is_ours(name), "{name}");
        }
        assert_eq!(check("Mode", None), Err(Refused::Unrecognized { name: "Mode".into() }));
    }

    #[test]
    fn values() {
        let of = |name, value: &str| check(name, Some(value.into())).map_err(|why| (why.to_string(), why.hint()));
        assert_eq!(check("approximate", None).as_deref(), Ok("true"));
        assert_eq!(of("logged", "OFF").as_deref(), Ok("false"));
        assert_eq!(of("mode", "Incremental").as_deref(), Ok("incremental"));
        let refused = |what: &str, hint: &str| Err((what.to_string(), Some(hint.to_string())));
        let valid = "Valid values are \"auto\", \"incremental\", \"full\".";
        assert_eq!(of("mode", "Some"), refused("invalid value for option \"mode\": \"Some\"", valid));
        let hint = "Leave the option out to create an ordinary materialized view.";
        assert_eq!(of("incremental", "0"), refused("option \"incremental\" of a TVIEW cannot be false", hint));
        assert_eq!(check("key", None), Err(Refused::NoValue { name: "key" }));
        let mut options = Options::new();
        assert_eq!(add(&mut options, "key", "a".into()), Ok(()));
        assert_eq!(add(&mut options, "key", "b".into()), Err(Refused::Twice { name: "key".into() }));
    }

    proptest! {
        /// Columns are found by any name when it is quoted, and by folded names.
        #[test]
        fn keys_name_columns(names in proptest::collection::btree_set("[a-cA \"ä]{1,3}", 1..4), nth in 0usize..3) {
            let columns: Vec<String> = names.into_iter().collect();
            let wanted: Vec<usize> = (0..columns.len()).rev().collect();
            let quoted: Vec<String> = wanted.iter().map(|p| format!(" \"{}\" ", columns[*p].replace('"', "\"\""))).collect();
            let all = vec![true; columns.len()];
            prop_assert_eq!(key_columns(&quoted.join(","), &columns, &all), Ok(wanted));
            let column = &columns[nth % columns.len()];
            if column.chars().all(|c| c.is_ascii_lowercase()) {
                prop_assert!(key_columns(&column.to_uppercase(), &columns, &all).is_ok());
            }
            let refused = key_columns(&quoted.join(","), &columns, &vec![false; columns.len()]);
            let is_of_type = matches!(refused, Err(Refused::NoEquality { .. }));
            prop_assert!(is_of_type);
        }
    }

    #[test]
    fn keys_without_such_a_column() {
        let refused = key_columns("a, B", &["a".into(), "B".into()], &[true, true]);
        assert_eq!(refused, Err(Refused::NoColumn { key: "a, B".into(), column: "b".into() }));
    }
}
