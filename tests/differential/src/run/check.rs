//! Comparison of all TVIEWs with their queries, from the second session. Called after every transaction.

use super::session::{describe, state};
use super::{Failure, Run};
use crate::oracle::{self, comparison};
use anyhow::Result;

impl Run<'_> {
    pub(super) fn places(&mut self) -> Result<Vec<(String, Vec<String>)>> {
        if self.mode.baseline {
            return Ok(vec![]);
        }
        let mut all = vec![];
        for (view, v) in self.case.views.iter().enumerate() {
            if self.live[view] && v.is_tview && !v.query.columns.iter().any(|c| c.fuzzy) {
                all.push((v.name.clone(), oracle::places(&mut self.session.checker, &v.name)?));
            }
        }
        Ok(all)
    }

    pub(super) fn check_all(&mut self) -> Result<Option<Failure>> {
        if self.mode.without_tviews {
            return Ok(None);
        }
        if self.mode.baseline {
            self.refresh_all()?;
        }
        for view in 0..self.case.views.len() {
            if self.live[view] && self.case.views[view].is_tview {
                let compared = self.query_text(view, false).and_then(|text| {
                    let sql = comparison(&self.case.views[view], &text);
                    oracle::rows(&mut self.session.checker, &sql).map(|rows| (sql, rows))
                });
                self.out.comparisons += 1;
                match compared {
                    Err(e) => {
                        let text = format!(
                            "after the transaction, comparing {}: {}",
                            self.case.views[view].name,
                            describe(&e)
                        );
                        return Ok(self.fail(format!("comparison fails with {}", state(&e)), text));
                    }
                    Ok((sql, rows)) if !rows.is_empty() => return Ok(self.difference(view, "", sql, rows)),
                    Ok(_) => {}
                }
            }
        }
        Ok(None)
    }

    pub(super) fn difference(&mut self, view: usize, place: &str, sql: String, rows: Vec<String>) -> Option<Failure> {
        self.log(&sql);
        let shown: Vec<String> = rows.iter().take(20).cloned().collect();
        self.fail(
            "difference",
            format!("{}{place}: {} rows differ\n{}", self.case.views[view].name, rows.len(), shown.join("\n")),
        )
    }

    pub(super) fn refresh_all(&mut self) -> Result<(), postgres::Error> {
        for (view, v) in self.case.views.iter().enumerate() {
            if self.live[view] && v.is_tview {
                self.session.client.batch_execute(&format!("REFRESH MATERIALIZED VIEW {}", v.name))?;
            }
        }
        Ok(())
    }
}
