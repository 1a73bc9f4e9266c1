//! The course of a case: its tables, its views, its transactions with the checks around each, its end.
//! Invariant: a hazard of the conditions is counted only when transactions run. Called by `run`.

use super::{Failure, Hat, Run};
use crate::case::Transaction;
use crate::hazards::Hazard;
use crate::properties::Property;
use crate::server::{describe, rows, settings, state};
use anyhow::Result;

impl Run<'_> {
    /// From the tables to the end; a failure, if there is one.
    pub(super) fn whole(&mut self) -> Result<Option<Failure>> {
        let case = self.case;
        if let Some(f) = self.setup() {
            return Ok(Some(f));
        }
        if case.conditions.owner {
            self.session.checker.batch_execute("SET ROLE fuzz_owner")?;
        }
        for view in 0..case.views.len() {
            if case.views[view].late {
                continue;
            }
            self.out.clock.to("creating TVIEWs");
            if let Some(f) = self.create(view)? {
                return Ok(Some(f));
            }
        }
        if !self.live.iter().zip(&case.views).any(|(l, v)| *l && v.is_tview) && !case.views.iter().any(|v| v.late) {
            return Ok(None);
        }
        self.out.clock.to("waiting for WAL");
        self.leave_to_wal()?;
        if let Some(f) = self.compare_all(Property::Contents)? {
            return Ok(Some(f));
        }
        if case.watched && !self.mode.without_tviews {
            self.analyze_stored()?;
        }
        self.count_conditions();
        self.count_documents()?;
        for (index, transaction) in case.transactions.iter().enumerate() {
            self.at = index;
            if let Some(f) = self.observed(transaction)? {
                return Ok(Some(f));
            }
        }
        self.out.clock.to("ends");
        self.end()
    }

    /// Tables, rows, triggers and roles.
    fn setup(&mut self) -> Option<Failure> {
        let case = self.case;
        let mut statements = case.ddl.clone();
        if !case.rows.is_empty() {
            statements.push(case.rows.join(";\n"));
        }
        if case.watched {
            // plans as on a server that knows its tables, and none of them is given up for recomputing everything
            let names: Vec<&str> = case.schema.tables.iter().map(|t| t.name.as_str()).collect();
            statements.push(format!("ANALYZE {}", names.join(", ")));
            statements.push("SET pg_tviews.full_refresh_threshold = 1".into());
        }
        if case.conditions.sql_only {
            statements.push("SET pg_tviews.nested_loops = off".into());
        }
        if case.conditions.whole_rows {
            statements.push("SET pg_tviews.partial_rows = off".into());
        }
        statements.extend(case.triggers.clone());
        statements.extend(case.conditions.setup(&case.schema));
        if case.conditions.odd_settings {
            statements.push(settings::DECOY.into());
        }
        for sql in statements {
            if let Err(e) = self.sql(&sql) {
                return self.fail(format!("setup {}", state(&e)), format!("{sql}\n{}", describe(&e)));
            }
        }
        None
    }

    /// One transaction, and the checks before and after it.
    fn observed(&mut self, transaction: &Transaction) -> Result<Option<Failure>> {
        if let Some(f) = self.drop_readers(transaction)? {
            return Ok(Some(f));
        }
        self.out.clock.to("watching");
        let (before, counted) = (self.watch(transaction)?, self.counters(transaction)?);
        self.out.clock.to("writing");
        let ended = match self.transaction(transaction)? {
            Ok(ended) => ended,
            Err(f) => return Ok(Some(f)),
        };
        self.out.transactions += 1;
        if let Some(f) = self.compare_all(Property::Contents)? {
            return Ok(Some(f));
        }
        self.out.checks.add(Property::NoError);
        self.out.clock.to("watching");
        if let Some(f) = self.compare_watched(transaction, ended, before)? {
            return Ok(Some(f));
        }
        if let Some(f) = self.compare_counters(transaction, ended, counted)? {
            return Ok(Some(f));
        }
        Ok(None)
    }

    /// Statistics of TVIEWs and their stages.
    fn analyze_stored(&mut self) -> Result<()> {
        self.wear(Hat::Admin)?;
        self.sql(
            "DO $$ DECLARE r regclass; BEGIN FOR r IN SELECT oid FROM pg_class WHERE relkind = 'm' LOOP EXECUTE 'ANALYZE ' || r; END LOOP; END $$",
        )?;
        Ok(())
    }

    /// How long the documents with arrays of rows are.
    fn count_documents(&mut self) -> Result<()> {
        let mut longest = 0;
        for (view, v) in self.case.views.iter().enumerate() {
            if self.live[view] && v.is_tview && v.facts.hazards.contains(&Hazard::DocumentOfRows) {
                self.wear(Hat::Admin)?;
                let sql = format!("SELECT coalesce(max(octet_length(v::text)), 0) FROM {} AS v", v.name);
                longest = longest.max(rows(&mut self.session.client, &sql)?.concat().parse()?);
            }
        }
        for (least, hazard) in [(2_000, Hazard::LongDocument), (1_000_000, Hazard::MegabyteDocument)] {
            if longest >= least {
                self.out.counts.add(hazard);
            }
        }
        Ok(())
    }

    fn count_conditions(&mut self) {
        let c = self.case.conditions;
        for (is, hazard) in [
            (c.odd_settings, Hazard::OtherSettings),
            (c.setting.is_some(), Hazard::OneSetting),
            (c.writer, Hazard::OtherWriter),
            (c.owner, Hazard::OtherOwner),
            (c.row_security, Hazard::RowSecurity),
            (c.sql_only, Hazard::SqlOnly),
            (c.whole_rows, Hazard::WholeRows),
        ] {
            if is {
                self.out.counts.add(hazard);
            }
        }
        for hazard in self.case.hazards.iter().copied() {
            self.out.counts.add(hazard);
        }
    }
}
