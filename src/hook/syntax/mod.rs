//! Native syntax: makes `CREATE TVIEW` and its relatives acceptable to an unmodified server's parser.
//!
//! Invariant: text without a TVIEW statement reaches the server's parser unchanged, errors of the parser reach the user unchanged, and every
//! position in a tree or message refers to the text as the user wrote it.
//! Called by PostgreSQL for every query string, from `init` on. Without the feature `native_syntax` there is no native syntax. See README.md.

#[cfg(feature = "native_syntax")]
mod complaint;
#[cfg(feature = "native_syntax")]
mod jump;
#[cfg(feature = "native_syntax")]
mod parser;
#[cfg(feature = "native_syntax")]
mod rewrite;
#[cfg(feature = "native_syntax")]
mod scan;

#[cfg(feature = "native_syntax")]
pub use jump::init;

#[cfg(not(feature = "native_syntax"))]
pub fn init() {}
