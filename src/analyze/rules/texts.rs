//! SQL of a flush in two forms, one for few rows and one for many.
//!
//! Invariant: both give the same rows; which is cheaper is the planner's business (refresh/follow/choice.rs).
//! Made by analysis, run by refresh.

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Texts {
    /// For each changed row or key on its own: its rows are looked up, whatever the planner thinks of joins.
    pub by_key: String,
    /// The planner may join the changed rows or keys to the rest in any way.
    pub at_once: String,
}

impl Texts {
    /// SQL that the planner can be left alone with.
    pub fn plain(text: String) -> Texts {
        Texts { by_key: text.clone(), at_once: text }
    }

    pub fn is_plain(&self) -> bool {
        self.by_key == self.at_once
    }

    /// All rows of some queries; None for none.
    pub fn union_all(parts: &[Texts]) -> Option<Texts> {
        let all = |text: fn(&Texts) -> &String| {
            let texts: Vec<String> = parts.iter().map(|p| text(p).clone()).collect();
            crate::analyze::rules::texts::union_all(&texts)
        };
        (!parts.is_empty()).then(|| Texts { by_key: all(|t| &t.by_key), at_once: all(|t| &t.at_once) })
    }

    /// Both forms changed in the same way.
    pub fn map(&self, f: impl Fn(&str) -> String) -> Texts {
        Texts { by_key: f(&self.by_key), at_once: f(&self.at_once) }
    }
}

/// All rows of some queries, which may have WITH clauses.
pub fn union_all(selects: &[String]) -> String {
    match selects {
        [one] => one.clone(),
        many => many.iter().map(|s| format!("({s})")).collect::<Vec<_>>().join(" UNION ALL "),
    }
}
