//! The interface of the earlier pg_tviews, `pg_tviews_*` in the extension's schema, over the state of this library. README.md has the list.
//!
//! Invariant: nothing here maintains a TVIEW or knows how; a function says what is, or runs the statement that it stands for, with the rights of
//! its caller. Called from SQL only.

mod caches;
mod define;
mod names;
mod order;
mod prepared;
mod select;
mod statement;
mod status;
mod suspension;
mod upkeep;
