//! The figures of a run, as a row of the table in docs/internals/verification.md.
//! Invariant: the columns are the columns of that table. Called by `sequential`.

use super::{Totals, save};
use std::path::Path;

/// Writes them to a file.
pub fn summary(out: &Path, version: &str, seed: u64, seconds: f64, cases: u64, totals: &Totals) {
    let known: u64 = totals.known.values().map(|(n, _)| n).sum();
    let minutes = seconds / 60.0;
    let text = format!(
        "| server | seed | minutes | cases | TVIEWs | transactions | comparisons | failures | known limits |\n|---|---|---|---|---|---|---|---|---|\n\
         | {version} | {seed} | {minutes:.0} | {cases} | {} | {} | {} | {} | {known} |\n",
        totals.created, totals.transactions, totals.comparisons, totals.failed
    );
    save(out, &format!("run-{version}-{seed}.md"), &text, "figures in");
}
