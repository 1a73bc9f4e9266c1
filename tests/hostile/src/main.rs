//! Hostile test of pg_tviews: statements that nobody should send.
//! Invariant: the last line is `N passed, N failed`, one for each case and each test of the parts; the first round of a seed is always the same.
//! Called by tools/check.py and by hand.

#![forbid(unsafe_code)]

mod actor;
mod args;
mod corpus;
mod database;
mod log;
mod mode;
mod parts;
mod report;
mod rounds;
mod run;
mod scripts;
mod session;
mod watchdog;
mod wrap;

use args::Args;
use clap::Parser;

fn main() {
    match rounds::run(&Args::parse()) {
        Ok(true) => {}
        Ok(false) => std::process::exit(1),
        Err(e) => {
            println!("not ok - {e:#}\n0 passed, 1 failed");
            std::process::exit(1);
        }
    }
}
