//! The part of pg_tviews that does not know PostgreSQL: the description of a query and what follows from it
//! (keys, strategies), the Z-set, the transaction queue and the order of a flush; the text of TVIEW statements.
//!
//! Nothing here is `unsafe`, nothing calls a server; the extension translates catalogs into these types and
//! carries out what they decide.
#![forbid(unsafe_code)]

pub mod anchor;
pub mod by_subxact;
pub mod choice;
pub mod decide;
pub mod delta;
pub mod fd;
pub mod fold;
pub mod graph;
pub mod key;
pub mod locks;
pub mod meetings;
pub mod model;
pub mod moments;
pub mod null_extension;
pub mod options;
pub mod queue;
pub mod reason;
pub mod strategy;
pub mod syntax;
#[cfg(test)]
mod tiny;
pub mod zset;
