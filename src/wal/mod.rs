//! Capture from WAL: changes of relations that only deferred TVIEWs follow, without triggers. README.md has the picture and the invariants.

mod apply;
pub mod fit;
pub mod own;
mod plugin;
mod reader;
pub mod slot;
mod store;
pub mod switch;
pub mod wait;
mod worker;
