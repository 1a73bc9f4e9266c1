//! Making a TVIEW: check, adoption, stages, contents, indexes, and advice about indexes that its tables lack. Called by the hooks, by monitoring,
//! and by recovery.

pub mod adopt;
pub mod advice;
pub mod beside;
pub mod check;
pub mod indexes;
pub mod internal;
pub mod logs;
pub mod online;
pub mod populate;
pub mod progress;
pub mod rebuild;
pub mod redefine;
