//! The command line.
//!
//! Invariant: what is written here is the help, the man page and the completions. Called by main.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Incremental materialized views of pg_tviews, from the shell.
///
/// Exit status: 0 when all is well, 1 when there is something to look at, 2 when the command could not do what it was asked.
#[derive(Debug, Parser)]
#[command(name = "tviews", version, max_term_width = 120, disable_help_subcommand = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Convert(Convert),
    Lint(Lint),
    Plan(Plan),
    Apply(Apply),
    Diff(Diff),
    Doctor(Doctor),
    Graph(Graph),
    Top(Top),
    Bench(Bench),
    Generate(Generate),
}

/// Show which TVIEWs are computed from which relations.
#[derive(Debug, Args)]
pub struct Graph {
    /// The database.
    #[arg(long, env = "TVIEWS_DSN")]
    pub dsn: String,
    /// As a picture.
    #[arg(long, group = "form")]
    pub svg: bool,
    /// As a graph of Mermaid, which many documents show as a picture.
    #[arg(long, group = "form")]
    pub mermaid: bool,
    /// As a graph of Graphviz.
    #[arg(long, group = "form")]
    pub dot: bool,
    #[arg(long, group = "form")]
    pub json: bool,
}

/// Watch the TVIEWs of a database at work.
///
/// Flushes a second, how long they take and wait, rows written, what deferred TVIEWs have not followed yet, how far recovery is. Keys: q ends, s changes the
/// order, p pauses.
#[derive(Debug, Args)]
pub struct Top {
    /// The database.
    #[arg(long, env = "TVIEWS_DSN")]
    pub dsn: String,
    /// Seconds between two looks.
    #[arg(long, short, default_value_t = 2.0, value_name = "SECONDS", value_parser = seconds)]
    pub interval: f64,
    /// Print the rates of one interval, and end.
    #[arg(long)]
    pub once: bool,
}

/// Run a script of writes with and without TVIEWs, and compare.
///
/// Each round runs the script once in either way, as one transaction that is rolled back, and flushes at its end; COMMIT, and the waiting for the disk that
/// belongs to it, is not measured. The rounds without TVIEWs drop them in their transaction: other sessions cannot use the tables meanwhile, so this
/// refuses a database that others are connected to, unless it is told --lock-others. What no rollback takes back, such as sequences, moves on. With
/// --copy everything happens in a copy of the database.
#[derive(Debug, Args)]
pub struct Bench {
    /// The database.
    #[arg(long, env = "TVIEWS_DSN")]
    pub dsn: String,
    /// The script: SQL without BEGIN and COMMIT.
    #[arg(long, short, value_name = "SCRIPT")]
    pub file: PathBuf,
    /// How many rounds count.
    #[arg(long, short, default_value_t = 20, value_parser = clap::value_parser!(u32).range(3..))]
    pub rounds: u32,
    /// Make a copy of the database under this name first, and drop it at the end. Nobody may be connected to the database meanwhile.
    #[arg(long, value_name = "NAME")]
    pub copy: Option<String>,
    /// Go on although others are connected: they wait for each round without TVIEWs.
    #[arg(long)]
    pub lock_others: bool,
    #[arg(long, value_enum, default_value_t = Report::Text)]
    pub format: Report,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("it is a number of seconds from 0.1 to 3600".into()),
    }
}

/// Look for what is wrong with the TVIEWs of a database.
///
/// Each finding is a sentence and the statement that mends it: health, missing and invalid indexes, disabled triggers, bloat, lock pile-ups, schedules,
/// joins for columns that nobody reads, settings. Exit status 1 when there is a problem; advice does not count.
#[derive(Debug, Args)]
pub struct Doctor {
    /// The database.
    #[arg(long, env = "TVIEWS_DSN")]
    pub dsn: String,
    #[arg(long, value_enum, default_value_t = Report::Text)]
    pub format: Report,
    /// Exit with status 1 also for advice.
    #[arg(long)]
    pub strict: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Report {
    Text,
    Json,
}

/// Show what has to change so that a database has the TVIEWs of schema files.
///
/// Looks at CREATE TVIEW (in all its forms) and at indexes, comments and privileges of TVIEWs; other statements are not looked at. Nothing is changed: the
/// output is a script. Exit status 1 when there is something to change.
#[derive(Debug, Args)]
pub struct Plan {
    /// The database: host=… dbname=…, or postgresql://…; libpq's variables fill in the rest.
    #[arg(long, env = "TVIEWS_DSN")]
    pub dsn: String,
    /// SQL files; of a directory, all files *.sql in it.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Drop TVIEWs that are not in the files.
    #[arg(long)]
    pub drop: bool,
}

/// Do what plan shows, in one transaction.
#[derive(Debug, Args)]
pub struct Apply {
    #[command(flatten)]
    pub plan: Plan,
    /// Seconds that a statement waits for a lock before everything is taken back; 0 waits for ever.
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    pub lock_timeout: u32,
}

/// Show by what the TVIEWs of two databases differ.
///
/// Definitions, options, storage, indexes and comments, as a unified diff. Exit status 1 when they differ.
#[derive(Debug, Args)]
pub struct Diff {
    /// One database.
    #[arg(long, env = "TVIEWS_DSN")]
    pub dsn: String,
    /// The other one.
    #[arg(long, value_name = "DSN")]
    pub with: String,
}

/// Write man pages and completions for bash, zsh and fish.
#[derive(Debug, Args)]
pub struct Generate {
    /// The directory that has, or gets, share/man and the like.
    #[arg(value_name = "PREFIX")]
    pub prefix: PathBuf,
}

/// Rewrite scripts so that what they refresh or keep up to date becomes TVIEWs.
///
/// Prints a diff, and lists what it recognised but left alone, with file, line and reason. Comments and formatting stay as they are.
#[derive(Debug, Args)]
pub struct Convert {
    /// SQL files; of a directory, all files *.sql in it.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// What the scripts are written for.
    #[arg(long, value_enum, default_value_t = From::Auto)]
    pub from: From,
    /// Write the files instead of only showing the difference.
    #[arg(long)]
    pub write: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum From {
    /// Materialized views, and the jobs of pg_cron that refresh them.
    Matview,
    /// pgivm.create_immv and its relatives.
    PgIvm,
    /// CREATE TABLE tv_… AS, pg_tviews_create and its relatives.
    PgTviews,
    /// create_stream_table and its relatives, also of pg_trickle.
    PgStream,
    /// All of these.
    Auto,
}

/// Say what each view of schema files would be as a TVIEW.
///
/// Strategy for each table, missing indexes, refusals with hints. Works without a database, by the files alone: what cannot be known from them is
/// guessed, and says so. With --dsn a server is asked, whose database has the tables.
#[derive(Debug, Args)]
pub struct Lint {
    /// SQL files; of a directory, all files *.sql in it. Together they are one schema, in the order given.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Ask tviews.check of this database instead.
    #[arg(long)]
    pub dsn: Option<String>,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Exit with status 1 also when a change would recompute a whole query.
    #[arg(long)]
    pub incremental: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
    /// SARIF 2.1.0, for code review.
    Sarif,
}
