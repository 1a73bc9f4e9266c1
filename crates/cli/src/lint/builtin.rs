//! What PostgreSQL 18 has in pg_catalog: which functions a TVIEW may call, and which aggregates can be folded.
//!
//! Invariant: the list says what `tviews.check` says of a query with the function (regress/t/command_builtin.py compares). A line is a name and what is
//! to be known: `v` volatile; `r` of the clock, session or catalogs, `t` of a setting of text search (with a number: only with so many arguments; `?`: it
//! depends on the arguments' types); `*` returns a set; `w` a window function; `a` an aggregate that is folded, recomputed, or folded for these types.

use std::collections::HashMap;
use std::sync::LazyLock;

static BUILTIN: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| {
    include_str!("builtin.txt").lines().map(|line| line.split_once(' ').unwrap_or((line, ""))).collect()
});

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    Accepted,
    Volatile,
    /// Depends on the clock, the session or the catalogs.
    Refused,
    TextSearch,
    /// One of these, by the types of its arguments.
    Depends,
    Window,
    Aggregate(Folds),
}

/// Whether the state of an aggregate can be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folds {
    Yes,
    No,
    /// For these types of the first argument.
    For(&'static str),
}

impl Folds {
    /// With an argument of a type; None where the type is not known and matters.
    pub fn with(self, argument: Option<&str>) -> Option<bool> {
        match self {
            Folds::Yes => Some(true),
            Folds::No => Some(false),
            Folds::For(types) => argument.map(|a| {
                let a = match a {
                    "character varying" => "text",
                    a if a.ends_with("[]") => "anyarray",
                    a => a,
                };
                types.split(", ").any(|t| t == a)
            }),
        }
    }
}

/// A function of pg_catalog, called with so many arguments.
pub fn function(name: &str, arguments: usize) -> Option<Function> {
    let known = *BUILTIN.get(name)?;
    if let Some(folds) = known.strip_prefix("a ") {
        return Some(Function::Aggregate(match folds {
            "fold" => Folds::Yes,
            "keyed" => Folds::No,
            types => Folds::For(types.trim_start_matches("fold: ")),
        }));
    }
    for word in known.split(' ') {
        let (kind, number) = word.split_at(word.len().min(1));
        if !number.is_empty() && number.parse() != Ok(arguments) {
            continue;
        }
        match kind {
            "v" => return Some(Function::Volatile),
            "r" => return Some(Function::Refused),
            "t" => return Some(Function::TextSearch),
            "?" => return Some(Function::Depends),
            "w" => return Some(Function::Window),
            _ => {}
        }
    }
    Some(Function::Accepted)
}

/// Whether a function of pg_catalog returns a set.
pub fn returns_set(name: &str) -> bool {
    BUILTIN.get(name).is_some_and(|known| known.ends_with('*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_functions() {
        assert_eq!(function("now", 0), Some(Function::Refused));
        assert_eq!(function("age", 1), Some(Function::Refused));
        assert_eq!(function("age", 2), Some(Function::Accepted));
        assert_eq!(function("random", 0), Some(Function::Volatile));
        assert_eq!(function("rank", 0), Some(Function::Window));
        assert_eq!(function("to_tsvector", 1), Some(Function::TextSearch));
        assert_eq!(function("no_such_function", 0), None);
        assert!(returns_set("unnest") && !returns_set("lower"));
    }

    #[test]
    fn folding_depends_on_the_type() {
        let Some(Function::Aggregate(sum)) = function("sum", 1) else { panic!("sum is an aggregate") };
        assert_eq!(sum.with(Some("numeric")), Some(true));
        assert_eq!(sum.with(Some("real")), Some(false));
        assert_eq!(sum.with(None), None);
    }
}
