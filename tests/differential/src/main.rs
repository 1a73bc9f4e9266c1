//! Differential test of pg_tviews: runs random cases until its time is over. The README has a picture of its rooms.
//! Invariant: the last line is `N passed, N failed` (one case each), and the exit status is not zero when a case failed or, in long
//! runs, when a hazard hardly ever occurred. Called by tools/check.py and by hand.

#![forbid(unsafe_code)]

mod args;
mod case;
mod concurrent;
mod dice;
mod faults;
mod features;
mod hazards;
mod known;
mod metamorphic;
mod names;
mod oracle;
mod plan;
mod properties;
mod query;
mod report;
mod run;
mod schema;
mod sequential;
mod server;
mod shrink;
mod tally;
mod types;

use args::Args;
use clap::Parser;

fn main() {
    let args = Args::parse();
    let done = match (args.concurrent, args.faults) {
        (1.., _) => concurrent::run(&args),
        (_, true) => faults::run(&args),
        _ => sequential::run(&args),
    };
    match done {
        Ok(true) => {}
        Ok(false) => std::process::exit(1),
        Err(e) => {
            println!("not ok - {e:#}\n0 passed, 1 failed");
            std::process::exit(1);
        }
    }
}
