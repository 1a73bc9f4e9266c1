//! The kinds of company that the statements of a case have: transactions, protocols, ends.
//! Invariant: files and reports use the name of a mode. Called by `run`; `wrap` has the statements that each sends.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    Alone,
    Twice,
    /// parsed, planned and executed by messages of their own
    Extended,
    BeginRollback,
    BeginCommit,
    /// between writes to every table and a read
    WritesRollback,
    WritesCommit,
    RepeatableRead,
    Savepoint,
    /// a PL/pgSQL block that fails afterwards, and catches that
    Exception,
    /// a PL/pgSQL block that catches the error of the statement
    Caught,
    /// ended at some moment by statement_timeout, in a transaction and alone
    Timeout,
    /// by a function that a TVIEW calls, while a flush calls it
    InFlush,
}

impl Mode {
    pub const ALL: [Mode; 13] = [
        Mode::Alone,
        Mode::Twice,
        Mode::Extended,
        Mode::BeginRollback,
        Mode::BeginCommit,
        Mode::WritesRollback,
        Mode::WritesCommit,
        Mode::RepeatableRead,
        Mode::Savepoint,
        Mode::Exception,
        Mode::Caught,
        Mode::Timeout,
        Mode::InFlush,
    ];

    pub fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    /// Whether everything is as it was afterwards.
    pub fn undoes(self) -> bool {
        matches!(
            self,
            Mode::BeginRollback | Mode::WritesRollback | Mode::RepeatableRead | Mode::Savepoint | Mode::Exception
        )
    }
}
