//! The extension's errors: one enum, one conversion to a report.
//!
//! Invariant: every error a user can cause has a SQLSTATE that a PostgreSQL user would expect, and a hint when there
//! is something to do. `Internal` is a bug of ours.

use pgrx::PgSqlErrorCode as Code;
use pgrx::pg_sys::panic::ErrorReport;

use super::callback;
use tviews_core::options::Refused;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A construct that cannot be maintained. `at` is a byte offset into the statement's text, or -1.
    #[error("{what}")]
    Unsupported { what: String, detail: Option<String>, hint: Option<String>, at: i32 },
    /// A query whose text is not read as this query.
    #[error("the query cannot be written as SQL that is read as the same query")]
    Unwritten { detail: String, text: String },
    #[error("relation with OID {0} does not exist")]
    NoRelation(u32),
    #[error("relation \"{0}\" does not exist")]
    NoSuchRelation(String),
    #[error("\"{0}\" is not a TVIEW")]
    NotATview(String),
    #[error("\"{0}\" is not a materialized view")]
    NotAMatview(String),
    /// Of a procedure that ends transactions.
    #[error("{0} cannot run inside a transaction block")]
    InBlock(String),
    #[error("argument \"{0}\" must not be null")]
    Null(&'static str),
    #[error("TVIEW \"{0}\" does not exist")]
    NoTview(String),
    /// The name of a TVIEW that is to be made.
    #[error("relation \"{0}\" already exists and is not a TVIEW")]
    Taken(String),
    #[error("the query of a TVIEW must be one SELECT")]
    NotOneSelect,
    #[error("{what}")]
    BadOption { what: String, hint: Option<String>, at: i32 },
    #[error("{what}")]
    WrongState { what: String, hint: Option<String> },
    #[error("{0}")]
    InvalidDefinition(String, Option<String>),
    /// Each TVIEW reads the next one, and the last one the first.
    #[error("TVIEW \"{}\" depends on itself", .0.first().map_or("", String::as_str))]
    Circle(Vec<String>),
    #[error("could not serialize access due to concurrent update")]
    Serialization,
    /// A snapshot that is older than the contents.
    #[error("could not serialize access to TVIEW \"{0}\", which was computed anew by another transaction")]
    Recomputed(String),
    /// Contents that would be newer than the snapshot of the transaction.
    #[error(
        "could not serialize access: TVIEW \"{0}\" would show what was committed after this transaction's snapshot"
    )]
    Behind(String),
    /// A table that a snapshot sees as empty.
    #[error("could not serialize access: table \"{0}\" was rewritten after the snapshot was taken")]
    Rewritten(String),
    /// Another session has what is needed, and waits for what we have.
    #[error("deadlock detected: another session uses \"{0}\", and waits for a lock on it")]
    Deadlock(String),
    /// Something that is being used by a statement on the stack.
    #[error("{what}")]
    InUse { what: String, hint: String },
    /// An object that a TVIEW needs would go.
    #[error("{what}")]
    Dependent { what: String, hint: String },
    /// A name that means something else than it did.
    #[error("{what}")]
    Ambiguous { what: String, hint: String },
    #[error("permission denied for table {name}")]
    Privilege { name: String, at: i32 },
    /// A right that the owner of a TVIEW has lost.
    #[error("{what}")]
    Owner { what: String, detail: String, hint: String },
    #[error("no collation was derived for column \"c{0}\"")]
    IndeterminateCollation(i16),
    #[error("wrong number of array subscripts")]
    Subscripts,
    #[error("path element at position {0} is null")]
    NullStep(usize),
    #[error("path element at position {0} is not an integer: \"{1}\"")]
    NoInteger(usize, String),
    #[error("total size of jsonb elements exceeds the maximum of {} bytes", 0x0FFF_FFFF)]
    DocumentTooLong,
    #[error("jsonb value is corrupted")]
    Corrupted,
    #[error("out of memory")]
    OutOfMemory,
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// A construct that cannot be maintained, at a byte offset of the statement.
    pub fn unsupported(what: impl Into<String>, at: i32, hint: impl Into<String>) -> Error {
        Error::Unsupported { what: what.into(), detail: None, hint: Some(hint.into()), at }
    }

    /// A bad option or value.
    pub fn option(what: impl Into<String>, hint: Option<String>) -> Error {
        Error::BadOption { what: what.into(), hint, at: -1 }
    }

    fn code(&self) -> Code {
        match self {
            Error::Unsupported { .. } | Error::Unwritten { .. } => Code::ERRCODE_FEATURE_NOT_SUPPORTED,
            Error::NoRelation(_) | Error::NoSuchRelation(_) | Error::NoTview(_) => Code::ERRCODE_UNDEFINED_TABLE,
            Error::Taken(_) => Code::ERRCODE_DUPLICATE_TABLE,
            Error::NotOneSelect => Code::ERRCODE_SYNTAX_ERROR,
            Error::NotATview(_) | Error::NotAMatview(_) => Code::ERRCODE_WRONG_OBJECT_TYPE,
            Error::InBlock(_) => Code::ERRCODE_ACTIVE_SQL_TRANSACTION,
            Error::Null(_) => Code::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            Error::BadOption { .. } => Code::ERRCODE_INVALID_PARAMETER_VALUE,
            Error::WrongState { .. } => Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            Error::InvalidDefinition(..) => Code::ERRCODE_INVALID_TABLE_DEFINITION,
            Error::Circle(_) => Code::ERRCODE_INVALID_OBJECT_DEFINITION,
            Error::Serialization | Error::Recomputed(_) | Error::Rewritten(_) | Error::Behind(_) => {
                Code::ERRCODE_T_R_SERIALIZATION_FAILURE
            }
            Error::Deadlock(_) => Code::ERRCODE_T_R_DEADLOCK_DETECTED,
            Error::InUse { .. } => Code::ERRCODE_OBJECT_IN_USE,
            Error::Ambiguous { .. } => Code::ERRCODE_AMBIGUOUS_FUNCTION,
            Error::Dependent { .. } => Code::ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST,
            Error::Privilege { .. } | Error::Owner { .. } => Code::ERRCODE_INSUFFICIENT_PRIVILEGE,
            Error::IndeterminateCollation(_) => Code::ERRCODE_INDETERMINATE_COLLATION,
            Error::Subscripts => Code::ERRCODE_ARRAY_ELEMENT_ERROR,
            Error::NullStep(_) => Code::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            Error::NoInteger(..) => Code::ERRCODE_INVALID_TEXT_REPRESENTATION,
            Error::DocumentTooLong => Code::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            Error::Corrupted => Code::ERRCODE_DATA_CORRUPTED,
            Error::OutOfMemory => Code::ERRCODE_OUT_OF_MEMORY,
            Error::Internal(_) => Code::ERRCODE_INTERNAL_ERROR,
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Error::Unsupported { detail, .. } => detail.clone(),
            Error::Owner { detail, .. } => Some(detail.clone()),
            Error::Circle(names) => {
                names.split_first().filter(|(_, others)| !others.is_empty()).map(|(first, others)| {
                    let others: String = others.iter().map(|name| format!(" reads \"{name}\", which")).collect();
                    format!("\"{first}\"{others} reads \"{first}\".")
                })
            }
            Error::Unwritten { detail, text } => Some(format!("{detail} The text is: {}", text.trim_start())),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Unsupported { hint, .. } | Error::WrongState { hint, .. } => hint.clone(),
            Error::BadOption { hint, .. } | Error::InvalidDefinition(_, hint) => hint.clone(),
            Error::Unwritten { .. } => Some(
                "Write what the text lacks in another way: operators and functions by name, in a schema of their own."
                    .into(),
            ),
            Error::Privilege { .. } => {
                Some("The owner of a TVIEW needs the privileges SELECT and TRIGGER on every table it reads.".into())
            }
            Error::Dependent { hint, .. }
            | Error::Ambiguous { hint, .. }
            | Error::Owner { hint, .. }
            | Error::InUse { hint, .. } => Some(hint.clone()),
            Error::NotATview(_) | Error::NoTview(_) => {
                Some("SELECT * FROM tviews.tviews lists the TVIEWs of this database.".into())
            }
            Error::Taken(_) => {
                Some("pg_tviews_convert_existing_table() makes a TVIEW of a table that was filled by hand.".into())
            }
            Error::IndeterminateCollation(_) => Some("Use the COLLATE clause to set the collation explicitly.".into()),
            Error::Deadlock(_) => Some("Call the procedure again when the other one has ended.".into()),
            Error::Behind(_) => {
                Some("Create or populate it in a READ COMMITTED transaction, or as the first statement.".into())
            }
            Error::Serialization | Error::Recomputed(_) | Error::Rewritten(_) => {
                Some("The transaction might succeed if retried.".into())
            }
            _ => None,
        }
    }

    /// Raises the error. Unwinds to the nearest guard, which turns it into the server's `ereport(ERROR)`.
    pub fn raise(self) -> ! {
        match self {
            Error::Unsupported { at, .. } | Error::Privilege { at, .. } | Error::BadOption { at, .. } => {
                callback::set_error_location(at);
            }
            _ => {}
        }
        let mut report = ErrorReport::new(self.code(), self.to_string(), "pg_tviews");
        if let Some(detail) = self.detail() {
            report = report.set_detail(detail);
        }
        if let Some(hint) = self.hint() {
            report = report.set_hint(hint);
        }
        report.report(pgrx::PgLogLevel::ERROR);
        unreachable!("ereport(ERROR) does not return");
    }
}

pub type Result<T> = std::result::Result<T, Error>;

/// Unwraps or raises.
pub fn or_raise<T>(result: Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => error.raise(),
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Error {
        Error::option(refused.to_string(), refused.hint())
    }
}
