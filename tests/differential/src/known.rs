//! What the extension does not hold and says so, so that a run looks for what is new.
//! Invariant: every entry names the place in the documentation that has the limit; it is removed together with it. Called by `main`.

use crate::run::Failure;

/// How a known failure is counted; nothing when it is a new one.
pub fn known(failure: &Failure) -> Option<&'static str> {
    let kind = failure.kind.as_str();
    let has = |part: &str| failure.detail.contains(part);
    // docs/concepts.md, Consistency: a statement that is two runs the triggers of the first before its second is captured
    if kind == "difference within a statement"
        && has("_reads_")
        && ["MERGE", "ON CONFLICT", "WITH "].iter().any(|w| has(w))
    {
        return Some("read by a trigger of a statement that is two");
    }
    None
}
