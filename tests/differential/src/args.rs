//! The command line. Invariant: without options it is the sequential test. Called by `main`.

use clap::Parser;

/// Differential test of pg_tviews: random schemas, TVIEWs and transactions; every TVIEW must equal its defining query.
#[derive(Parser, Debug, Clone)]
pub struct Args {
    /// libpq-style connection string; the database may be empty
    #[arg(long)]
    pub dsn: String,
    /// how long to run; 0 is for ever
    #[arg(long, default_value_t = 120)]
    pub seconds: u64,
    /// seed of the run
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// replay exactly one case, by the seed that a report printed
    #[arg(long)]
    pub case: Option<u64>,
    /// stop after this many cases (0: no limit)
    #[arg(long, default_value_t = 0)]
    pub cases: u64,
    /// stop after this many failures
    #[arg(long, default_value_t = 5)]
    pub max_failures: u64,
    /// where reproduction scripts are written
    #[arg(long, default_value = "target/differential")]
    pub out: std::path::PathBuf,
    /// plain materialized views, refreshed before each comparison: tests this program, not the extension
    #[arg(long)]
    pub baseline: bool,
    /// print every statement
    #[arg(long)]
    pub verbose: bool,
    /// report failures without making them smaller
    #[arg(long)]
    pub no_shrink: bool,
    /// break every rule that the server's build can break, one at a time, until it is noticed
    #[arg(long)]
    pub faults: bool,
    /// only this one
    #[arg(long)]
    pub fault: Option<String>,
    /// look for cases without those that are noted, and note what is found (in `src/faults/noted.txt`)
    #[arg(long)]
    pub anew: bool,
    /// how long to look for a case that notices
    #[arg(long, default_value_t = 600)]
    pub seconds_per_fault: u64,
    /// this many sessions write at the same time to one schema, instead of the sequential test
    #[arg(long, default_value_t = 0)]
    pub concurrent: usize,
}
