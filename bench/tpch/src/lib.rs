//! TPC-H: its tables, its data, its 22 queries as TVIEWs, random transactions over them, and their cost.
//!
//! `check` compares every TVIEW with its query after every transaction that `transaction` makes, of `values`; `bench` and `refresh` measure
//! `changes`, for the `page` of the documentation. All load `data`, create the TVIEWs of `query`, and `compare`.
//!
//! Invariant: `dice` alone are random, so that a seed replays a run. Called by `main`.

#![forbid(unsafe_code)]

pub mod bench;
pub mod changes;
pub mod check;
pub mod compare;
pub mod data;
pub mod dice;
pub mod page;
pub mod query;
pub mod refresh;
pub mod transaction;
pub mod values;
