//! Statements that functions of the interface run for their caller.
//!
//! Invariant: they run as if the caller had sent them, with its user, settings and search_path; an error reaches the caller as it was raised.

use crate::pg::error::{Error, Result};
use crate::pg::spi::Session;
use crate::pg::{list, original};
use pgrx::pg_sys;
use std::ffi::{CStr, CString};

mod raw {
    use pgrx::pg_sys;
    use std::ffi::{c_char, c_int, c_long};
    #[allow(improper_ctypes)]
    unsafe extern "C-unwind" {
        pub fn SPI_execute(src: *const c_char, read_only: bool, count: c_long) -> c_int;
        pub fn SPI_prepare(src: *const c_char, nargs: c_int, types: *mut pg_sys::Oid) -> pg_sys::SPIPlanPtr;
    }
}

fn c_text(sql: &str) -> Result<CString> {
    CString::new(sql).map_err(|_| Error::Internal("NUL byte in SQL text".into()))
}

/// Runs a statement.
pub fn run(sql: &str) -> Result<()> {
    let session = Session::open();
    execute(&session, sql)
}

#[allow(ffi_unwind_calls)] // inside the closure of keep_of_user, which has nothing to drop
fn execute(_session: &Session, sql: &str) -> Result<()> {
    let text = c_text(sql)?;
    let text = text.as_ptr();
    // SAFETY: a session is open; the text ends with a NUL and outlives the call.
    let code = unsafe { original::keep_of_user(|| raw::SPI_execute(text, false, 0)) };
    if code < 0 {
        return Err(Error::Internal(format!("SPI_execute returned {code}")));
    }
    Ok(())
}

/// The first column of a query's rows.
pub fn texts(sql: &str) -> Result<Vec<String>> {
    let session = Session::open();
    execute(&session, sql)?;
    // SAFETY: set by SPI_execute; values are copied before the session ends.
    unsafe {
        let (table, rows) = (pg_sys::SPI_tuptable, pg_sys::SPI_processed as usize);
        let text = |row| {
            let value = pg_sys::SPI_getvalue(*(*table).vals.add(row), (*table).tupdesc, 1);
            (!value.is_null()).then(|| CStr::from_ptr(value).to_string_lossy().into_owned())
        };
        Ok((0..rows).filter_map(text).collect())
    }
}

/// A column of a query.
pub struct Column {
    pub name: String,
    pub typid: pg_sys::Oid,
    pub typmod: i32,
    pub collation: pg_sys::Oid,
}

/// A query that was analysed and not run.
pub struct Select {
    /// Without what is before and behind the statement.
    pub text: String,
    pub columns: Vec<Column>,
}

/// Analyses a text that has to be one SELECT.
#[allow(ffi_unwind_calls)] // inside the closure of keep_of_user, which has nothing to drop
pub fn select(sql: &str) -> Result<Select> {
    let session = Session::open();
    let text = c_text(sql)?;
    let pointer = text.as_ptr();
    // SAFETY: a session is open, and its end frees the plan; what is read of the plan is copied.
    unsafe {
        let plan = original::keep_of_user(|| raw::SPI_prepare(pointer, 0, std::ptr::null_mut()));
        if plan.is_null() {
            return Err(Error::NotOneSelect);
        }
        let sources: Vec<*mut pg_sys::CachedPlanSource> = list::iter(pg_sys::SPI_plan_get_plan_sources(plan)).collect();
        let [source] = sources[..] else { return Err(Error::NotOneSelect) };
        let (raw, desc) = ((*source).raw_parse_tree, (*source).resultDesc);
        if desc.is_null() || raw.is_null() || !list::is((*raw).stmt, pg_sys::NodeTag::T_SelectStmt) {
            return Err(Error::NotOneSelect);
        }
        let start = (*raw).stmt_location.max(0) as usize;
        let end = if (*raw).stmt_len > 0 { start + (*raw).stmt_len as usize } else { sql.len() };
        let column = |i| {
            let att = &*crate::pg::tupdesc::attr(desc, i);
            let (typid, typmod, collation) = (att.atttypid, att.atttypmod, att.attcollation);
            Column { name: crate::pg::relation::attname(att), typid, typmod, collation }
        };
        let columns = (0..(*desc).natts as usize).map(column).collect();
        drop(session);
        Ok(Select { text: sql[start..end].to_string(), columns })
    }
}
