//! One step of a transaction: a statement, a comparison, a savepoint. Made by `plan`, run by `run::step` and `concurrent`.
//! Invariant: its text is fixed in advance; only what compares asks the server for more.

use crate::hazards::Hazard;

/// The act of a step.
#[derive(Clone, Debug)]
pub enum Act {
    Sql(String),
    /// makes sense only with the extension
    Native(String),
    Copy {
        sql: String,
        data: String,
    },
    /// compare this view with its query, here
    Read(usize),
    /// compare all
    ReadAll,
    /// the same while a data-modifying CTE of the statement writes
    ReadBeside {
        view: usize,
        write: String,
    },
    /// compare between writes, in a function that one statement calls
    ReadInFunction {
        view: usize,
        writes: Vec<String>,
    },
    /// a write that calls `fuzz.peek_N(when)`, which reads a view
    PeekInWrite {
        view: usize,
        write: String,
    },
    /// create a trigger of the user's on this table that reads a view
    ReadInTrigger {
        view: usize,
        table: String,
        trigger: String,
        for_each_row: bool,
        /// it can run before the rows of its statement are captured, and then compares nothing
        early: bool,
    },
    Create(usize),
    Drop(usize),
    Savepoint(String),
    RollbackTo(String),
    Release(String),
}

#[derive(Clone, Debug)]
pub struct Step {
    pub act: Act,
    pub hazards: Vec<Hazard>,
    /// steps of one group count their hazards only when all of them changed rows
    pub group: u32,
    /// the same write without UPDATE
    pub as_delete_insert: Option<String>,
    /// changes definitions, so the text of queries is asked from the server from now on
    pub is_ddl: bool,
    /// is taken back, and then done for real: left out where a case is run in other batches
    pub is_rehearsal: bool,
}
