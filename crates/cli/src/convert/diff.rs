//! What changes in a file, as a unified diff that `patch` takes.
//!
//! Invariant: applied to the old text it gives the new one. Called by convert.

use similar::TextDiff;
use std::path::Path;

pub fn unified(path: &Path, old: &str, new: &str) -> String {
    let name = path.display().to_string();
    TextDiff::from_lines(old, new).unified_diff().context_radius(3).header(&name, &name).to_string()
}
