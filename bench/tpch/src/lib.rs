//! TPC-H: its tables, its data, its 22 queries as TVIEWs, random transactions over them, and what they cost.
//!
//! `check` compares every TVIEW with its query after every transaction, `bench` measures. Called by `main`.

#![forbid(unsafe_code)]

pub mod bench;
pub mod changes;
pub mod check;
pub mod compare;
pub mod data;
pub mod dice;
pub mod query;
pub mod report;
pub mod transaction;
pub mod values;
