//! How a command ends, and the exit status that says so.
//!
//! Invariant: 0 when all is well, 1 when there is something to look at, 2 when the command could not do what it was asked. Called by main.

use std::process::ExitCode;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Good,
    Found,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> ExitCode {
        match outcome {
            Outcome::Good => ExitCode::SUCCESS,
            Outcome::Found => ExitCode::from(1),
        }
    }
}

/// The exit status of an error.
pub const FAILED: u8 = 2;
