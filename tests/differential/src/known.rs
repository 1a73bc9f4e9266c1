//! Limits of the extension that its documentation states, so that a run looks for new failures.
//! Invariant: every entry names the place in the documentation that has the limit; it is removed together with it.
//! Called by `sequential` and `concurrent`.

use crate::run::Failure;

/// How a known failure is counted; nothing when it is a new one.
pub fn known(failure: &Failure, script: &[String]) -> Option<&'static str> {
    let kind = failure.kind.as_str();
    let has = |part: &str| failure.detail.contains(part);
    let cascades = || script.iter().any(|l| l.contains(" ON DELETE ") || l.contains(" ON UPDATE "));
    let several = || ["MERGE", "ON CONFLICT", "WITH ", "function trg()"].iter().any(|w| has(w)) || cascades();
    // docs/concepts.md, Consistency: a statement that is two runs the triggers of the first before its second is captured, and so does a statement
    // that another one's row trigger runs
    if kind == "difference within a statement" && has("_reads_") && several() {
        return Some("read by a trigger of a statement that is two");
    }
    // docs/reference/supported-sql.md, Stages: what the rest of the query leaves out is computed, and may have no value
    let follows = ["error 21000 only with TVIEWs", "REFRESH fails with 21000"].contains(&kind);
    if (follows && has("flush of TVIEW")) || kind == "CREATE fails with 21000" {
        return Some("sub-query of more than one row in what the query leaves out");
    }
    // the same place: a stage computes a sub-query that PostgreSQL, with nothing to join it to, does not
    if kind == "error 22012 only with TVIEWs" && (has("context: stage ") || has("\nstage ")) {
        return Some("division by zero in what the query leaves out");
    }
    // docs/reference/errors.md, 40001: processes that read WAL and refresh write, too
    if kind == "error 40001 without another writer" && has("committed after this transaction's snapshot") {
        return Some("a process of the extension has committed behind a kept snapshot");
    }
    // docs/reference/supported-sql.md, Stages: an expression that no result depends on fails the query, but is not computed for the TVIEW
    if kind == "comparison fails with 21000" && script.iter().any(|l| l.contains("WITH ")) {
        return Some("sub-query of more than one row in what nothing reads");
    }
    None
}
