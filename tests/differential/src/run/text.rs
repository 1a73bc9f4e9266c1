//! The text of a view's query: as it was written, until a definition has changed, and from then on as the server prints it.
//! Invariant: a comparison uses the query with the names that tables and columns have now. Called by everything that compares.

use super::{Hat, Run};
use crate::server::rows;

impl Run<'_> {
    pub(super) fn query_text(&mut self, view: usize, inside: bool) -> Result<String, postgres::Error> {
        let name = self.case.views[view].name.clone();
        match &self.texts {
            None => Ok(self.case.views[view].query.sql.clone()),
            Some(texts) => match texts.get(view).cloned().flatten() {
                Some(text) => Ok(text),
                // The server's text of these is another query, or none: nothing is left to compare with.
                None if self.case.views[view].facts.no_text => Ok(format!("SELECT * FROM {name}")),
                None => {
                    // printed under the settings that it is run with
                    self.wear(Hat::Admin)?;
                    let client = if inside { &mut self.session.client } else { &mut self.session.checker };
                    let text = rows(client, &format!("SELECT rtrim(pg_get_viewdef('{name}'::regclass), ';')"))?
                        .pop()
                        .unwrap_or_default();
                    if let Some(texts) = self.texts.as_mut().filter(|_| !inside) {
                        texts[view] = Some(text.clone());
                    }
                    Ok(text)
                }
            },
        }
    }
}
