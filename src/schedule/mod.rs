//! Deferred TVIEWs refreshed by their schedules. README.md has the picture.

pub mod control;
pub mod database;
mod jobs;
pub mod launch;
mod worker;
