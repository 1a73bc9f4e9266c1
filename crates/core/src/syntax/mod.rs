//! What is decided by text alone: whether a query string can concern TVIEWs, how the headers of TVIEW statements are
//! overwritten with words that the server's grammar knows, how a reserved word names an argument, and which names without a schema the text of a function has.
//!
//! Invariant: the answer depends on the text and the places of its tokens only, never on a server. Called by the extension's parser detour, and by
//! its analysis.

mod arguments;
mod calls;
mod header;
mod search;

pub use arguments::place_analyze;
pub use calls::{Names, names};
pub use header::{Header, Kind, overwrite};
pub use search::may_concern_tviews;
