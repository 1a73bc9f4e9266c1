//! Capture: statement triggers with transition tables turn writes into change sets.
//!
//! Each table that a TVIEW reads, and every table above and below it in its inheritance tree, has one set of internal, always-enabled
//! AFTER STATEMENT triggers, shared by all TVIEWs: a statement fires only the triggers of the table it names.
//! Calls queue; called by the server, by the DDL hooks (install) and by the SQL of a flush (srf).

pub mod freed;
pub mod install;
pub mod route;
pub mod srf;
pub mod trigger;
