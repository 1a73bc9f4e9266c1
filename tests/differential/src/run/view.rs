//! Creation of the views of a case; one whose query is not legal, or is refused, is left out of it.
//! Invariant: a TVIEW that was created has the columns of its query. Called by `whole` and for `Act::Create`.

use super::session::{describe, state};
use super::{Failure, Run};
use crate::oracle;
use anyhow::Result;

impl Run<'_> {
    /// Creates a view, unless its query is not legal or is refused.
    pub(super) fn create(&mut self, view: usize) -> Result<Option<Failure>> {
        let v = &self.case.views[view];
        if self.mode.without_tviews {
            // plain views are part of nothing that is written
            return Ok(None);
        }
        let inside = self.at != 0 || !self.out.script.iter().all(|s| !s.starts_with("BEGIN"));
        if inside {
            self.session.client.batch_execute("SAVEPOINT creation")?;
        }
        let probe = self.session.client.batch_execute(&format!("SELECT * FROM ({}) AS probe", v.query.sql));
        if let Err(e) = probe {
            self.out.illegal += 1;
            if self.mode.verbose || (state(&e) != "42P01" && std::env::var_os("SHOW_ILLEGAL").is_some()) {
                println!("-- not legal: {}\n--   {}", describe(&e), v.query.sql);
            }
            if state(&e) == "closed" || state(&e).starts_with("XX") {
                return Ok(
                    self.fail(format!("plain query {}", state(&e)), format!("{}\n{}", v.query.sql, describe(&e)))
                );
            }
            if inside {
                self.session.client.batch_execute("ROLLBACK TO creation")?;
            }
            return Ok(None);
        }
        if inside {
            self.session.client.batch_execute("RELEASE creation; SAVEPOINT creation")?;
        }
        let sql = v.create(self.mode.baseline);
        if let Err(e) = self.sql(&sql) {
            let code = state(&e);
            if code == "0A000" && v.is_tview {
                self.out.refused += 1;
                let message = e.as_db_error().map(|d| d.message().to_string()).unwrap_or_default();
                *self.out.refusals.entry(message).or_default() += 1;
                if inside {
                    self.session.client.batch_execute("ROLLBACK TO creation")?;
                }
                return Ok(None);
            }
            return Ok(self.fail(format!("CREATE fails with {code}"), format!("{sql}\n{}", describe(&e))));
        }
        self.live[view] = true;
        self.out.created += u64::from(v.is_tview);
        if v.is_tview {
            for hazard in v.facts.hazards.iter().copied() {
                self.out.counts.add(hazard);
            }
            if !inside {
                return self.same_columns(view);
            }
        }
        Ok(None)
    }

    /// Names and types of the columns are those of the query.
    pub(super) fn same_columns(&mut self, view: usize) -> Result<Option<Failure>> {
        let v = &self.case.views[view];
        let mut shape = |sql: String| -> Result<Vec<(String, u32)>> {
            let s = self.session.client.prepare(&sql)?;
            Ok(s.columns().iter().map(|c| (c.name().to_string(), c.type_().oid())).collect())
        };
        let stored = shape(format!("SELECT * FROM {}", v.name));
        let wanted = shape(v.query.sql.clone())?;
        match stored {
            Ok(stored) if stored == wanted => Ok(None),
            Ok(stored) => Ok(self.fail("columns differ", format!("{stored:?}\ninstead of\n{wanted:?}"))),
            Err(e) => Ok(self.fail("cannot read", e.to_string())),
        }
    }

    pub(super) fn query_text(&mut self, view: usize, inside: bool) -> Result<String, postgres::Error> {
        let name = &self.case.views[view].name;
        match &self.texts {
            None => Ok(self.case.views[view].query.sql.clone()),
            Some(texts) => match texts.get(view).cloned().flatten() {
                Some(text) => Ok(text),
                None => {
                    let client = if inside { &mut self.session.client } else { &mut self.session.checker };
                    let text = oracle::rows(client, &format!("SELECT rtrim(pg_get_viewdef('{name}'::regclass), ';')"))?
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
