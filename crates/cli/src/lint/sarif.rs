//! What lint says, as SARIF 2.1.0, which code reviews show beside the lines.
//!
//! Invariant: each result names a rule of the list, a file as it was given, and a line. Called by lint.

use super::View;
use serde_json::{Value, json};

const RULES: [(&str, &str); 4] = [
    ("refused", "The query cannot be maintained as a TVIEW."),
    ("full", "A change of the table recomputes the whole query."),
    ("missing-index", "A changed row finds its partners by reading a whole table."),
    ("guessed", "The files do not tell; a server would know."),
];

pub fn of(views: &[View]) -> Value {
    let rules: Vec<Value> =
        RULES.iter().map(|(id, text)| json!({"id": id, "shortDescription": {"text": text}})).collect();
    let results: Vec<Value> = views.iter().flat_map(results).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "tviews lint", "version": env!("CARGO_PKG_VERSION"), "rules": rules}},
            "results": results,
        }],
    })
}

fn results(view: &View) -> Vec<Value> {
    let result = |rule: &str, level: &str, text: String, line: usize, column: usize| {
        json!({
            "ruleId": rule,
            "level": level,
            "message": {"text": text},
            "locations": [{"physicalLocation": {
                "artifactLocation": {"uri": view.file},
                "region": {"startLine": line, "startColumn": column},
            }}],
        })
    };
    let mut found = Vec::new();
    for refused in &view.refused {
        found.push(result(
            "refused",
            "error",
            format!("{}: {}. {}", view.name, refused.message, refused.hint),
            refused.line,
            refused.column,
        ));
    }
    for table in &view.tables {
        let hint = table.hint.as_deref().unwrap_or_default();
        if table.strategy == "full" {
            let text =
                format!("{}: a change of {} recomputes it: {}. {hint}", view.name, table.base_table, table.reason);
            found.push(result("full", "warning", text.trim_end().into(), view.line, view.column));
        } else if !hint.is_empty() {
            found.push(result("missing-index", "note", format!("{}: {hint}", view.name), view.line, view.column));
        }
    }
    for doubt in &view.doubts {
        found.push(result("guessed", "none", format!("{}: {doubt}", view.name), view.line, view.column));
    }
    found
}
