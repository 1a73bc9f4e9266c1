//! Tests that are not statements in a list.
//! Invariant: each part reports its tests, and leaves no database behind. Called by `rounds`.

mod deep;
mod errors;
mod identity;
pub mod races;

use crate::database::Server;
use crate::log::Log;
use crate::report::Report;
use anyhow::Result;

type Part = fn(&mut Server, &mut Log, &mut Report) -> Result<()>;

/// Those without dice: once is enough.
pub const PARTS: [(&str, Part); 3] = [("deep", deep::run), ("errors", errors::run), ("identity", identity::run)];
