//! The end of a case: verification by the extension itself, then nothing may be left of the TVIEWs. Called by `whole`.

use super::session::{describe, state, SCHEMA};
use super::{Failure, Run};
use crate::oracle;
use anyhow::Result;

impl Run<'_> {
    /// Verification by the extension itself, then nothing may be left of the TVIEWs.
    pub(super) fn end(&mut self) -> Result<Option<Failure>> {
        self.at = self.case.transactions.len();
        if self.mode.without_tviews {
            return Ok(None);
        }
        let mut tables: Vec<String> = oracle::rows(&mut self.session.checker, &format!("SELECT oid::regclass::text FROM pg_class WHERE relnamespace = '{SCHEMA}'::regnamespace AND relkind = 'r' ORDER BY relname"))?;
        let base = oracle::fingerprint(&mut self.session.checker, &tables)?;
        tables = self
            .case
            .views
            .iter()
            .zip(&self.live)
            .filter(|(v, live)| **live && v.is_tview && !v.query.columns.iter().any(|c| c.fuzzy))
            .map(|(v, _)| v.name.clone())
            .collect();
        let shown = oracle::fingerprint(&mut self.session.checker, &tables)?;
        self.out.fingerprints = Some((base, shown));
        if self.mode.baseline {
            return Ok(None);
        }
        let used = oracle::rows(
            &mut self.session.checker,
            "SELECT s.value FROM tviews.tviews, jsonb_each_text(strategies::jsonb) AS s",
        )?;
        for strategy in used {
            *self.out.strategies.entry(strategy).or_default() += 1;
        }
        for view in 0..self.case.views.len() {
            let v = &self.case.views[view];
            if !self.live[view] || !v.is_tview || v.query.columns.iter().any(|c| c.fuzzy) {
                continue;
            }
            let sql = format!("SELECT missing, extra, ok FROM tviews.verify('{}')", v.name);
            self.log(&sql);
            match oracle::rows(&mut self.session.client, &sql) {
                Ok(rows) if rows.iter().all(|r| r.ends_with(" t")) && !rows.is_empty() => {}
                Ok(rows) => return Ok(self.fail("tviews.verify says no", format!("{}: {rows:?}", v.name))),
                Err(e) => return Ok(self.fail(format!("tviews.verify fails with {}", state(&e)), describe(&e))),
            }
        }
        for view in (0..self.case.views.len()).rev() {
            if self.live[view] {
                let sql = self.case.views[view].drop(false);
                if let Err(e) = self.sql(&sql) {
                    return Ok(self.fail(format!("DROP fails with {}", state(&e)), describe(&e)));
                }
            }
        }
        let left = format!(
            "SELECT tgrelid::regclass || ' ' || tgname FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid WHERE relnamespace = '{SCHEMA}'::regnamespace AND tgconstraint = 0 AND tgname <> 'trg'"
        );
        self.log(&left);
        let rows = oracle::rows(&mut self.session.client, &left)?;
        if !rows.is_empty() {
            return Ok(self.fail("triggers left behind", rows.join("\n")));
        }
        Ok(None)
    }
}
