//! Deferred TVIEWs refreshed by their schedules. README.md has the picture.

mod attempt;
pub mod control;
pub mod database;
mod desk;
mod jobs;
pub mod launch;
mod pool;
mod scheduler;
mod worker;
