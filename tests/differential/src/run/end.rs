//! The end of a case: fresh builds, verification by the extension itself, DROP.
//! Invariant of the extension: nothing is left of dropped TVIEWs. Called by `whole`.

use super::compare::Refreshed;
use super::{Failure, Hat, Run};
use crate::oracle;
use crate::properties::Property;
use crate::server::{SCHEMA, describe, rows, state};
use anyhow::Result;

impl Run<'_> {
    pub(super) fn end(&mut self) -> Result<Option<Failure>> {
        self.at = self.case.transactions.len();
        if self.mode.without_tviews {
            return Ok(None);
        }
        self.wear(Hat::Admin)?;
        self.take_fingerprints()?;
        if self.mode.baseline {
            return Ok(None);
        }
        let used = rows(
            &mut self.session.client,
            "SELECT CASE s.strategy WHEN 'full' THEN 'full: ' || s.reason ELSE s.strategy END FROM tviews.tviews AS t, tviews.strategies(format('%I.%I', t.schema, t.name)::regclass) AS s",
        )?;
        used.into_iter().for_each(|strategy| self.out.strategies.add(strategy));
        for view in 0..self.case.views.len() {
            if !self.live[view] || !self.case.views[view].is_tview {
                continue;
            }
            if self.case.views[view].is_deferred() {
                match self.refresh(view)? {
                    Refreshed::Failed(f) => return Ok(Some(f)),
                    Refreshed::NotNow => continue,
                    Refreshed::Done => {}
                }
            }
            if !self.builds(view)? {
                continue;
            }
            if let Some(f) = self.fresh_build(view)? {
                return Ok(Some(f));
            }
            if let Some(f) = self.verified(view)? {
                return Ok(Some(f));
            }
        }
        self.nothing_left()
    }

    fn take_fingerprints(&mut self) -> Result<()> {
        let client = &mut self.session.client;
        let tables = rows(
            client,
            &format!(
                "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = '{SCHEMA}'::regnamespace AND relkind = 'r' ORDER BY relname"
            ),
        )?;
        let mut base = oracle::fingerprint(client, &tables)?;
        base.extend(rows(client, &format!("SELECT proname, prosrc FROM pg_proc WHERE pronamespace = '{SCHEMA}'::regnamespace AND proname IN ('shade', 'tint') ORDER BY 1"))?);
        let mut shown = vec![];
        for (v, live) in self.case.views.iter().zip(&self.live) {
            if *live && v.is_tview {
                shown.extend(oracle::view_fingerprint(client, v)?);
            }
        }
        self.out.fingerprints = Some((base, shown));
        Ok(())
    }

    /// Makes an ordinary materialized view of the query; false when that fails because of an expression that some plans
    /// compute and others do not (21000, 22012 …), which has nothing to do with TVIEWs.
    fn builds(&mut self, view: usize) -> Result<bool> {
        let text = self.query_text(view, false)?;
        self.wear(Hat::Owner)?;
        match self.sql(&format!("CREATE MATERIALIZED VIEW fuzz_fresh AS {text}")) {
            Ok(_) => Ok(true),
            Err(e) if state(&e).starts_with("21") || state(&e).starts_with("22") => {
                self.out.errors.add(state(&e));
                self.wear(Hat::Admin)?;
                Ok(false)
            }
            Err(e) => Err(e.into()),
        }
    }

    /// The same as that materialized view; and a rebuild finds nothing to write, state included.
    fn fresh_build(&mut self, view: usize) -> Result<Option<Failure>> {
        let v = &self.case.views[view];
        let sql = oracle::against("", v, &format!("{} AS s", v.name), "fuzz_fresh AS w");
        let rows = rows(&mut self.session.client, &sql)?;
        self.sql("DROP MATERIALIZED VIEW fuzz_fresh")?;
        self.wear(Hat::Admin)?;
        if !rows.is_empty() {
            return Ok(self.difference(view, " from a fresh build", sql, rows));
        }
        // under another mode, state is not kept up
        let before = oracle::places(&mut self.session.client, v)?;
        self.sql(&format!("SELECT tviews.rebuild('{}')", v.name))?;
        let after = oracle::places(&mut self.session.client, v)?;
        let mode_changed = self.out.script.iter().any(|sql| sql.contains("(mode"));
        // sums of floating-point numbers are others after a change
        let drifts = v.options.contains(&"approximate");
        if before != after && !mode_changed && !drifts && v.query.columns.iter().all(|c| !c.fuzzy) {
            let detail = format!("{}\nbefore: {before:?}\nafter: {after:?}", v.name);
            return Ok(self.fail("a rebuild writes rows of an exact TVIEW", detail));
        }
        self.out.checks.add(Property::FreshBuild);
        Ok(None)
    }

    fn verified(&mut self, view: usize) -> Result<Option<Failure>> {
        let v = &self.case.views[view];
        if v.query.columns.iter().any(|c| c.fuzzy) {
            return Ok(None);
        }
        let sql = format!("SELECT missing, extra, ok FROM tviews.verify('{}')", v.name);
        self.log(&sql);
        Ok(match rows(&mut self.session.client, &sql) {
            Ok(rows) if rows.iter().all(|r| r.ends_with(" t")) && !rows.is_empty() => None,
            Ok(rows) => self.fail("tviews.verify says no", format!("{}: {rows:?}", v.name)),
            Err(e) => self.fail(format!("tviews.verify fails with {}", state(&e)), describe(&e)),
        })
    }

    fn nothing_left(&mut self) -> Result<Option<Failure>> {
        for view in (0..self.case.views.len()).rev() {
            if self.live[view] {
                let sql = self.case.views[view].drop(self.mode);
                if let Err(e) = self.sql(&sql) {
                    return Ok(self.fail(format!("DROP fails with {}", state(&e)), describe(&e)));
                }
            }
        }
        let left = format!(
            "SELECT tgrelid::regclass || ' ' || tgname FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid WHERE relnamespace = '{SCHEMA}'::regnamespace AND tgconstraint = 0 AND tgname <> 'trg' AND tgname NOT LIKE '%\\_reads\\_%'"
        );
        self.log(&left);
        let rows = rows(&mut self.session.client, &left)?;
        if !rows.is_empty() {
            return Ok(self.fail("triggers left behind", rows.join("\n")));
        }
        Ok(None)
    }
}
