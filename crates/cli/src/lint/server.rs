//! The same by a server, which knows what files do not tell: `tviews.check` of each query.
//!
//! Invariant: nothing is created there; an error of the server is what it says about that view, and the others go on. Called by lint.

use super::{Row, Said, View, defined, new_view};
use crate::script::{Script, tree};
use crate::server;
use anyhow::Result;

pub fn views(scripts: &[Script], dsn: &str) -> Result<Vec<View>> {
    let mut client = server::connect_extension(dsn)?;
    let mut found = Vec::new();
    for defined in defined(scripts) {
        let mut view = new_view(&defined);
        let statement = &defined.script.statements[defined.statement];
        let text = defined.script.text_of(statement);
        let Some((start, end)) = statement.tree.as_ref().ok().and_then(|t| tree::query_of(t, text)) else { continue };
        match client
            .query("SELECT base_table::text, strategy, reason, hint FROM tviews.check($1)", &[&&text[start..end]])
        {
            Ok(rows) => {
                let row = |r: postgres::Row| Row {
                    base_table: r.get(0),
                    strategy: r.get(1),
                    reason: r.get(2),
                    hint: r.get(3),
                };
                view.tables = rows.into_iter().map(row).collect();
            }
            Err(error) => {
                let Some(said) = error.as_db_error() else { return Err(server::sentence(error)) };
                view.refused.push(Said {
                    message: said.message().into(),
                    hint: said.hint().unwrap_or_default().into(),
                    line: view.line,
                    column: view.column,
                });
            }
        }
        found.push(view);
    }
    Ok(found)
}
