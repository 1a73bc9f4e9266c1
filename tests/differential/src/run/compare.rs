//! Comparison of all TVIEWs with their queries, by the session that compares.
//! Invariant: it has no pending changes, so that a comparison repairs nothing. Called after every transaction, and before the commit of some.

use super::judge::SUSPICIOUS;
use super::{Failure, Hat, Run};
use crate::oracle::comparison;
use crate::properties::Property;
use crate::server::{describe, rows, state};
use anyhow::Result;

/// What came of a refresh.
pub(super) enum Refreshed {
    Done,
    NotNow,
    Failed(Failure),
}

impl Run<'_> {
    pub(super) fn compare_all(&mut self, property: Property) -> Result<Option<Failure>> {
        if self.mode.without_tviews {
            return Ok(None);
        }
        let before = self.out.clock.to("comparing");
        if self.mode.baseline {
            self.refresh_all()?;
        }
        for view in 0..self.case.views.len() {
            if self.live[view] && self.case.views[view].is_tview {
                if self.case.views[view].is_deferred() && !self.mode.baseline {
                    // Several transactions, now and then, and what a refresh does is not committed before.
                    if property != Property::Contents || !(self.at.wrapping_add(view)).is_multiple_of(3) {
                        continue;
                    }
                    match self.refresh(view)? {
                        Refreshed::Failed(f) => return Ok(Some(f)),
                        Refreshed::NotNow => continue,
                        Refreshed::Done => {}
                    }
                }
                let compared = self.query_text(view, false).and_then(|text| {
                    let sql = comparison(&self.case.views[view], &text);
                    rows(&mut self.session.checker, &sql).map(|rows| (sql, rows))
                });
                self.out.comparisons += 1;
                self.out.checks.add(property);
                let place = if property == Property::Atomic { " (seen by another session before COMMIT)" } else { "" };
                match compared {
                    Err(e) => {
                        let name = &self.case.views[view].name;
                        let text = format!("after the transaction, comparing {name}{place}: {}", describe(&e));
                        let kind = match state(&e).as_str() {
                            "57014" => format!("{SUSPICIOUS}57014"),
                            code => format!("comparison fails with {code}"),
                        };
                        return Ok(self.fail(kind, text));
                    }
                    Ok((sql, rows)) if !rows.is_empty() => return Ok(self.difference(view, place, sql, rows)),
                    Ok(_) => {}
                }
                if let Some(f) = self.representatives(view)? {
                    return Ok(Some(f));
                }
            }
        }
        self.out.clock.to(before);
        Ok(None)
    }

    /// Brings a deferred TVIEW up to date. An error of its query, or of the query of a TVIEW that is refreshed with it and that the error names, is that query's own; then it
    /// stays as it is.
    pub(super) fn refresh(&mut self, view: usize) -> Result<Refreshed> {
        self.wear(Hat::Admin)?;
        let sql = format!("REFRESH MATERIALIZED VIEW {}", self.case.views[view].name);
        let Err(e) = self.sql(&sql) else { return Ok(Refreshed::Done) };
        let code = state(&e);
        let told = describe(&e);
        let is_named = |other: usize| self.live[other] && told.contains(&format!(".{}", self.case.views[other].name));
        let concerned: Vec<usize> =
            (0..self.case.views.len()).filter(|other| *other == view || is_named(*other)).collect();
        if code.starts_with("21") || code.starts_with("22") {
            for of in concerned {
                let sql = format!("SELECT md5(string_agg(q::text, '')) FROM ({}) AS q", self.query_text(of, false)?);
                if rows(&mut self.session.checker, &sql).is_err_and(|e| state(&e) == code) {
                    self.out.errors.add(format!("{code} (not refreshed)"));
                    return Ok(Refreshed::NotNow);
                }
            }
        }
        Ok(self.fail(format!("REFRESH fails with {code}"), told).map_or(Refreshed::NotNow, Refreshed::Failed))
    }

    /// Of several equal values, a group shows a value that is there.
    fn representatives(&mut self, view: usize) -> Result<Option<Failure>> {
        let v = &self.case.views[view];
        if self.texts.is_some() {
            return Ok(None);
        }
        for column in v.query.columns.iter().filter(|c| c.fuzzy) {
            let Some((t, c)) = column.origin else {
                continue;
            };
            let table = &self.case.schema.tables[t];
            let text = |name: &str| format!("{name}::text COLLATE \"C\"");
            let sql = format!(
                "SELECT {} FROM {} WHERE {} IS NOT NULL EXCEPT SELECT {} FROM {}",
                text(&column.name),
                v.name,
                column.name,
                text(&table.columns[c].name),
                table.name
            );
            let rows = rows(&mut self.session.checker, &sql)?;
            if !rows.is_empty() {
                return Ok(self.difference(view, " of representatives", sql, rows));
            }
        }
        Ok(None)
    }

    pub(super) fn difference(&mut self, view: usize, place: &str, sql: String, rows: Vec<String>) -> Option<Failure> {
        self.log(&sql);
        let shown: Vec<String> = rows.iter().take(20).cloned().collect();
        self.fail(
            format!("difference{place}"),
            format!("{}{place}: {} rows differ\n{}", self.case.views[view].name, rows.len(), shown.join("\n")),
        )
    }

    pub(super) fn refresh_all(&mut self) -> Result<(), postgres::Error> {
        self.wear(Hat::Admin)?;
        for (view, v) in self.case.views.iter().enumerate() {
            if self.live[view] && v.is_tview {
                self.session.client.batch_execute(&format!("REFRESH MATERIALIZED VIEW {}", v.name))?;
            }
        }
        Ok(())
    }
}
