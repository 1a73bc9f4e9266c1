//! Failures by query: differences, errors, and their sum.
//!
//! Invariant: an error that names no TVIEW fails all queries; what differs is mended, so that later transactions tell more. Called by `check`.

use super::Run;
use crate::compare::differences;
use crate::query::Query;
use crate::transaction::Step;
use anyhow::Result;

impl Run {
    /// Compares all; returns whether one differs. What differs is mended, so that later transactions tell more.
    pub(super) fn compare(&mut self, when: &str, inside: bool) -> Result<bool, postgres::Error> {
        let mut found = false;
        for query in &self.queries {
            self.comparisons += 1;
            let client = if inside { &mut self.writer } else { &mut self.reader };
            let differences = differences(client, query)?;
            if differences.is_empty() {
                continue;
            }
            found = true;
            *self.failures.entry(query.name.clone()).or_default() += 1;
            println!("# {} differs after {when}, seed {}", query.name, self.options.seed);
            differences.iter().for_each(|d| println!("#   {d}"));
            client.batch_execute(&format!("SELECT tviews.rebuild('tpch.{}')", query.name))?;
        }
        Ok(found)
    }

    pub(super) fn blame(&mut self, error: &postgres::Error, name: &str) {
        let text = shown(error);
        println!("# error in {name}, seed {}: {text}", self.options.seed);
        let named = |q: &&Query| text.contains(&format!("TVIEW tpch.{}", q.name));
        // An error that no TVIEW is named for is everybody's.
        let everybody = !self.queries.iter().any(|q| named(&q));
        for query in self.queries.iter().filter(|q| everybody || named(q)) {
            *self.failures.entry(query.name.clone()).or_default() += 1;
        }
    }

    /// One line a query; returns whether all passed.
    pub(super) fn report(&mut self, transactions: u64) -> Result<bool> {
        println!(
            "\nscale {}, seed {}, {transactions} transactions, {} of them refused by constraints, {} comparisons",
            self.options.scale, self.options.seed, self.refused, self.comparisons
        );
        let (mut passed, mut failed) = (0, 0);
        self.count_written()?;
        for query in &self.queries {
            let strategies = query.strategies(&mut self.reader).unwrap_or_default();
            let good = !self.failures.contains_key(&query.name);
            *(if good { &mut passed } else { &mut failed }) += 1;
            let sign = if good { "ok" } else { "not ok" };
            println!("{sign} - {}: {} rows written ({strategies})", query.name, self.written[&query.name]);
        }
        println!("{passed} passed, {failed} failed");
        Ok(failed == 0 && passed > 0)
    }
    pub(super) fn count_written(&mut self) -> Result<()> {
        for query in &self.queries {
            let sql =
                "SELECT rows_inserted + rows_updated + rows_deleted FROM tviews.stat WHERE tview = to_regclass($1)";
            let written = self.reader.query_opt(sql, &[&query.name])?.map_or(0, |row| row.get(0));
            *self.written.entry(query.name.clone()).or_default() += written;
        }
        Ok(())
    }
}

pub(super) fn print_steps(steps: &[Step]) {
    for step in steps {
        match step {
            Step::Sql(text) => println!("#   {text};"),
            Step::Compare => println!("#   -- comparison"),
        }
    }
}

/// Message, SQLSTATE and context of the server's error.
pub(super) fn shown(error: &postgres::Error) -> String {
    match error.as_db_error() {
        Some(e) => format!("{} ({}) {}", e.message(), e.code().code(), e.where_().unwrap_or_default()),
        None => error.to_string(),
    }
}
