//! The columns of a query that is not run, for `pg_tviews_analyze_select`.

use super::statement;
use crate::pg::error::Result;
use crate::pg::function::{Arguments, sql_function};
use pgrx::{IntoDatum, pg_sys};
use std::ffi::CStr;

sql_function!(tviews_output, pg_finfo_tviews_output, output);

/// Number, name and type of each column.
fn output(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    let query = statement::select(&arguments.get::<String>(0).unwrap_or_default())?;
    arguments.rows((1i32..).zip(query.columns).map(|(number, column)| {
        // SAFETY: a type of an analysed query.
        let shown = unsafe { CStr::from_ptr(pg_sys::format_type_with_typemod(column.typid, column.typmod)) };
        [number.into_datum(), column.name.into_datum(), shown.to_string_lossy().into_owned().into_datum()]
    }))
}
