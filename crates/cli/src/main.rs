//! The command `tviews`: what users of pg_tviews do from a shell.
//!
//! Invariant: it never shares a process with a server, and what it knows of one it has asked over a connection; errors are sentences on standard
//! error. Called by people and scripts.

#![forbid(unsafe_code)]

mod arguments;
mod bench;
mod convert;
mod diff;
mod doctor;
mod generate;
mod graph;
mod lint;
mod outcome;
mod plan;
mod script;
mod server;
mod top;

use arguments::{Arguments, Command};
use clap::Parser;
use std::process::ExitCode;

/// Trees are walked by recursion: a chain of ten thousand operators is as deep as it is long.
const STACK: usize = 1 << 30;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let ended =
        std::thread::Builder::new().stack_size(STACK).spawn(move || run(&arguments)).map(std::thread::JoinHandle::join);
    match ended {
        Ok(Ok(status)) => status,
        _ => ExitCode::from(outcome::FAILED),
    }
}

fn run(arguments: &Arguments) -> ExitCode {
    let done = match &arguments.command {
        Command::Convert(a) => convert::run(a),
        Command::Lint(a) => lint::run(a),
        Command::Plan(a) => plan::plan(a),
        Command::Apply(a) => plan::apply(a),
        Command::Diff(a) => diff::run(a),
        Command::Doctor(a) => doctor::run(a),
        Command::Graph(a) => graph::run(a),
        Command::Top(a) => top::run(a),
        Command::Bench(a) => bench::run(a),
        Command::Generate(a) => generate::run(a),
    };
    match done {
        Ok(outcome) => outcome.into(),
        Err(error) => {
            eprintln!("tviews: {}", error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": "));
            ExitCode::from(outcome::FAILED)
        }
    }
}
