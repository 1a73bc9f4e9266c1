//! A transaction of a case: its steps, and how it ends. Made by `plan`, run by `run` and `concurrent`, cut by `shrink`.
//! Invariant: under autocommit every step is a transaction of its own.

use super::Step;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Commit,
    Rollback,
    PreparedCommit,
    PreparedRollback,
    /// every statement is a transaction of its own
    Autocommit,
}

#[derive(Clone, Debug)]
pub struct Transaction {
    pub isolation: &'static str,
    /// under session_replication_role = replica
    pub replica: bool,
    pub steps: Vec<Step>,
    pub end: End,
    /// nothing that a TVIEW shows changes: its rows must be left untouched
    pub no_change: bool,
}

impl Transaction {
    pub fn new(steps: Vec<Step>) -> Transaction {
        Transaction { isolation: "READ COMMITTED", replica: false, steps, end: End::Commit, no_change: false }
    }
}
