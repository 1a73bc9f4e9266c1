//! The log of changes for TVIEWs that follow later than at commit.

pub mod board;
pub mod read;
pub mod relation;
pub mod trim;
pub mod write;
