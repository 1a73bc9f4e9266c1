//! What the native syntax decides by text alone: whether a query string can concern TVIEWs, and how the headers of TVIEW statements are
//! overwritten with words that the server's grammar knows.
//!
//! Invariant: the answer depends on the text and the places of its tokens only, never on a server. Called by the extension's parser detour.

mod header;
mod search;

pub use header::{Header, Kind, overwrite};
pub use search::may_concern_tviews;
