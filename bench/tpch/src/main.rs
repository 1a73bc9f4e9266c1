//! TPC-H over TVIEWs: `check`, `bench` and `refresh`.
//! Invariant: the last line of `check` is `N passed, N failed`, and the exit status says the same. Called by tools/check.py, bench/tpch/run.py and by hand.

#![forbid(unsafe_code)]

use clap::{Parser, Subcommand};
use tviews_tpch::{bench, check, refresh};

/// TPC-H: its 22 queries as TVIEWs.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Random transactions; every TVIEW is compared with its query after each
    Check(check::Options),
    /// What flushes cost, next to recomputing
    Bench(bench::Options),
    /// What refreshes of manual TVIEWs cost, next to recomputing
    Refresh(bench::Options),
}

fn main() {
    let done = match Args::parse().what {
        What::Check(options) => check::run(&options),
        What::Bench(options) => bench::run(&options),
        What::Refresh(options) => refresh::run(&options),
    };
    match done {
        Ok(true) => {}
        Ok(false) => std::process::exit(1),
        Err(error) => {
            println!("not ok - {error:#}\n0 passed, 1 failed");
            std::process::exit(1);
        }
    }
}
