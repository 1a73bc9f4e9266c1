//! The part of pg_tviews that does not know PostgreSQL: everything that is decided.
//!
//! | question | rule |
//! |---|---|
//! | what is a key of the output? | `key`, over functional dependencies (`fd`) and the description of the query (`model`) |
//! | which strategy, and why? | `decide`, `strategy`, `reason` |
//! | by which weighted rows does the output change? | `delta`; `anchor`, where the query is not linear |
//! | which keys can a change concern? | `null_extension` |
//! | how does a group take in weighted rows? | `fold`; `top`, for extrema that go; `spread`, for statistics of floating-point numbers |
//! | what is locked, in which order? | `locks`, and `meetings` for the values by which relations meet |
//! | which plan is cheaper? | `choice` |
//! | how is a full recomputation avoided? | `hints` |
//! | in which order do TVIEWs follow? | `graph` |
//! | what has a transaction changed, and which TVIEWs have followed? | `queue` of sets like `zset`, by `subject`; `moments`; all by sub-transaction (`by_subxact`) |
//! | how are counters kept while the server is down? | `stat_file` |
//! | which bytes does a document have, of which a part has changed? | `jsonb`; `pglz`, compressed |
//! | what does a statement say? | `syntax`, `options` |
//!
//! Each rule stands in a file of its own: its meaning, its equation, the code, and a test against recomputation over tiny domains (`tiny`), in
//! one step and in several, or a test that goes through all cases.
//!
//! Nothing here is `unsafe`, nothing calls a server; the extension translates catalogs into these types and
//! carries out the decisions.
#![forbid(unsafe_code)]

pub mod anchor;
pub mod by_subxact;
pub mod choice;
pub mod decide;
pub mod delta;
pub mod fd;
pub mod feed;
pub mod fold;
pub mod frontier;
pub mod graph;
pub mod hints;
pub mod jsonb;
pub mod key;
pub mod locks;
pub mod meetings;
pub mod model;
pub mod moments;
pub mod null_extension;
pub mod options;
pub mod pglz;
pub mod queue;
pub mod reason;
pub mod schedule;
pub mod spread;
pub mod stat_file;
pub mod strategy;
pub mod subject;
pub mod syntax;
#[cfg(test)]
mod tiny;
pub mod top;
pub mod whole;
pub mod zset;
