//! `check`: random transactions, and after each of them every TVIEW compared with its query from a second session.
//!
//! Invariant: a query passes when it was accepted, no comparison found a difference and no flush of it ended in an
//! error that its query alone does not raise. Called by `main`.

mod verdict;

use crate::data;
use crate::query::{self, Query};
use crate::transaction::{Sizes, Step, make};
use anyhow::Result;
use postgres::{Client, NoTls};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use verdict::{print_steps, shown};

/// What `check` is asked to do.
#[derive(clap::Args, Debug, Clone)]
pub struct Options {
    /// libpq-style connection string; the database's schema `tpch` is dropped and made new
    #[arg(long)]
    pub dsn: String,
    /// scale factor of the data
    #[arg(long, default_value_t = 0.01)]
    pub scale: f64,
    /// seed of the run
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// number of transactions; 0 is as many as the time allows
    #[arg(long, default_value_t = 0)]
    pub transactions: u64,
    /// how long to run; 0 is for ever
    #[arg(long, default_value_t = 60)]
    pub seconds: u64,
    /// check these queries only, by number
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<usize>,
    /// print every statement
    #[arg(long)]
    pub verbose: bool,
}

/// As TVIEWs are computed, so that text compares.
const SETTINGS: &str = "SET search_path = tpch, public; SET DateStyle = 'ISO, MDY'; SET jit = off; \
     SET client_min_messages = error; SET statement_timeout = '120s'; SET max_parallel_workers_per_gather = 0";

/// The data is loaded again before every transaction with such a number.
const RELOAD: u64 = 400;

struct Run {
    options: Options,
    writer: Client,
    reader: Client,
    queries: Vec<Query>,
    failures: BTreeMap<String, u32>,
    /// Rows that flushes have written, before the data was last loaded.
    written: BTreeMap<String, i64>,
    comparisons: u64,
    /// Transactions that the tables' own constraints refused.
    refused: u64,
}

pub fn run(options: &Options) -> Result<bool> {
    let mut writer = Client::connect(&options.dsn, NoTls)?;
    let mut reader = Client::connect(&options.dsn, NoTls)?;
    data::load(&mut writer, options.scale, true)?;
    writer.batch_execute(SETTINGS)?;
    reader.batch_execute(SETTINGS)?;
    let wanted = |q: &Query| options.only.is_empty() || options.only.contains(&q.number);
    let queries: Vec<Query> = query::all(options.scale).into_iter().filter(wanted).collect();
    let (failures, written) = Default::default();
    let mut run =
        Run { options: options.clone(), writer, reader, queries, failures, written, comparisons: 0, refused: 0 };
    run.create()?;
    let number = run.transactions()?;
    run.report(number)
}

impl Run {
    fn create(&mut self) -> Result<()> {
        self.writer.batch_execute(
            "CREATE TABLE original_nation AS TABLE nation; CREATE TABLE original_region AS TABLE region",
        )?;
        for query in &self.queries {
            if let Err(error) = query.create(&mut self.writer) {
                println!("# {} is refused: {}", query.name, shown(&error));
                *self.failures.entry(query.name.clone()).or_default() += 1;
            }
        }
        // Transactions read all of them, so there must be something of that name.
        for query in query::all(self.options.scale) {
            if self.writer.query_one("SELECT to_regclass($1) IS NULL", &[&query.name])?.get(0) {
                self.writer.batch_execute(&format!("CREATE VIEW {} AS {}", query.name, query.text))?;
            }
        }
        self.compare("creation", false)?;
        Ok(())
    }

    /// Runs transactions until the time is over; returns how many.
    fn transactions(&mut self) -> Result<u64> {
        let started = Instant::now();
        let sizes = Sizes::of(self.options.scale);
        let mut number = 0;
        loop {
            let late = self.options.seconds > 0 && started.elapsed() > Duration::from_secs(self.options.seconds);
            if late || (self.options.transactions > 0 && number >= self.options.transactions) {
                return Ok(number);
            }
            number += 1;
            if number % RELOAD == 0 {
                self.reload()?;
            }
            let steps = make(self.options.seed, number, sizes);
            let name = format!("transaction {number}");
            if let Err(error) = self.perform(&steps, &name) {
                let _ = self.writer.batch_execute("ROLLBACK");
                if error.code().is_some_and(|c| c.code().starts_with("23")) {
                    self.refused += 1;
                } else {
                    self.blame(&error, &name);
                    print_steps(&steps);
                }
            }
            if self.compare(&name, false)? {
                print_steps(&steps);
            }
        }
    }

    /// Fresh data: after many deletes some queries are about nothing.
    fn reload(&mut self) -> Result<()> {
        self.count_written()?;
        data::load(&mut self.writer, self.options.scale, true)?;
        self.create()
    }

    fn perform(&mut self, steps: &[Step], name: &str) -> Result<(), postgres::Error> {
        for (i, step) in steps.iter().enumerate() {
            match step {
                Step::Sql(text) => {
                    if self.options.verbose {
                        println!("{text};");
                    }
                    self.writer.batch_execute(text)?;
                }
                Step::Compare => {
                    if self.compare(&format!("{name}, inside, at step {i}"), true)? {
                        print_steps(&steps[..=i]);
                    }
                }
            }
        }
        Ok(())
    }
}
