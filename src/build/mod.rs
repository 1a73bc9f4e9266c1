//! Making a TVIEW: what is checked and adopted, its stages, its contents and indexes, and what its tables lack. Called by the hooks, by
//! monitoring, and by recovery.

pub mod adopt;
pub mod advice;
pub mod check;
pub mod indexes;
pub mod internal;
pub mod populate;
pub mod rebuild;
pub mod redefine;
