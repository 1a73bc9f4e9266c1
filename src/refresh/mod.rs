//! Refresh: brings TVIEWs up to date, inside the writing transaction. See README.md here.
//!
//! Arrows go down only: plan (what a backend knows of one TVIEW: decisions, SQL, plans) → follow (how one TVIEW follows its change set) → flush (which
//! TVIEWs, in which order, for which moment).

pub mod flush;
pub mod follow;
pub mod plan;
