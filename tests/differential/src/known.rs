//! What the extension is known not to hold yet, so that a run looks for what is new.
//! Invariant: every line says what is wrong; it is removed together with the mistake. Called by `main`.

use crate::run::Failure;

/// Failures by kind, by a part of their text, and by a part of the script.
const FAILURES: &[(&str, &str, &str)] = &[
    // reading a TVIEW whose query has no answer at that moment: the query would fail too, which the test does not try
    ("error 21000 only with TVIEWs", "", ""),
    // a statement that is two (MERGE, ON CONFLICT, data-modifying CTEs) runs a trigger of the first before its second is captured
    ("difference within a statement", "_reads_", ""),
    // arguments are computed before FILTER, and for old rows of one table with new rows of another
    ("error 22012 only with TVIEWs", "flush of TVIEW", ""),
    ("error 22003 only with TVIEWs", "flush of TVIEW", ""),
    // a flush within a statement by a row trigger
    ("difference", "", "FOR EACH ROW EXECUTE FUNCTION zzz_reads"),
    ("difference", "", "FOR EACH ROW EXECUTE FUNCTION AAA_reads"),
];

/// How a known failure is counted; nothing when it is a new one.
pub fn known(failure: &Failure, script: &[String]) -> Option<String> {
    let is = |(kind, text, line): &&(&str, &str, &str)| {
        failure.kind.starts_with(kind)
            && failure.detail.contains(text)
            && (line.is_empty() || script.iter().any(|l| l.contains(line)))
    };
    FAILURES.iter().find(is).map(|(kind, _, line)| [*kind, *line].join(" ").trim_end().to_string())
}
