//! Computes TVIEWs that a crash emptied again, without waiting for a reader. README.md has the picture.

pub mod launcher;
pub mod progress;
mod worker;
