//! Documents in PostgreSQL's binary form, changed in parts: what is not touched is copied as it is.
//!
//! Invariant: what `encode` writes is, byte for byte, what the server's `convertToJsonb` writes for the same value, so that a document that was
//! changed in a part cannot be told from one that was computed anew. Bytes here are those behind the varlena header, which begin at a multiple of four;
//! so do nested containers and numerics, whose padding depends on what stands before them and is made anew.
//! Sources: utils/jsonb.h and utils/adt/jsonb_util.c of PostgreSQL 15 to 18, where the format is the same.
//!
//! container: reading · encode: writing · part: which parts of a document a change can concern, and putting these in place · path: what the SQL
//! functions do · diff: what two documents have in common, for `crate::pglz`.

pub mod container;
pub mod diff;
pub mod encode;
pub mod part;
pub mod path;
#[cfg(test)]
mod tests;

/// Why a document could not be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The bytes are not a document.
    Malformed,
    /// A container would be longer than an entry can say.
    TooLong,
    /// The document is not of the form that is expected of it.
    Unexpected,
}

pub type Result<T> = std::result::Result<T, Failure>;
