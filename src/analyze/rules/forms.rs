//! SQL of a flush in two forms, one for few rows and one for many.
//!
//! Invariant: both give the same rows; which is cheaper is the planner's business (refresh/follow/choice.rs).
//! Made by analysis, run by refresh.

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forms {
    /// For each changed row or key on its own: the rows it is joined to are looked up, whatever the planner thinks of joins.
    pub by_key: String,
    /// The planner may join the changed rows or keys to the rest in any way.
    pub at_once: String,
}

impl Forms {
    /// SQL that the planner can be left alone with.
    pub fn plain(text: String) -> Forms {
        Forms { by_key: text.clone(), at_once: text }
    }

    pub fn is_plain(&self) -> bool {
        self.by_key == self.at_once
    }

    /// All rows of some queries; None for none.
    pub fn union_all(parts: &[Forms]) -> Option<Forms> {
        let all = |text: fn(&Forms) -> &String| {
            let texts: Vec<String> = parts.iter().map(|p| text(p).clone()).collect();
            crate::analyze::rules::forms::union_all(&texts)
        };
        (!parts.is_empty()).then(|| Forms { by_key: all(|t| &t.by_key), at_once: all(|t| &t.at_once) })
    }

    /// Both forms changed in the same way.
    pub fn map(&self, f: impl Fn(&str) -> String) -> Forms {
        Forms { by_key: f(&self.by_key), at_once: f(&self.at_once) }
    }
}

/// All rows of some queries, which may have WITH clauses.
pub fn union_all(selects: &[String]) -> String {
    match selects {
        [one] => one.clone(),
        many => many.iter().map(|s| format!("({s})")).collect::<Vec<_>>().join(" UNION ALL "),
    }
}
