//! Capture: statement triggers with transition tables turn writes into change sets.
//!
//! One set of internal, always-enabled AFTER STATEMENT triggers per table, shared by all TVIEWs on it, and on every
//! table above and below it in its inheritance tree: a statement fires only the triggers of the table it names.
//! Calls queue; called by the server, by the DDL hooks (install) and by the SQL of a flush (srf).

pub mod freed;
pub mod install;
pub mod route;
pub mod srf;
pub mod trigger;
