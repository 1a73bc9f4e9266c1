//! The command line. Invariant: without options it is one round. Called by `main`.

use clap::Parser;
use std::path::PathBuf;

/// Hostile test of pg_tviews: statements that nobody should send, in every kind of transaction, by three roles.
#[derive(Parser, Debug, Clone)]
pub struct Args {
    /// libpq-style connection string of a superuser of a cluster that may be thrown away
    #[arg(long)]
    pub dsn: String,
    /// the server's log, written with log_line_prefix '@%e@%p@ '
    #[arg(long)]
    pub log: PathBuf,
    /// at least one round is run; more, each with other dice, until this time is over
    #[arg(long, default_value_t = 0)]
    pub seconds: u64,
    /// seed of the run
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// where the statements are
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../regress/hostile"))]
    pub statements: PathBuf,
    /// only these topics (`ddl`, `races` …) or statements (`ddl:12`), comma-separated
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// runs of each statement on average, each with an actor and a mode of its own; 0: all
    #[arg(long, default_value_t = 1.5)]
    pub runs: f64,
    /// pairs of sessions in a round
    #[arg(long, default_value_t = 24)]
    pub races: usize,
    /// print every statement
    #[arg(long)]
    pub verbose: bool,
}
