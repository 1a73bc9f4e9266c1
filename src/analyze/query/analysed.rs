//! The analysed query of a text that analysis has made.

use crate::analyze::query::operators;
use crate::analyze::query::tree::outputs;
use crate::pg::error::{Error, Result};
use crate::pg::pinned::Path;
use crate::pg::tree::{Query, Text, parser};
use std::ffi::CString;

/// The query of a text, with the output names of the query that the text is made from.
pub fn analysed(query: Query, text: String) -> Result<Query> {
    let text = CString::new(text).map_err(|_| Error::Internal("NUL byte in SQL text".into()))?;
    let text = Text::of(&text);
    // Names are qualified; operators that cannot be are found by this path.
    let _path = Path::new(&operators::search_path(query));
    let made = parser::analyse(text);
    let mut names = outputs(query).into_iter().map(|t| t.resname());
    for tle in outputs(made) {
        if let Some(label) = names.next() {
            tle.set_resname(label);
        }
    }
    Ok(made)
}
